"""LP pooling of every order."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, check, on_grid

IMAGE = on_grid(2, 2, 5, 6)


@pytest.mark.parametrize("p", [-3, -1, 1, 1.5, 2, 3, 4, float("inf")])
def test_lp_pool(p):
    check(lambda x: F.lp_pool2d(x, p, 2, ceil_mode=True), IMAGE.abs() + 0.5, ulps=12, grad_ulps=24)
    check(lambda x: F.lp_pool1d(x, p, 3, 2), IMAGE[0].abs() + 0.5, ulps=12, grad_ulps=24)
    check(lambda x: F.lp_pool3d(x, p, (2, 2, 3), 2), IMAGE.abs() + 0.5, ulps=12, grad_ulps=24)


def test_lp_pool_of_signs():
    """Odd powers keep them; a sum below 0, of which torch has nan, counts as 0."""
    mostly_positive = on_grid(2, 3, 8, low=-1, high=1)
    mostly_positive[..., ::4] = 2
    check(lambda x: F.lp_pool1d(x, 3, 4), mostly_positive, ulps=24, grad_ulps=64)
    check(lambda x: F.lp_pool1d(x, 4, 4), IMAGE[0], ulps=24, grad_ulps=64)
    x = mpctensor.encrypt(torch.tensor([[1.0, -2.0, 0.5, 1.5]])).requires_grad_()
    out = F.lp_pool1d(x, 3, 2)
    out.sum().backward()
    assert out.detach().decrypt()[0, 0] == 0
    assert x.grad.decrypt()[0, :2].tolist() == [0, 0]


def test_lp_pool_of_nothing():
    assert_close(
        F.lp_pool2d(mpctensor.encrypt(IMAGE * 0), 2, 2).decrypt(), IMAGE[..., :2, :3] * 0, 2
    )


def test_lp_pool_of_inverses():
    """The sum of 1 / x may be negative; with a 0 it is infinite."""
    mixed = torch.tensor([[[1.0, -2.0, 0.5, -0.25, 3.0, 100.0, -200.0, 50.0]]])
    check(lambda x: F.lp_pool1d(x, -1, 2), mixed, ulps=24, grad_ulps=24)
    check(lambda x: F.lp_pool1d(x, -1, 3, ceil_mode=True), 200 * mixed.abs(), ulps=24)
    mixed[..., ::4] = 0
    check(lambda x: F.lp_pool1d(x, -1, 2), mixed, ulps=24, gradients=False)
