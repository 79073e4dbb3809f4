"""Gradients through quotients and inverse roots are as accurate for large values as for small."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import protocols as mpc
from tests.plaintext import check, on_grid

LARGE = torch.tensor([1000.0, 2000, -3000, 500])
VALUES = torch.tensor([15.0, -20, 30, 25])
PIXELS = (on_grid(2, 4, 5, 5, low=1, high=255, seed=6) * 4).round() / 4
FUNCTIONS = {
    "std": (lambda x: x.std(), LARGE),
    "norm": (lambda x: x.norm(), LARGE),
    "norm_3": (lambda x: x.norm(3), VALUES),
    "norm_3.5": (lambda x: x.norm(3.5), VALUES),
    "norm_4": (lambda x: x.norm(4), VALUES),
    "cdist": (lambda x: torch.cdist(x.view(2, 2), torch.zeros(1, 2)), LARGE),
    "lp_pool1d": (lambda x: F.lp_pool1d(x.view(1, 1, 4), 2, 2), LARGE.abs()),
    "local_response_norm": (lambda x: F.local_response_norm(x, 2), PIXELS),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_large_values(name):
    function, x = FUNCTIONS[name]
    check(function, x, ulps=16, grad_ulps=16)


def test_steep_slopes_of_small_gradients():
    """Of p = 1/2 the norm's gradient is small, and its slope large where an element is small."""
    for seed in range(4):
        x = on_grid(4, 6, low=-3, high=3, seed=seed)
        x[:, 0] = on_grid(4, low=-0.01, high=0.01, seed=seed)
        check(lambda x: F.normalize(x, 0.5), x, ulps=4, grad_ulps=16)


@pytest.mark.simulated
def test_a_product_with_a_quotient_takes_two_rounds():
    x, y = mpctensor.encrypt(LARGE), mpctensor.encrypt(LARGE.flip(0))
    q = x / y
    with mpctensor.cost() as cost:
        q * mpctensor.encrypt(LARGE)
    assert cost.rounds == 2


@pytest.mark.simulated
def test_small_quotients_keep_their_digits_where_asked():
    x, y = torch.tensor([1.2345, -0.777, 3.0]), torch.tensor([5000.0, 123456.0, -1e6])
    hidden, divisor = (mpctensor.encrypt(v)._share for v in (x, y))
    fine = mpc.divide(hidden, divisor, fine=True)
    got = sum(fine.parts).double() / fine.scale
    torch.testing.assert_close(got, x.double() / y.double(), rtol=2.0**-12, atol=2.0**-31)


@pytest.mark.parametrize("precision", [16, 18])
def test_reciprocals_are_as_fine_as_the_session(precision):
    unit = 2.0**precision
    x = (torch.linspace(0.1, 8, 20_001, dtype=torch.float64) * unit).round() / unit
    bound = 2**-14 if precision == 16 else 2**-14.7  # a rounding of 2^-15 and the fit
    with mpctensor.init(precision=precision):
        got = mpctensor.encrypt(x).reciprocal().decrypt()
    assert ((got - 1 / x) * x).abs().max() < bound
