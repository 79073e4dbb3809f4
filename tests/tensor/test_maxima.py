"""max, min, argmax, argmin, amax, amin: values, positions, ties and gradients."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, check, on_grid

X = on_grid(3, 4, 5)

EXTREMA = {
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "max_dim": lambda x: torch.max(x, 1),
    "min_dim_keep": lambda x: x.min(2, keepdim=True),
    "max_values": lambda x: x.max(dim=0).values,
    "amax": lambda x: x.amax(1),
    "amax_dims": lambda x: torch.amax(x, (0, 2), keepdim=True),
    "amin_all": lambda x: torch.amin(x),
    "argmax": lambda x: x.argmax(),
    "argmax_dim": lambda x: torch.argmax(x, 1),
    "argmax_keep": lambda x: x.argmax(-1, keepdim=True),
    "argmin": lambda x: x.argmin(2),
    "max_other": lambda x: torch.max(x, x.flip(0)),
    "logsumexp_free": lambda x: x.amax(-1, keepdim=True) - x,
    "single": lambda x: x[:, :1].max(1),
}


@pytest.mark.parametrize("name", EXTREMA)
def test_extremum(name):
    check(EXTREMA[name], X, ulps=1)


def test_of_three():
    for values in ([1.0, 3.0, 3.0], [3.0, 3.0, 1.0], [0.0, 0.0, 0.0]):
        check(lambda x: x.max(), torch.tensor(values), ulps=0.1, gradients=False)
        check(lambda x: x.argmax(), torch.tensor(values), gradients=False)
        check(lambda x: x.argmin(), torch.tensor(values), gradients=False)
        check(lambda x: x.max(0), torch.tensor(values), ulps=0.1)


def test_of_one_number():
    check(lambda x: x.max(), torch.tensor(1.5))
    check(lambda x: x.amin(()), torch.tensor(1.5))
    check(lambda x: x.max(0), torch.tensor(1.5))


def test_integers():
    x = torch.tensor([[3, -1, 7], [2, 9, -9]])
    check(lambda x: x.max(1), x, gradients=False)
    check(lambda x: x.amin(0), x, gradients=False)


def test_large_values():
    check(lambda x: x.max(1), on_grid(3, 4) * 2**20, ulps=1)


SECOND = {
    "max": lambda x: x.max(1).values.square(),
    "min": lambda x: x.min(0)[0].square(),
    "amax": lambda x: x.amax((0, 2)).square(),
    "all": lambda x: x.max().square(),
    "pool": lambda x: F.max_pool1d(x, 2).square(),
    "padded pool": lambda x: F.max_pool2d(x, 3, 2, 1).square(),
    "adaptive pool": lambda x: F.adaptive_max_pool1d(x, 1).square(),
}


@pytest.mark.parametrize("name", SECOND)
def test_gradients_of_gradients(name):
    def second(secret):
        hide = mpctensor.encrypt if secret else lambda v: v
        w, x = hide(on_grid(5, 5).requires_grad_()), hide(X.clone().requires_grad_())
        (first,) = torch.autograd.grad(SECOND[name](x @ w).sum(), x, create_graph=True)
        first.square().sum().backward()
        return [v.grad.decrypt() if secret else v.grad for v in (w, x)]

    for got, expected in zip(second(True), second(False), strict=True):
        assert_close(got, expected, 64)
