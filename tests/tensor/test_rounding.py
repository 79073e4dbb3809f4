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
    assert x.long().decrypt().tolist() == [1, 0, -3, 2, 0]
