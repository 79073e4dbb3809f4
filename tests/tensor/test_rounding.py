"""Whole numbers: exactly torch's, whatever the truncation's coin says."""

import pytest
import torch

import mpctensor
from tests.plaintext import ULP, check, grid, on_grid

X = torch.cat(
    [on_grid(200, low=-9, high=9), torch.tensor([-2.0, -1.0, 0.0, 1.0, ULP, -ULP, 3.0 - ULP])]
)
FUNCTIONS = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "round": torch.round,
    "round_third": lambda x: (x / 3).round(),
    "floor_third": lambda x: (x / 3).floor(),
    "round_": lambda x: x.clone().round_(),
    "frac": torch.frac,
    "long": lambda x: x.long(),
    "floor_divide": lambda x: x // 2,
    "floor_divide_negative": lambda x: x // -4,
    "remainder": lambda x: x % 2,
    "remainder_negative": lambda x: x % -0.5,
    "divide_trunc": lambda x: torch.div(x, 2, rounding_mode="trunc"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rounding(name):
    check(FUNCTIONS[name], X, ulps=0, gradients=False)


@pytest.mark.parametrize("d", [1, 2, 3, 7, 10, -3])
def test_integers(d):
    x = torch.arange(-30, 31)
    for fn in (lambda x: x // d, lambda x: x % d, lambda x: torch.div(x, d, rounding_mode="trunc")):
        check(fn, x, gradients=False)


def test_decimal_scale():
    x = mpctensor.encrypt(torch.tensor([1.999, -0.001, -3.0, 2.0, 0.0]), precision=3, base=10)
    assert x.floor().decrypt().tolist() == [1.0, -1.0, -3.0, 2.0, 0.0]
    assert (x / 2).round().decrypt().tolist() == [1.0, 0.0, -2.0, 1.0, 0.0]
    assert x.long().decrypt().tolist() == [1, 0, -3, 2, 0]


HALVES = torch.arange(-40, 41) / 4


@pytest.mark.parametrize("off", [0, ULP, -ULP])
def test_halves_go_to_the_even_neighbour(off):
    check(torch.round, HALVES + off, ulps=0, gradients=False)
    check(lambda x: (x / 5).round(), (HALVES + off) * 5, ulps=0, gradients=False)


@pytest.mark.parametrize("decimals", [0, 1, 3, -1])
def test_round_to_decimals(decimals):
    check(lambda x: x.round(decimals=decimals), X, ulps=1, gradients=False)
    with pytest.raises(mpctensor.UnsupportedOperationError, match="`decimals`"):
        mpctensor.encrypt(torch.arange(3)).round(decimals=decimals)


def test_nothing_flows_through_round():
    x = mpctensor.encrypt(HALVES).requires_grad_()
    (x.round() + x.round(decimals=1)).sum().backward()
    assert isinstance(x.grad, mpctensor.SharedTensor) and not x.grad.decrypt().any()
    whole = mpctensor.encrypt(torch.arange(3)).round()
    assert whole.dtype == torch.int64 and whole.decrypt().tolist() == [0, 1, 2]
    public = torch.full_like(x, 2.5).round()
    assert bool((public.decrypt() == 2).all())


DIVIDED = {
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
}
Y = torch.cat([on_grid(200, low=0.25, high=3, seed=1), torch.tensor([2, 1, 3, -1, -2, -3, 0.5])])
Y[:100] *= -1


@pytest.mark.parametrize("secret", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", DIVIDED)
def test_division_by_tensors(name, secret):
    x = X.clone()
    x[100:150] = Y[100:150] * torch.arange(-25, 25)  # near multiples
    check(DIVIDED[name], grid(x), Y, secret=secret, ulps=0, gradients=False)
    whole, by = torch.arange(-30, 30), torch.tensor([1, 2, 3, -7, 10, -1]).repeat(10)
    check(DIVIDED[name], whole, by, secret=secret, gradients=False)
    check(DIVIDED[name], whole[:, None], by[:6], secret=secret, gradients=False)


def test_numbers_over_secrets():
    check(lambda y: 5 % y, Y, ulps=0, gradients=False)
    check(lambda y: 5 // y, Y, ulps=0, gradients=False)
    check(lambda y: 5.5 % y, torch.tensor([1, 2, -3]), ulps=0, gradients=False)
    check(lambda x: x.div(Y, rounding_mode=None), X, gradients=False)
    check(lambda x: torch.fmod(x, -0.75), X, ulps=0, gradients=False)
    for function in DIVIDED.values():
        with pytest.raises(mpctensor.EncodingError, match="by zero"):
            function(mpctensor.encrypt(torch.ones(2)), torch.tensor([1.0, 0.0]))
    nothing = torch.remainder(mpctensor.encrypt(X), mpctensor.encrypt(X * 0))
    assert not nothing.decrypt().any()


@pytest.mark.parametrize("name", ["remainder", "fmod"])
def test_remainders_have_gradients(name):
    check(DIVIDED[name], X, Y, ulps=0, grad_ulps=4)


def test_large_quotients():
    y = on_grid(500, low=0.5, high=5)
    for most, by in ((2**13, mpctensor.encrypt(y)), (2**20, y)):
        x = grid(on_grid(500, low=-most, high=most, seed=2).double() * y)
        got = torch.floor_divide(mpctensor.encrypt(x), by).decrypt()
        assert torch.equal(got, torch.floor(x / y.double()))
