"""Comparisons and logic: secret bools, exactly torch's."""

import operator

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import EncodingError
from tests.plaintext import ULP, assert_close, check, on_grid

X = torch.tensor([[-1.5, 0.0, 2.0, ULP], [1.0, -ULP, 0.1, 3.0]])
Y = torch.tensor([[-1.5, ULP, 2.0, 0.0], [1.0 - ULP, 0.0, 0.1, 4.0]])
RELATIONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)])
def test_tensors(relation, secret):
    x, y = torch.round(X / ULP) * ULP, torch.round(Y / ULP) * ULP
    check(relation, x, y, secret=secret, gradients=False)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("number", [0, 1, -1.5, 2.0, float("inf"), -float("inf")])
def test_numbers(relation, number):
    check(lambda x: relation(x, number), X, gradients=False)
    check(lambda x: relation(number, x), X, gradients=False)


def test_integers_against_fractions():
    x = torch.tensor([0, 1, 2])
    for relation in RELATIONS:
        check(lambda x: relation(x, 0.5), x, gradients=False)
        check(lambda x: relation(x, 1), x, gradients=False)


LOGIC = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "eq": operator.eq,
    "ne": operator.ne,
}


@pytest.mark.parametrize("name", LOGIC)
@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)])
def test_logic(name, secret):
    a = torch.tensor([True, True, False, False])
    b = torch.tensor([True, False, True, False])
    check(LOGIC[name], a, b, secret=secret, gradients=False)


def test_logic_on_comparisons():
    check(lambda x: (x > -1) & (x < 1) | ~(x < 2), on_grid(20), gradients=False)
    check(lambda x: ((x > 0).sum(), (x > 0).float().mean()), on_grid(20), ulps=1, gradients=False)


def test_not():
    check(torch.logical_not, torch.tensor([0.0, 1.0]), gradients=False)
    check(operator.invert, torch.tensor([True, False]), gradients=False)


def test_bits_to_other_dtypes():
    for dtype in (torch.float32, torch.int64, torch.bool):
        check(lambda x: (x > 0).to(dtype), on_grid(10), gradients=False)
    check(lambda x: x.bool(), torch.tensor([0, 3, -1]), gradients=False)
    check(lambda x: x.float() / 2, torch.tensor([0, 3, -1]), gradients=False)


CHOICES = {
    "where": lambda x, y: torch.where(x > y, x, y),
    "where_number": lambda x, y: torch.where(x > 0, y, 1.5),
    "where_numbers": lambda x, y: torch.where(x > 0, 1.0, -1.0) * y,
    "where_public": lambda x, y: torch.where(torch.tensor([True, False, True, False]), x, y),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, -3.0),
    "masked_fill_public": lambda x, y: (
        x.masked_fill(torch.tensor([True, False, True, False]), 7) + y
    ),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "fmax_by_where": lambda x, y: torch.where(x < y, y * 2, x * 3),
    "times_bit": lambda x, y: (x > y) * x,
    "clamp_tensor": lambda x, y: torch.clamp(x, min=y),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    check(CHOICES[name], on_grid(3, 4, seed=1), on_grid(3, 4, seed=2), ulps=2)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_larger_and_smaller_of_two(name):
    fn = getattr(torch, name)
    x, y = torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.5, -ULP]]), torch.tensor([1.0, -1.0, 0.0])
    check(fn, x, y, ulps=1)
    check(fn, x, y, secret=(1,), ulps=1)
    check(fn, x[:, :1], y, ulps=1)
    check(lambda x, y: getattr(torch, name[:3])(x, y), x, y, ulps=1)
    check(lambda x, y: getattr(x, name)(y).square(), x, y)
    check(fn, x.long(), y.long(), gradients=False)


@pytest.mark.parametrize("fn", [torch.maximum, torch.minimum])
def test_second_gradients_of_the_larger(fn):
    given = on_grid(9, seed=1), on_grid(9, seed=2)
    found = []
    for hide in (mpctensor.encrypt, lambda v: v):
        x, y = (hide(v.clone().requires_grad_()) for v in given)
        (first,) = torch.autograd.grad(fn(x * x, y).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), (x, y)))
    for secret, plain in zip(*found, strict=True):
        assert_close(secret.decrypt(), plain, 256)


def test_out_of_the_larger():
    x, y = on_grid(9, seed=1), on_grid(9, seed=2)
    out = mpctensor.encrypt(torch.zeros(9))
    assert torch.maximum(mpctensor.encrypt(x), y, out=out) is out
    assert_close(out.decrypt(), torch.maximum(x, y), 1)


@pytest.mark.simulated
@pytest.mark.parametrize("fn", [torch.maximum, torch.minimum])
def test_gradients_of_the_larger_compare_nothing(fn):
    x, y, g = (mpctensor.encrypt(on_grid(9, seed=i).requires_grad_(i < 2)) for i in range(3))
    with mpctensor.cost() as forward:
        out = fn(x, y)
    with mpctensor.cost() as backward:
        out.backward(g)
    assert (forward.rounds, backward.rounds) == (4, 1)


def test_choice_between_secret_and_plain():
    check(torch.maximum, on_grid(5, seed=1), on_grid(5, seed=2), secret=(0,), ulps=1)
    check(
        torch.where,
        on_grid(5) > 0,
        on_grid(5, seed=1),
        on_grid(5, seed=2),
        secret=(0,),
        gradients=False,
    )
    check(torch.where, on_grid(5) > 0, on_grid(5, seed=1), on_grid(5, seed=2), secret=(1,), ulps=1)


@pytest.mark.parametrize("fn", [torch.sign, torch.sgn, torch.abs])
def test_sign_and_abs(fn):
    check(fn, torch.tensor([-2.0, -ULP, 0.0, ULP, 3.0]), ulps=1)
    check(fn, torch.tensor([-2, 0, 3]), gradients=False)


def test_comparison_is_done_once_per_value():
    x = mpctensor.encrypt(on_grid(10))
    first = x > 0
    with mpctensor.cost() as again:
        second = x > 0
    assert again.rounds == 0
    assert torch.equal(first.decrypt(), second.decrypt())
    x.add_(1)
    with mpctensor.cost() as fresh:
        third = x > 0
    assert fresh.rounds > 0
    assert torch.equal(third.decrypt(), on_grid(10) + 1 > 0)


def test_writing_to_a_comparison_changes_nothing_else() -> None:
    value = torch.tensor([1.0, -2.0, 3.0])
    x = mpctensor.encrypt(value).requires_grad_()
    first, second = x > 0, x > 0
    first.fill_(False)
    assert second.decrypt().tolist() == [True, False, True]
    assert (x > 0).decrypt().tolist() == [True, False, True]
    torch.relu(x).sum().backward()
    assert x.grad.decrypt().tolist() == [1.0, 0.0, 1.0]


def test_numbers_that_no_float_holds() -> None:
    x = mpctensor.encrypt(torch.tensor([2**53 + 1]))
    assert (x > 2**53).decrypt().item() and not (x > 2**53 + 1).decrypt().item()
    assert (x >= 2**53 + 1).decrypt().item() and not (x >= 2**53 + 2).decrypt().item()


@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)])
def test_fmax_and_fmin(secret) -> None:
    x, y = on_grid(30, seed=4), on_grid(30, seed=5)
    y[:5] = x[:5] - 1
    for function in (torch.fmax, torch.fmin):
        check(function, x, y, secret=secret, ulps=0)


def test_signbit() -> None:
    x = torch.tensor([-2.0, -(2.0**-16), 0.0, 2.0**-16, 3.0])
    check(torch.signbit, x, ulps=0, gradients=False)
    check(torch.signbit, torch.arange(-2, 3), gradients=False)


BEYOND = {
    "gt": lambda x, v: x > v,
    "ge": lambda x, v: v >= x,
    "lt": lambda x, v: x < v,
    "le": lambda x, v: x <= v,
    "eq": lambda x, v: x == v,
    "ne": lambda x, v: x != -v,
    "minimum": lambda x, v: torch.minimum(x, v),
    "maximum": lambda x, v: torch.maximum(x, -v),
    "fmin": lambda x, v: torch.fmin(v, x),
    "clamp": lambda x, v: x.clamp(-v, v),
    "clamp_max": lambda x, v: x.clamp(max=v),
    "clamp_numbers": lambda x, v: x.clamp(-v.max().item(), v.max().item()),
    "hardtanh": lambda x, v: F.hardtanh(x, -v.max().item(), 1.5),
    "threshold": lambda x, v: F.threshold(x, v.max().item(), 0.5),
}


@pytest.mark.parametrize("beyond", [2.0**46, 2.0**50, 2.0**61, 1e30, float("inf")])
@pytest.mark.parametrize("name", BEYOND)
def test_numbers_beyond_every_secret_decide(name, beyond):
    x = torch.tensor([-1.5, 2.0, 2.0**35, -(2.0**40)])
    for limit in (torch.tensor([beyond, 1.25, beyond, beyond]), torch.tensor(beyond)):
        check(lambda x, v=limit: BEYOND[name](x, v), x, ulps=0)
        check(lambda x, v=limit: BEYOND[name](x / 2, v), x / 2**16, ulps=1)  # at a finer scale


@pytest.mark.parametrize("beyond", [1 << 47, (1 << 62) + 1, -(1 << 63)])
@pytest.mark.parametrize("name", ["gt", "le", "eq"])
def test_integers_beyond_every_secret_decide(name, beyond):
    limit = torch.tensor(beyond)
    check(lambda v: BEYOND[name](v, limit), torch.tensor([1 << 40, -3, 0]), gradients=False)
    check(lambda v: BEYOND[name](v, limit), on_grid(3), gradients=False)


@pytest.mark.parametrize("fn", [torch.maximum, lambda x, v: x.clamp(min=v), torch.fmax])
def test_a_result_beyond_every_secret_is_refused(fn):
    x = mpctensor.encrypt(torch.zeros(2))
    with pytest.raises(EncodingError, match=r"2\*\*46"):
        fn(x, torch.tensor(2.0**46))
    with pytest.raises(EncodingError, match="NaN"):
        fn(x, torch.tensor(float("nan")))


def test_infinity_is_where_fills_of_it_are():
    mask = torch.tensor([True, False])
    for huge in (float("inf"), -float("inf")):
        check(lambda x, h=huge: x.masked_fill(mask, h) == h, on_grid(2))
