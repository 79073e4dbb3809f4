"""exp and its kin, sigmoid and tanh against their plaintext twins."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth import plaintext
from mpctensor.share import Share
from tests.sharing import UNIT, make_session, raw_of, share_raw, value_of

SCALES = [(UNIT, UNIT), (UNIT**2, UNIT), (3 * UNIT, UNIT), (10**5, 10**5), (10**10, 10**5)]
FAR = torch.tensor([0, 1, -1, 1 << 40, -(1 << 40), (1 << 61), -(1 << 61)])


def grid(low: float, high: float, scale: int, n: int = 20001) -> Tensor:
    """Ring elements from low to high, and the ends of the ring."""
    return torch.cat([(torch.linspace(low, high, n).double() * scale).round().long(), FAR])


def units(error: Tensor, share: Share) -> float:
    """The largest error in units of the last place."""
    return (error.abs().max() * share.unit).item()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_exp(n: int, scale: int, unit: int) -> None:
    z = grid(-13, 15, scale)
    y = mpc.exp(share_raw(make_session(n), z, scale, unit))
    x = z.double() / scale
    expected = plaintext.exp(x, unit)
    error = (value_of(y) - expected).abs()
    near_cut = (torch.exp(x) * unit > 0.4) & (torch.exp(x) * unit < 1.1)
    assert y.scale == unit
    assert torch.all(error[~near_cut] <= 1.15 / unit + expected[~near_cut] * 2**-17.8)
    assert torch.all(error <= 2.2 / unit + expected * 2**-17.8)
    assert torch.all(raw_of(y)[x < -11.8] == 0)
    assert units(error[(x <= 0) & ~near_cut], y) <= 1.25


@pytest.mark.parametrize("n", [2, 3])
def test_exp_of_negative_numbers(n: int) -> None:
    z = grid(-13, 0, UNIT)
    z = z[z <= 0]
    y = mpc.exp_nonpositive(share_raw(make_session(n), z))
    expected = plaintext.exp(z.double() / UNIT, UNIT)
    assert units(value_of(y) - expected, y) <= 1.1
    assert raw_of(y)[z == 0].tolist() in ([65536] * 2, [65535, 65536], [65536, 65535], [65535] * 2)


def test_exp_rests_where_it_would_overflow() -> None:
    y = mpc.exp(share_raw(make_session(), torch.tensor([15, 100, 1 << 44]) * UNIT))
    assert torch.allclose(value_of(y), torch.full((3,), 2.0 ** (20 + 15 / 16)).double())


def test_exp_of_integers() -> None:
    y = mpc.exp(share_raw(make_session(), torch.tensor([0, 1, -3, 14]), 1, 1))
    assert torch.allclose(value_of(y), torch.tensor([0.0, 1, -3, 14]).double().exp(), atol=2 / UNIT)
    assert y.unit == UNIT and y.dtype == torch.float32


CURVES: dict[str, tuple[Callable[[Share], Share], Callable[[Tensor], Tensor], float]] = {
    "sigmoid": (mpc.sigmoid, plaintext.sigmoid, 7.2e-6),
    "tanh": (mpc.tanh, plaintext.tanh, 1.44e-5),
}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
@pytest.mark.parametrize("name", CURVES)
def test_curves(name: str, n: int, scale: int, unit: int) -> None:
    verb, twin, fit = CURVES[name]
    z = grid(-14, 14, scale)
    ends = torch.tensor([-12, -6, 6, 12]) * scale
    z = torch.cat([z, ends, ends - 1, ends + 1])
    y = verb(share_raw(make_session(n), z, scale, unit))
    error = (value_of(y) - twin(z.double() / scale)).abs()
    assert y.scale == unit and error.max() <= fit + 1.01 / unit


@pytest.mark.parametrize("name", CURVES)
def test_curves_rest_exactly(name: str) -> None:
    z = torch.tensor([-(1 << 61), -13 * UNIT, 12 * UNIT, 1 << 61])
    low = 0 if name == "sigmoid" else -UNIT
    assert raw_of(CURVES[name][0](share_raw(make_session(), z))).tolist() == [low] * 2 + [UNIT] * 2
