"""cdist and pdist for every norm."""

import re

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, check, on_grid

X, Y = on_grid(2, 3, 4), on_grid(5, 4, seed=3)

# Allowed errors in ulp of value and gradient. Roots and powers are right to 2^-14 of the value. A
# gradient adds five terms with weights of up to 2: for the largest difference each has a quotient
# of 1 ulp, for p = 3 an ulp of the inverse root is multiplied by 3 x^2 < 48.
NORMS = {0.0: (0, 0), 1.0: (1, 2), 1.5: (12, 96), 2.0: (4, 24), 3.0: (12, 480), torch.inf: (1, 10)}


@pytest.mark.parametrize("p", NORMS)
def test_cdist(p):
    ulps, grad_ulps = NORMS[p]
    check(lambda x, y: torch.cdist(x, y, p), X, Y, ulps=ulps, grad_ulps=grad_ulps, gradients=p > 0)


@pytest.mark.parametrize("p", NORMS)
def test_pdist(p):
    ulps, grad_ulps = NORMS[p]
    check(lambda x: F.pdist(x, p), Y, ulps=ulps, grad_ulps=grad_ulps, gradients=p > 0)


def test_a_distance_of_nothing_has_no_gradient():
    check(lambda x: torch.cdist(x, x), Y, ulps=4, grad_ulps=24)


def test_close_rows_far_from_the_origin():
    """The squares cancel exactly."""
    x = 1000 + on_grid(3, 2, low=0, high=0.01)
    check(lambda x: torch.cdist(x - 1000, x - 1000), x, ulps=4, gradients=False)
    got = torch.cdist(mpctensor.encrypt(x), mpctensor.encrypt(x)).decrypt()
    assert (got - torch.cdist(x.double(), x.double())).abs().max() < 2 * 2**-16


@pytest.mark.parametrize("size", [(0, 4), (1, 4), (3, 1)])
def test_small_sizes(size):
    check(lambda x: torch.cdist(x, x), torch.ones(size))
    check(torch.pdist, torch.ones(size), gradients=size[0] > 0)  # which crashes torch


def test_bad_arguments_raise_as_in_torch():
    for fn in (
        lambda x: torch.cdist(x, x[:, :2]),
        lambda x: torch.cdist(x, x, -1.0),
        lambda x: torch.cdist(x[0], x),
        lambda x: torch.pdist(x[0]),
    ):
        with pytest.raises(RuntimeError) as plain:
            fn(Y)
        with pytest.raises(RuntimeError, match=re.escape(str(plain.value))):
            fn(mpctensor.encrypt(Y))


@pytest.mark.simulated
def test_euclidean_distances_open_each_row_once():
    x, y = mpctensor.encrypt(on_grid(30, 8)), mpctensor.encrypt(on_grid(20, 8, seed=1))
    with mpctensor.cost() as spent, torch.no_grad():
        torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")
    roots = 600 * (728 + 4 * 34) // 8  # of numbers at scale 2^32: docs/numerics.md
    assert spent.bytes_sent == 8 * (30 + 20) * 8 + roots


@pytest.mark.parametrize("fn", [lambda x: torch.cdist(x, x[:2], 0), lambda x: F.pdist(x, 0)])
def test_the_number_of_differences_has_a_gradient_of_zero(fn):
    x = mpctensor.encrypt(on_grid(3, 2)).requires_grad_()
    fn(x).sum().backward()
    assert_close(x.grad.decrypt(), torch.zeros(3, 2), 0)


@pytest.mark.parametrize("p", [-2, -1, -0.5, 0.5, 1, 2, 3, float("inf"), -float("inf")])
def test_dist(p):
    """torch.dist: the norm of a difference, broadcast."""
    x, y = on_grid(3, 4, low=1, high=2, seed=5), on_grid(4, low=-0.5, high=0.5, seed=6)
    for fn in (torch.dist, torch.Tensor.dist):
        check(lambda x, y, fn=fn: fn(x, y, p), x, y, ulps=4, grad_ulps=8)
    check(lambda x: torch.dist(x, y, p=p), x, ulps=4, grad_ulps=8)
    check(lambda x: torch.dist(x, y, 0), x, ulps=0, gradients=False)  # torch's own gradient fails
