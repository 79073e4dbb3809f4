"""searchsorted and bucketize with secret values, secret bounds, or both."""

import re

import pytest
import torch

import mpctensor
from tests.plaintext import check, on_grid

BOUNDS = torch.tensor([-1.0, -0.5, -0.5, 0.0, 0.25, 1.0])
X = torch.tensor([[-2.0, -1.0, -0.5, 0.1], [0.25, 1.0, 1.5, 0.0]])

FOUND = {
    "left": lambda b, x: torch.searchsorted(b, x),
    "right": lambda b, x: torch.searchsorted(b, x, right=True),
    "side": lambda b, x: torch.searchsorted(b, x, side="right"),
    "rows": lambda b, x: torch.searchsorted(b.view(2, 3), x),
    "bucketize": lambda b, x: torch.bucketize(x, b),
    "bucketize_right": lambda b, x: torch.bucketize(x, b, right=True, out_int32=True),
    "sorter": lambda b, x: torch.searchsorted(b.flip(0), x, sorter=torch.arange(5, -1, -1)),
    "own_sorter": lambda b, x: torch.searchsorted(b.flip(0), x, sorter=b.flip(0).argsort()),
    "no_bounds": lambda b, x: torch.searchsorted(b[:0], x),
    "no_values": lambda b, x: torch.searchsorted(b, x[:0]),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("secret", [[0], [1], [0, 1]])
def test_found(name, secret):
    check(FOUND[name], BOUNDS, X, secret=secret, gradients=False)


def test_integers_numbers_and_endless_bounds():
    whole = torch.tensor([1, 3, 3, 8])
    check(torch.searchsorted, whole, torch.tensor([3, 0, 9]), gradients=False)
    check(lambda b: torch.searchsorted(b, 0.3), BOUNDS, gradients=False)
    check(lambda b: torch.bucketize(0.3, b), BOUNDS, gradients=False)
    ends = torch.tensor([-torch.inf, 0.0, torch.inf])
    check(torch.searchsorted, ends, X, secret=[1], gradients=False)
    check(torch.bucketize, on_grid(50), torch.arange(-80, 80) / 40, secret=[0], gradients=False)


def test_bad_arguments_raise_as_in_torch():
    cases = (
        lambda b, x: torch.searchsorted(b.view(3, 2), x),
        lambda b, x: torch.searchsorted(b, x, right=True, side="left"),
        lambda b, x: torch.bucketize(x, b.view(2, 3)),
    )
    for fn in cases:
        with pytest.raises(RuntimeError) as plain:
            fn(BOUNDS, X)
        with pytest.raises(RuntimeError, match=re.escape(str(plain.value))):
            fn(BOUNDS, mpctensor.encrypt(X))
