"""Public numbers of five or six digits give scales with odd factors: what they meet stays right."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mpctensor
from tests.plaintext import on_grid, plain_of

BOUND = 2**-12  # relative or absolute, whichever is larger


def check(work: Callable[..., Tensor], *plain: Tensor) -> None:
    """The work on secrets against the work on the plain tensors, in float64."""
    expected = work(*[x.clone() for x in plain])
    got = plain_of(work(*[mpctensor.encrypt(x) for x in plain])).double()
    error = (got - expected).abs() / expected.abs().clamp(min=1)
    assert error.max() < BOUND, (got, expected)


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


ONE = of(1.0)
NOISE = torch.randn(2000, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize(
    "x, first, second",
    [(3.0, 1.41421, 57.2958), (30.0, 33.979, 31.68066), (300.0, 8.5993, 64.42588)],
)
def test_two_divisors(x, first, second):
    check(lambda v: v / first / second, of(x).expand(500).clone())


@pytest.mark.parametrize(
    "divisor, x",
    [
        *((3.14159, 20000.0), (6.28319, 14700.0), (1.41421, 14700.0), (0.514444, 7400.0)),
        *((9.80665, 59e3), (57.2958, 236e3), (1013.251, 1.9e6), (6378.137, 1.9e6)),
        (299792.458, 3.8e6),
    ],
)
def test_a_quotient_meets_another_secret(divisor, x):
    check(lambda v, one: v / divisor + one, of(x), ONE)
    check(lambda v, one: torch.stack([v / divisor, one]), of(x), ONE)
    check(lambda v, one: torch.maximum(v / divisor, one), of(x), ONE)


def test_two_factors_and_another_secret():
    check(lambda v, one: v * 3.14159 + one, of(39e3), ONE)
    check(lambda v, one: v / 0.577216 * 1.41421 + one, of(16.0), ONE)
    check(lambda v, one: v / 0.12345 / 1.60934 + one, of(1.4), ONE)
    check(lambda v: F.mse_loss(v / 3.14159, of(6366.0)), of(20000.0))


def test_in_place():
    check(lambda v: v.div_(1234.567), of(5e6, 1e5))
    check(lambda v: v.div_(299792.458), of(7e6))
    check(lambda v: (v * 1e-9).add_(1000), NOISE)
    check(lambda v: (v / 12345.678).add_(5e3), NOISE)
    check(lambda v: (v * 1e-9).masked_fill_(torch.arange(2000) % 2 == 0, 1000.5), NOISE)


FILLS = [-1e9, -1e20, -1e6, -65504.0, torch.finfo(torch.float32).min, -torch.inf]


@pytest.mark.parametrize("divisor", [1.41421, 2.82843, 5.65685, 22.6274, 3.14159])
@pytest.mark.parametrize("fill", FILLS)
def test_masked_scores(divisor, fill):
    mask = torch.tensor([False, True, False, True])
    scores = of(1, 0.5, 2, -1)
    check(lambda v: (v / divisor).masked_fill(mask, fill).softmax(0), scores)
    check(lambda v: (v / divisor).masked_fill_(mask, fill).softmax(0), scores)
    check(lambda v: torch.where(mask, fill, v / divisor).softmax(0), scores)


def test_bounds_far_away():
    check(lambda v: (v / 3.14159).clamp(0, 1e9), of(14.4))
    check(lambda v: torch.minimum(v / 3.14159, of(1e9)), of(14.4))


def test_large_summands_after_tiny_factors():
    check(lambda v: v * 1e-9 + 1e6, ONE)
    check(lambda v: v * 1e-8 + 1e6, ONE)
    check(lambda v: (v / 1e9 + 1000.5) / 7, NOISE)


def test_remainders_and_whole_numbers():
    half = of(0.5).expand(500).clone()
    check(lambda v: torch.remainder(v / 12345.678 * 0.01 + 20.5, 3.0), half)
    check(lambda v: torch.remainder(v / 0.12345 + 0.3, 1.60934), of(1.4))
    check(lambda v: torch.floor(v / 12345.678 * 0.1 + 1000.5), half)
    check(lambda v: torch.round(v / 12345.678 * 0.1 + 1000.3), half)


def test_the_mean_of_many():
    check(lambda v: v - v.mean(), 2e4 + NOISE.repeat(101)[:200_003])


def test_squares_of_another_value():
    check(lambda v, one: torch.addcmul(v / 0.453592, one, one), of(14.4), ONE)


def test_whole_numbers_beside_floats():
    mask = torch.tensor([False, True, False, True])
    check(lambda v: (v / 8**0.5).masked_fill(mask, -(2**31)).softmax(0), of(1, 0.5, 2, -1))
    check(lambda v: v + 2**40, ONE)
    for work in (lambda v: v + 2**48, lambda v: 2**48 - v, lambda v: v + torch.tensor([2**48])):
        with pytest.raises(mpctensor.EncodingError):
            work(mpctensor.encrypt(ONE))


def test_celu_of_large_values():
    check(lambda v: F.celu(v, 1.234), of(1e5, -2.0))


def test_fills_that_a_secret_chooses_do_not_wrap_under_factors():
    x, mask = on_grid(3), torch.tensor([True, False, True])
    for fn in (
        lambda v, m: torch.where(m, -1e8, v) / 1.41421 / 57.2958,
        lambda v, m: v.masked_fill(m, 1e6) * 0.3173 * 0.71717,
    ):
        check(fn, x, mask)
