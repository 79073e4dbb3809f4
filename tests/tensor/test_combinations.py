"""addcmul, addcdiv, lerp: their range, and that of large plain integers beside secrets."""

import pytest
import torch

import mpctensor
from mpctensor import EncodingError
from tests.plaintext import assert_close, check, on_grid, plain_of

X = on_grid(2, low=0.5, high=1.4)
WITH_LARGE = {
    "mul": lambda x, t: x * t,
    "addcmul": lambda x, t: torch.addcmul(x, x, t),
    "addcmul_value": lambda x, t: torch.addcmul(x, x, t, value=0.5),
    "addcmul_in_place": lambda x, t: x.clone().addcmul_(x, t),
    "addcmul_plain": lambda x, t: torch.addcmul(x, t, torch.tensor([1, 3])),
    "addcdiv": lambda x, t: torch.addcdiv(x, x, t),
    "addcdiv_plain": lambda x, t: torch.addcdiv(x, t.float(), torch.tensor([1.0, 4.0])),
    "over": lambda x, t: t / x,
    "addcdiv_over": lambda x, t: torch.addcdiv(x, t.float(), x),
    "lerp": lambda x, t: torch.lerp(x, t.float(), 0.5),
    "lerp_weight": lambda x, t: torch.lerp(x, x + 1, t.float()),
    "after_a_product": lambda x, t: (x * x) * t,
    "after_a_factor": lambda x, t: (x * 0.3) * t,
    "product_plus": lambda x, t: (x * x) + t,
    "add_alpha": lambda x, t: torch.add(x, t, alpha=2),
    "matmul": lambda x, t: x[None] @ t.float()[:, None],
    "dot": lambda x, t: x @ t.float(),
    "addmm": lambda x, t: torch.addmm(x, x[None], t.float().diag()),
    "baddbmm": lambda x, t: torch.baddbmm(x, x.view(1, 1, 2), t.float().diag()[None], alpha=0.5),
    "baddbmm_beta": lambda x, t: torch.baddbmm(
        t.float().view(1, 1, 2), x.view(1, 1, 2), torch.eye(2)[None], beta=2
    ),
    "where": lambda x, t: torch.where(x > 0, t, x),
    "masked_fill": lambda x, t: x.masked_fill(torch.tensor([True, False]), t[0]),
    "fill_": lambda x, t: x.clone().fill_(t[0]),
    "copy_": lambda x, t: x.clone().copy_(t),
    "index_add": lambda x, t: x.index_add(0, torch.arange(2), t.float(), alpha=2),
}


@pytest.mark.parametrize("bits", [20, 31, 40, 44, 46, 48, 50, 59])
@pytest.mark.parametrize("name", WITH_LARGE)
def test_large_plain_integers_are_right_or_refused(name, bits):
    """A result below 2^46 is right; the plain tensor is refused where a secret of 1 has no room."""
    fn, large = WITH_LARGE[name], torch.tensor([1 << bits, -3])
    expected = fn(X, large)
    try:
        got = fn(mpctensor.encrypt(X), large)
    except EncodingError:
        assert bits >= 45
        return
    if expected.abs().max() < 2.0**46:
        assert_close(plain_of(got), expected, 16)
    else:
        assert bits < 46, "no secret of 1 has room here"


@pytest.mark.parametrize("top", [2.0**31 + 0.5, 2.0**40 + 0.25])
def test_large_plain_fractions(top):
    t = torch.tensor([top, 1.0], dtype=torch.float64)
    check(lambda x: x * t, X.double(), ulps=4)


def test_large_plain_numerators():
    t = torch.tensor([2.0**40, 3.0, 2.0**30])
    x = torch.tensor([1.5, 7.0, 1000.0])
    check(lambda x: t / x, x, ulps=16, gradients=False)


@pytest.mark.parametrize("number", [3e4, 1e6, 10**7, -(2.0**40), 123456789.0])
def test_large_numbers_over_secrets(number):
    x = torch.tensor([1000.0, 3, -0.03125, 70000])
    check(lambda x: number / x, x, ulps=16, gradients=False)
    check(lambda x: number / x.square(), torch.tensor([300.0, 3, 7]), ulps=16, gradients=False)


def test_a_product_of_one_secret_with_itself_has_the_range_of_any():
    x, y = on_grid(3), torch.tensor([2000.0, -8000.0, 30000.0])
    check(lambda x, y: torch.addcmul(x, y, y), x, y, ulps=2, gradients=False)
    large = mpctensor.encrypt(y)
    small = mpctensor.encrypt(x)
    assert_close(torch.addcmul(small, large, large).decrypt(), torch.addcmul(x, y, y), 2)


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("value", [1, 0.001])
def test_squares_added_up_in_place_keep_their_digits(value, foreach):
    gradient = torch.tensor([3.0, -21.0, 40000.0]) / 2**18  # 2^-36 is the square of their unit
    g, m = mpctensor.encrypt(4 * gradient) / 4, mpctensor.encrypt(torch.zeros(3))
    if foreach:
        torch._foreach_addcmul_([m, m.clone()], [g, g], [g, g], value=value)
    else:
        m.addcmul_(g, g, value=value)
    expected = value**0.5 * gradient.abs()
    assert torch.allclose(m.sqrt().decrypt()[1:], expected[1:], rtol=0.03, atol=0)
    assert value < 1 or torch.allclose(m.sqrt().decrypt(), expected, rtol=0.03, atol=0)


BESIDE = {
    "add": torch.add,
    "div": torch.div,
    "greater": torch.gt,
    "maximum": torch.maximum,
    "cat": lambda x, y: torch.cat([x, y]),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int32])
def test_plain_tensors_of_small_dtypes(name, dtype):
    function, plain = BESIDE[name], torch.tensor([1, 0, 1]).to(dtype)
    for x in (torch.tensor([1.5, -2.0, 0.25]), torch.tensor([2, -3, 1])):
        for first, second in ((x, plain), (plain, x)):
            if name == "div":
                first, second = plain, x
            got = function(*(mpctensor.encrypt(v) if v is x else v for v in (first, second)))
            assert_close(got.decrypt(), function(first, second), 4)
