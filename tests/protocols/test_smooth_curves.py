"""Curves, sines, hyperbolic functions, angles and powers at several scales."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth import plaintext
from mpctensor.share import Share
from mpctensor.transport import cost
from tests.sharing import UNIT, make_session, raw_of, share_raw, value_of

SCALES = [(UNIT, UNIT), (UNIT**2, UNIT), (3 * UNIT, UNIT), (10**5, 10**5), (10**10, 10**5)]
ULP = 2.0**-16
RAMPS = list(plaintext.RAMPS)


def slope_of(name: str) -> Callable[[Tensor, int], Tensor]:
    def slope(x: Tensor, _unit: int) -> Tensor:
        x = x.clone().requires_grad_()
        plaintext.RAMPS[name](x).sum().backward()
        assert x.grad is not None
        return x.grad

    return slope


def _ramp(name: str) -> tuple[Callable[[Share], Share], Callable[[Tensor, int], Tensor]]:
    return lambda x: mpc.ramp(x, name), lambda x, _: plaintext.ramp(x, name)


def _slope(name: str) -> tuple[Callable[[Share], Share], Callable[[Tensor, int], Tensor]]:
    return lambda x: mpc.ramp_slope(x, name), slope_of(name)


def _power(p: float) -> tuple[Callable[[Share], Share], Callable[[Tensor, int], Tensor]]:
    return lambda x: mpc.power(x, Fraction(p)), lambda x, unit: plaintext.power(x, p, unit)


# verb, twin, ends, error allowed beside 2^-14 of the value
VERBS = {
    "erf": (mpc.erf, lambda x, _: plaintext.erf(x), 5, 1.4 * ULP),
    **{name: (*_ramp(name), 20, 2.3 * ULP) for name in RAMPS},
    **{f"slope of {name}": (*_slope(name), 20, 2.2 * ULP) for name in RAMPS},
    "sin": (mpc.sin, lambda x, _: x.sin(), 100, 2.1 * ULP),
    "cos": (mpc.cos, lambda x, _: x.cos(), 100, 2.1 * ULP),
    "sinh": (mpc.sinh, plaintext.sinh, 16, 1.2 * ULP),
    "cosh": (mpc.cosh, plaintext.cosh, 16, 1.2 * ULP),
    "arctan": (mpc.arctan, lambda x, _: x.atan(), 300, 3 * ULP),
    "arcsin": (mpc.arcsin, lambda x, _: plaintext.arcsin(x), 2, 5 * ULP),
    "arccos": (mpc.arccos, lambda x, _: plaintext.arccos(x), 2, 5 * ULP),
    "x^2.5": (*_power(2.5), 50, 1.2 * ULP),
    "x^-0.3": (*_power(-0.3), 50, 1.2 * ULP),
}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
@pytest.mark.parametrize("name", VERBS)
def test_verb(name: str, n: int, scale: int, unit: int) -> None:
    verb, twin, end, allowed = VERBS[name]
    z = (torch.linspace(-end, end, 2001).double() * scale).round().long()
    y = verb(share_raw(make_session(n), z, scale, unit))
    expected = twin(z.double() / scale, unit)
    error = (value_of(y) - expected).abs()
    assert torch.all(error <= allowed + expected.abs() * 2**-14), error.max()


@pytest.mark.parametrize("name", RAMPS)
def test_ramps_rest_exactly(name: str) -> None:
    z = torch.tensor([-(1 << 61), -15 * UNIT, 15 * UNIT, 1 << 61])
    y = mpc.ramp(share_raw(make_session(), z), name)
    assert raw_of(y).tolist() == [0, 0, 15 * UNIT, 1 << 61]


def test_exp_and_relu() -> None:
    z = torch.cat([torch.arange(-13 * UNIT, 3 * UNIT, 997), torch.tensor([0, 1 << 61, -(1 << 61)])])
    x, plain = share_raw(make_session(), z), z.double() / UNIT
    low, above = mpc.exp_and_relu(x, keep=True)
    near_cut = (plain + 11.09).abs() < 0.5
    error = (value_of(low) - plain.clamp(max=0).exp()).abs()
    assert error[~near_cut].max() <= 1.2 * ULP and error.max() <= 2.2 * ULP
    assert torch.equal(raw_of(above), z.clamp(min=0))
    with cost() as spent:
        again, positive = mpc.exp_and_sign(x)
    assert spent.rounds == 1 and (value_of(again) - value_of(low)).abs().max() <= ULP
    assert torch.equal(raw_of(positive), (z > 0).long())


def test_arctan2() -> None:
    """Points in all octants, on the axes and at the origin."""
    session = make_session()
    side = torch.tensor([-(1 << 40), -3 * UNIT, -UNIT, -1, 0, 1, UNIT, 3 * UNIT, 1 << 40])
    y, x = side.view(-1, 1), side.view(1, -1)
    out = value_of(mpc.arctan2(share_raw(session, y), share_raw(session, x)))
    assert (out - torch.atan2(y.double(), x.double())).abs().max() < 2**-14


def test_bits_of_a_ramp_vanish_with_its_argument() -> None:
    session = make_session()
    x = share_raw(session, torch.arange(-5, 6) * UNIT)
    mpc.ramp(x, "gelu", keep=True)
    x.write(share_raw(session, torch.arange(11) * UNIT))
    expected = slope_of("gelu")(torch.arange(11.0).double(), UNIT)
    assert (value_of(mpc.ramp_slope(x, "gelu")) - expected).abs().max() < 3 * ULP
