"""+ - * / ** with secrets, plain tensors and numbers on either side, broadcast; gradients."""

import operator

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import EncodingError
from tests.plaintext import ULP, assert_close, check, on_grid

X = on_grid(3, 4)
POSITIVE = on_grid(3, 4, low=0.5, high=4.0)
OTHERS = {
    "same": on_grid(3, 4, low=0.5, high=2.0, seed=1),
    "row": on_grid(4, low=0.5, high=2.0, seed=2),
    "column": on_grid(3, 1, low=0.5, high=2.0, seed=3),
    "more": on_grid(2, 1, 1, low=0.5, high=2.0, seed=4),
    "scalar": torch.tensor(1.25),
}
# A public factor is rounded to 16 significant bits: 2 ulp for values up to 2.
ARITHMETIC = {operator.add: 2, operator.sub: 2, operator.mul: 8}


@pytest.mark.parametrize("fn", ARITHMETIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)], ids=["both", "left", "right"])
def test_two_tensors(fn, other, secret):
    check(fn, X, OTHERS[other], secret=secret, ulps=ARITHMETIC[fn], grad_ulps=12 * ARITHMETIC[fn])


@pytest.mark.parametrize("fn", ARITHMETIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", [3, 0.1, -2.5, 0, True, 1e-4])
def test_numbers_on_either_side(fn, number):
    if number is True and fn is operator.sub:
        return  # torch refuses it
    check(lambda x: fn(x, number), X, ulps=2)
    check(lambda x: fn(number, x), X, ulps=2)


@pytest.mark.parametrize("number", [3, 0.1, -8.0, 1000])
def test_division_by_numbers(number):
    check(lambda x: x / number, X, ulps=1 + 2 / abs(number))


def test_division_by_plain_tensor():
    check(operator.truediv, X, OTHERS["row"], secret=(0,), ulps=4)
    check(operator.truediv, X, torch.tensor(3.0), secret=(0,), ulps=2)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("secret", [(0, 1), (1,)], ids=["both", "right"])
def test_division_by_secret(other, secret):
    check(operator.truediv, X, OTHERS[other], secret=secret, ulps=12, grad_ulps=200)


def test_number_over_secret():
    check(lambda x: 1 / x, POSITIVE, ulps=8, grad_ulps=64)
    check(lambda x: 0.3 / x, POSITIVE, ulps=8, grad_ulps=64)
    check(torch.reciprocal, POSITIVE, ulps=8, grad_ulps=64)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, 7])
def test_powers(exponent):
    check(lambda x: x**exponent, X, ulps=4 * 2**exponent, grad_ulps=16 * 2**exponent)


def test_power_of_one_and_a_half_to_the_fifth():
    x = mpctensor.encrypt(torch.tensor([1.5, -1.5]))
    assert torch.allclose((x**5).decrypt(), torch.tensor([7.59375, -7.59375]), atol=1e-3)


@pytest.mark.parametrize("exponent", [-1, -2, 0.5, -0.5, 1.5])
def test_powers_with_roots_and_inverses(exponent):
    check(lambda x: x**exponent, POSITIVE, ulps=64, grad_ulps=512)


def test_integers_stay_integers():
    x, y = torch.tensor([[1, -2], [3, 4]]), torch.tensor([5, 7])
    for fn in (operator.add, operator.sub, operator.mul):
        for secret in ((0, 1), (0,), (1,)):
            check(fn, x, y, secret=secret, ulps=0, gradients=False)
    check(lambda a: a * 3 - 1, x, ulps=0, gradients=False)
    check(lambda a: a**2, x, ulps=0, gradients=False)
    check(lambda a: a * 0.5, x, ulps=1, gradients=False)
    check(lambda a: a / 4, x, ulps=1, gradients=False)
    check(lambda a: a + 0.25, x, ulps=1, gradients=False)
    check(operator.mul, x, on_grid(2, 2), ulps=4, secret=(0, 1), gradients=False)


def test_bools_in_arithmetic():
    b, x = torch.tensor([True, False]), on_grid(2)
    check(operator.mul, b, x, secret=(0, 1), ulps=1)
    check(operator.mul, b, b, secret=(0, 1), ulps=0, gradients=False)
    check(operator.add, b, b, secret=(0,), ulps=0, gradients=False)
    check(operator.add, b, x, secret=(0, 1), ulps=1)
    check(lambda a: a * 2, b, ulps=0, gradients=False)
    with pytest.raises(RuntimeError):
        mpctensor.encrypt(b) - mpctensor.encrypt(b)


DTYPES = [
    (torch.float32, torch.float64),
    (torch.float64, torch.int64),
    (torch.int32, torch.int64),
    (torch.bool, torch.int64),
    (torch.bool, torch.float32),
    (torch.float16, torch.float32),
]


@pytest.mark.parametrize("left,right", DTYPES)
def test_promotion(left, right):
    x, y = torch.ones(2, dtype=left), torch.ones(2, dtype=right)
    for a, b in ((x, y), (x, y[0]), (x[0], y)):
        check(operator.mul, a, b, secret=(0, 1), ulps=1, gradients=False)
        check(operator.add, a, b, secret=(0,), ulps=1, gradients=False)


UNARY = {
    "neg": (torch.neg, 1),
    "positive": (lambda x: +x, 1),
    "square": (torch.square, 4),
    "rsub": (lambda x: torch.rsub(x, 2.0, alpha=2), 2),
    "add_alpha": (lambda x: torch.add(x, x, alpha=0.5), 2),
    "lerp": (lambda x: torch.lerp(x, x * 2, 0.3), 4),
    "addcmul": (lambda x: torch.addcmul(x, x, x, value=0.5), 4),
    "addcdiv": (lambda x: torch.addcdiv(x, x, torch.full((3, 4), 4.0), value=0.5), 4),
    "chain_of_scalars": (lambda x: ((x * 0.9 + 0.1) / 3 - 1) * 7, 12),
    "deep_chain": (lambda x: x / 3 / 7 / 11 * 231, 12),
    "to_double": (lambda x: x.double() * 2, 1),
    "half": (lambda x: x.to(torch.float32), 1),
    "reused": (lambda x: x * x + x, 6),
}


@pytest.mark.parametrize("name", UNARY)
def test_one_tensor(name):
    fn, ulps = UNARY[name]
    check(fn, X, ulps=ulps)


SMOOTH = {
    "exp": (torch.exp, 8, 16),
    "log": (lambda x: torch.log(x + 3), 8, 16),
    "log1p": (lambda x: torch.log1p(x + 2.5), 8, 16),
    "sqrt": (lambda x: torch.sqrt(x + 3), 8, 16),
    "rsqrt": (lambda x: torch.rsqrt(x + 3), 8, 16),
    "sigmoid": (torch.sigmoid, 8, 16),
    "tanh": (torch.tanh, 8, 16),
    "expm1": (torch.expm1, 8, 16),
    "log2": (lambda x: torch.log2(x + 3), 16, 16),
    "two_to_the_x": (lambda x: 2.0**x, 8, 16),
    "secret_exponent": (lambda x: (x + 3) ** x, 64, 256),
    "silu": (torch.nn.functional.silu, 16, 64),
    "softplus": (torch.nn.functional.softplus, 24, 64),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth(name):
    fn, ulps, grad_ulps = SMOOTH[name]
    check(fn, X, ulps=ulps * 8, grad_ulps=grad_ulps * 8)


def test_small_public_numbers_are_not_lost():
    x = mpctensor.encrypt(torch.tensor([1000.0, -500.0]))
    assert torch.allclose((x * 1e-5).decrypt(), torch.tensor([0.01, -0.005]), atol=2 * ULP)


@pytest.mark.parametrize("factor", [3, 7.5, 1e5, 640])
def test_a_factor_undoes_its_own_division(factor):
    """The scale has taken the factor as a denominator and gives it back: no rounding, no round."""
    x = mpctensor.encrypt(torch.tensor([1000.0, -500.25]))
    with mpctensor.cost() as cost:
        back = x / factor * factor
    assert cost.rounds == 0
    assert torch.equal(back.decrypt(), torch.tensor([1000.0, -500.25]))
    assert torch.equal((x / factor * -factor).decrypt(), torch.tensor([-1000.0, 500.25]))


def test_mixed_precisions_are_aligned():
    coarse = mpctensor.encrypt(torch.tensor([2.0]), precision=8)
    fine = mpctensor.encrypt(torch.tensor([2.0]), precision=20)
    decimal = mpctensor.encrypt(torch.tensor([2.0]), precision=3, base=10)
    for x in (coarse, fine, decimal):
        for y in (coarse, fine, decimal):
            assert abs((x + y).decrypt().item() - 4) < 2**-7
            assert abs((x * y).decrypt().item() - 4) < 2**-6


IN_PLACE = {
    "add_": lambda x: x.add_(1.5),
    "add_alpha": lambda x: x.add_(torch.ones(4), alpha=-0.5),
    "sub_": lambda x: x.sub_(X),
    "mul_": lambda x: x.mul_(0.3),
    "div_": lambda x: x.div_(3),
    "iadd_view": lambda x: x[0].add_(1),
    "copy_": lambda x: x.copy_(torch.ones(3, 4)),
    "fill_": lambda x: x.fill_(0.25),
    "zero_": lambda x: x.zero_(),
    "setitem_number": lambda x: x.__setitem__((0, slice(None)), 2.0),
    "setitem_tensor": lambda x: x.__setitem__((slice(None), 1), torch.tensor([1.0, 2.0, 3.0])),
    "setitem_index": lambda x: x.__setitem__(torch.tensor([0, 2]), 1.0),
    "setitem_mask": lambda x: x.__setitem__(X > 0, 0.5),
    "lerp_": lambda x: x.lerp_(torch.ones(3, 4), 0.25),
    "addcmul_": lambda x: x.addcmul_(X, X, value=0.1),
    "neg_": lambda x: x.neg_(),
    "relu_": lambda x: x.relu_(),
    "clamp_": lambda x: x.clamp_(-0.5, 0.5),
    "square_": lambda x: x.square_(),
    "masked_fill_": lambda x: x.masked_fill_(X > 0, -1.0),
    "chain": lambda x: x.mul_(2).add_(1).mul_(0.5),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    """The result, views made before, and gradients through the write."""

    def fn(x):
        y = x * 1
        seen = y[1:]
        IN_PLACE[name](y)
        return y, seen * 1

    check(fn, X, ulps=4)


def test_in_place_keeps_dtype():
    with pytest.raises(RuntimeError, match="can't be cast"):
        mpctensor.encrypt(torch.tensor([1, 2])).mul_(0.5)


@pytest.mark.parametrize("operand", [float("nan"), float("inf")])
def test_products_with_no_number(operand):
    with pytest.raises(EncodingError):
        mpctensor.encrypt(X) * operand


def test_division_by_zero():
    x = mpctensor.encrypt(X)
    with pytest.raises(EncodingError, match="zero"):
        x / 0
    with pytest.raises(EncodingError, match="zero"):
        x / torch.tensor([1.0, 0.0, 1.0, 2.0])


def test_wrong_shapes_give_torchs_message():
    x, y = mpctensor.encrypt(on_grid(3)), mpctensor.encrypt(on_grid(4))
    for fn in (operator.add, operator.mul, operator.lt):
        with pytest.raises(RuntimeError, match=r"The size of tensor a \(3\) must match"):
            fn(x, y)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        mpctensor.encrypt(on_grid(2, 3)) @ mpctensor.encrypt(on_grid(2, 3))
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        x.view(2, 2)
    with pytest.raises(IndexError):
        x[5]


def test_small_plain_tensors_are_not_lost():
    x = mpctensor.encrypt(torch.tensor([1000.0, -500.0]))
    assert_close((x * torch.full((2,), 1e-5)).decrypt(), torch.tensor([0.01, -0.005]), 1)
    assert_close((x[None] @ torch.full((2, 1), 1e-5)).decrypt(), torch.tensor([[0.005]]), 1)
    assert_close((x / torch.tensor([1e5, 1e7])).decrypt(), torch.tensor([0.01, -0.00005]), 1)
    large = mpctensor.encrypt(torch.tensor([1e9]))
    assert_close((large * torch.tensor([1e-9])).decrypt(), torch.tensor([1.0]), 2)


AFTER = {
    "add": lambda y: y + 1e6,
    "sub": lambda y: 1e6 - y,
    "clamp": lambda y: y.clamp(-1e6, 1e6),
    "greater": lambda y: (y > 1e6).float(),
    "maximum": lambda y: torch.maximum(y, torch.tensor([1e6])),
    "scaled": lambda y: y * 0.123456,
    "square": lambda y: y * y,
    "relu": torch.relu,
    "exp": torch.exp,
    "sqrt": torch.sqrt,
    "log": torch.log,
    "sigmoid": torch.sigmoid,
    "reciprocal": torch.reciprocal,
    "floor": lambda y: (y + 0.25).floor(),
    "softmax": lambda y: y.softmax(0),
    "norm": torch.linalg.vector_norm,
    "again": lambda y: y * torch.full((2,), 0.3) * torch.full((2,), 2.5),
}


@pytest.mark.parametrize("name", AFTER)
@pytest.mark.parametrize("factor", [1e-7, 1e-5, 2e-3, 0.3])
def test_what_follows_a_small_plain_factor(name, factor):
    plain = torch.tensor([1.5, 2.0]) / factor
    y = mpctensor.encrypt(plain) * torch.full((2,), factor)
    assert_close(AFTER[name](y).decrypt(), AFTER[name](plain * factor), 16)


OUT_OF_RANGE = {
    "times": (lambda x: x * 1e18, r"multiplied with 1e\+18"),
    "over": (lambda x: x / 1e-20, "division of a secret by 1e-20"),
    "times_tensor": (lambda x: x * torch.tensor(1e20), r"multiplied with 1e\+20"),
    "over_tensor": (lambda x: x / torch.full((1,), 1e-20), r"`x\[0\]` is out of range"),
    "fill_": (lambda x: x.fill_(1e15), r"1e\+15 is out of range"),
    "full_like": (lambda x: torch.full_like(x, -1e15), r"-1e\+15 is out of range"),
    "setitem": (lambda x: x.__setitem__(0, 1e15), r"`x` is out of range"),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_public_numbers_out_of_range_are_refused(name):
    fn, message = OUT_OF_RANGE[name]
    with pytest.raises(EncodingError, match=rf"{message}.*2\*\*46"):
        fn(mpctensor.encrypt(torch.ones(1)))


def test_fills_within_range_are_exact_and_infinities_rest():
    x = mpctensor.encrypt(torch.zeros(2))
    assert x.fill_(1e10).decrypt().tolist() == [1e10, 1e10]
    with pytest.raises(EncodingError, match=r"2\*\*30"):  # as x[0] = 1e10, of a product
        (mpctensor.encrypt(torch.ones(2)) * mpctensor.encrypt(torch.ones(2))).fill_(1e10)
    for huge in (float("inf"), torch.finfo(torch.float32).max):
        assert x.fill_(huge).decrypt().tolist() == [2.0**29, 2.0**29]
        assert torch.full_like(x, -huge).decrypt().tolist() == [-(2.0**29), -(2.0**29)]


@pytest.mark.parametrize("factor", [1 / 0.9, 1 / 0.3, 10.0, 1.1, 0.123456789, 8**-0.5, 3, 1.7])
@pytest.mark.parametrize("fill", [-float("inf"), torch.finfo(torch.float32).min, -1e9, -1e4])
def test_masked_places_stay_masked_however_they_are_scaled(fill, factor):
    """Factors pile up in the scale, which must not make a fill wrap around."""
    mask = torch.tensor([True, False, False])
    plain = torch.tensor([[0.0, 0.5, 1.0], [3.0, 1.0, 2.0]])
    secret = mpctensor.encrypt(plain)
    products = (secret @ torch.eye(3)) * mpctensor.encrypt(torch.ones(3))  # not truncated yet
    for start in (secret, products):
        x, y = start.masked_fill(mask, fill), plain.masked_fill(mask, fill)
        for _ in range(2):
            x, y = x * factor, y * factor
            assert torch.allclose(x.softmax(-1).decrypt(), y.softmax(-1), atol=1e-3)
            assert torch.equal(x.argmax(-1).decrypt(), y.argmax(-1))
        other = torch.where(mask, fill, 0.0)
        x, y = (start + other) * factor, (plain + other) * factor
        assert torch.allclose(x.softmax(-1).decrypt(), y.softmax(-1), atol=1e-3)


def test_factors_of_many_digits_have_the_range_of_products():
    x = mpctensor.encrypt(torch.tensor([2.0**29, -1e8, 12345.678]))
    plain = torch.tensor([2.0**29, -1e8, 12345.678])
    for factor in (0.123456789, 1 / 3.14159265, 1.23456789):
        assert torch.allclose((x * factor).decrypt(), plain * factor, rtol=2.0**-15)


@pytest.mark.parametrize("tiny", [1e-6, 1e-8])
def test_a_tiny_summand_makes_the_sum_finer(tiny):
    zero = mpctensor.encrypt(torch.zeros(3))
    for total in (
        zero + tiny,
        tiny + zero,
        torch.zeros_like(zero).add_(tiny),
        zero.clone().add_(tiny),
    ):
        assert torch.allclose(total.decrypt(), torch.full((3,), tiny), atol=2.0**-33)
    check(lambda x: x + 1e-6, X, ulps=1)


FLAGS, COUNTS = torch.tensor([True, False]), torch.tensor([1, 2])
FILLS = {
    "fill_": lambda x, v: x.clone().fill_(v),
    "setitem": lambda x, v: _set_first(x, v),
    "full_like": lambda x, v: torch.full_like(x, v),
    "new_full": lambda x, v: x.new_full((2,), v),
    "masked_fill": lambda x, v: x.masked_fill(FLAGS, v),
    "index_fill": lambda x, v: x.index_fill(0, torch.tensor([0]), v),
    "scatter": lambda x, v: x.scatter(0, torch.tensor([1]), v),
    "pad": lambda x, v: F.pad(x, (1, 1), value=v),
    "as whole numbers": lambda x, v: torch.full_like(x, v, dtype=torch.int64),
    "as flags": lambda x, v: torch.full_like(x, v, dtype=torch.bool),
}


def _set_first(x, value):
    x = x.clone()
    x[0] = value
    return x


@pytest.mark.parametrize("value", [5, 2.7, -2.7, 0.5, 0, True])
@pytest.mark.parametrize("fill", FILLS)
def test_fills_take_the_dtype(fill, value):
    for plain in (FLAGS, COUNTS, torch.tensor([0.5, 2.0])):
        expected = FILLS[fill](plain, value)
        shared = FILLS[fill](mpctensor.encrypt(plain), value)
        assert_close(shared.decrypt(), expected, 1)
        assert_close(shared.sum().decrypt(), expected.sum(), 3)


def test_fills_that_do_not_fit_raise_as_in_torch():
    small = torch.tensor([1, 2], dtype=torch.uint8)
    for value in (300, -300):
        for x in (small, mpctensor.encrypt(small)):
            with pytest.raises(RuntimeError, match="overflow"):
                x.clone().fill_(value)


BOUNDS = {
    "crossed": (5.0, 1.0),
    "crossed whole": (5, 1),
    "crossed tensors": (torch.tensor([5.0, 0.0, 1.0]), torch.tensor([1.0, 2.0, 0.0])),
    "crossed mixed": (torch.tensor([5.0, 0.0, 1.0]), torch.tensor(1.0)),
    "fractions": (1.5, None),
    "upper fraction": (None, 2.5),
    "alike": (2, 2),
}


@pytest.mark.parametrize("bounds", BOUNDS)
def test_clamp_follows_torch(bounds):
    low, high = BOUNDS[bounds]
    check(lambda x: x.clamp(low, high), torch.tensor([0.0, 3.0, 9.0]), ulps=1)
    check(lambda x: x.clamp(low, high), torch.tensor([0, 3, 9]), ulps=1, gradients=False)


def test_clamp_of_large_integers():
    check(lambda x: x.clamp(min=2**50), torch.tensor([2**49, 2**51]), gradients=False)


LARGE = {
    "mul_": (lambda x: x * 0.5, lambda x: x.mul_(0.5)),
    "div_": (lambda x: x / 2, lambda x: x.div_(2)),
    "copy_": (lambda x: x * 0.25, lambda x: x.copy_(x * 0.25)),
    "lerp_": (lambda x: x.lerp(x * 0.5, 0.5), lambda x: x.lerp_(x * 0.5, 0.5)),
    "back": (lambda x: x * 1.0, lambda x: _finer(x).copy_(x)),
}


def _finer(x):
    return (x * 0).mul_(1e-4).add_(1e-5)


@pytest.mark.parametrize("name", LARGE)
def test_writes_hold_what_results_hold(name):
    plain = torch.tensor([3.0e9, 2.0**35, -1e6])
    fresh, write = LARGE[name]
    expected = fresh(mpctensor.encrypt(plain)).decrypt()
    assert_close(expected, fresh(plain), 1)
    assert_close(write(mpctensor.encrypt(plain)).decrypt(), expected, 1)


def test_powers_of_nothing():
    check(lambda x: x ** torch.zeros(0), torch.tensor(1.5))
    check(lambda x: x ** torch.zeros(3, 0), torch.zeros(0))
