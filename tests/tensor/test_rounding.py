"""Whole numbers: exactly torch's, whatever the truncation's coin says."""

import pytest
import torch

import mpctensor
from tests.plaintext import ULP, check, on_grid

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
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_rounding(name):
    check(FUNCTIONS[name], X, ulps=0, gradients=False)


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
