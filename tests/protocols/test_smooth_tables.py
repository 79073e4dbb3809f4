"""The public integer tables, the dealt factors, and what each party may see of the protocols."""

from fractions import Fraction
from math import exp, log, tau

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth.intervals import ladder, place
from mpctensor.protocols.smooth.tables import harmonics, log_of, power_of_two, ramp, segment_of
from mpctensor.protocols.smooth.words import shifted_product, words
from mpctensor.provider.smooth import RATE_BITS, Term
from mpctensor.session import Session
from mpctensor.share import Share
from tests.sharing import make_session, raw_of, run_each_party_alone, share_raw, value_of

PHASES = torch.cat(
    [
        torch.randint(-(1 << 62), 1 << 62, (5000,)) * 2,
        torch.tensor([0, -1, 1, (1 << 63) - 1, -(1 << 63)]),
    ]
)


def fraction(phase: torch.Tensor) -> torch.Tensor:
    return ((phase >> 11) & ((1 << 53) - 1)).double() / 2.0**53


@pytest.mark.parametrize("rate", [-139.0, -3.0, 11.0, 33.0])
@pytest.mark.parametrize("segment_bits", [1, 3, 4])
def test_ramp(rate: float, segment_bits: int) -> None:
    term = Term(round(rate * 2**RATE_BITS), segment_bits, 1, 0)
    if not -18 < rate / 2**segment_bits < 12:
        return
    inside = (fraction(PHASES) * 2**segment_bits) % 1
    expected = torch.exp(inside * rate / 2**segment_bits) * 2.0**30
    error = (ramp(PHASES, term, 30).double() - expected).abs()
    assert torch.all(error <= 1 + expected * 2**-20)
    segment = (fraction(PHASES) * 2**segment_bits).floor().long() % 2**segment_bits
    assert torch.equal(segment_of(PHASES, segment_bits), segment)


def test_harmonics() -> None:
    angle = fraction(PHASES) * tau
    for j, (cos, sin) in enumerate(harmonics(PHASES, 16), 1):
        assert (cos.double() / 2**30 - torch.cos(j * angle)).abs().max() < j * 2**-22
        assert (sin.double() / 2**30 - torch.sin(j * angle)).abs().max() < j * 2**-22


def test_constants() -> None:
    assert abs(power_of_two(335, 1 << 30) / 2**30 - 2 ** (335 / 16)) < 1e-3
    assert abs(float(log_of(65536)) - 16 * log(2)) < 1e-15 and log_of(1) == Fraction(0)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("shift", [1, 18, 42, 61])
def test_shifted_product(n: int, shift: int) -> None:
    session = make_session(n)
    z = torch.randint(-(1 << 61), 1 << 61, (3, 1))
    y = torch.randint(-(1 << 62), 1 << 62, (3, 50))
    y[:, 0], y[:, 1] = 0, 1
    z = z.expand(3, 50).contiguous()
    out = shifted_product(
        words(session, share_raw(session, z, 1, 1).parts), shift, share_raw(session, y, 1, 1)
    )
    rounded = raw_of(out) - (z >> shift) * y
    assert torch.all((rounded == 0) | (rounded == y)) and torch.all(raw_of(out)[:, 0] == 0)


@pytest.mark.parametrize("n", [2, 3])
def test_places(n: int) -> None:
    on = ladder(5, 46)
    z = torch.cat([1 << torch.arange(46), (1 << torch.arange(46)) - 1, -(1 << torch.arange(46))])
    placed = place(share_raw(make_session(n), z), on)
    levels = raw_of(placed.weigh([10 + j for j in range(on.count)], 7))
    for element, level in zip(z.tolist(), levels.tolist(), strict=True):
        expected = [10 + j for j, low in enumerate(on.thresholds) if element >= low]
        assert level == (expected[-1] if expected else 7)
    t = raw_of(placed.normaliser()) * z
    inside = z >= 32
    assert torch.all((t[inside] >> 59 >= 1) & (t[inside] >> 59 < 16)) and torch.all(t[~inside] == 0)


def x_of(session: Session, *size: int) -> Share:
    generator = torch.Generator().manual_seed(3)
    plain = torch.rand(*size, generator=generator).double() * 4 + 0.1
    return share_raw(session, (plain * 65536).long())


def scaled_down(x: Share) -> Share:
    """Below 1, at a finer scale."""
    return mpc.scaled(x, Fraction(1, 8))


def gelu_and_slope(session: Session) -> Share:
    """The slope from the comparison that the function left."""
    x = x_of(session, 70)
    y = mpc.ramp(x, "gelu", keep=True)
    return mpc.add(y, mpc.ramp_slope(x, "gelu"))


PROGRAMS = {
    "exp": lambda s: mpc.exp(x_of(s, 70)),
    "exp_nonpositive": lambda s: mpc.exp_nonpositive(mpc.neg(x_of(s, 70))),
    "sigmoid": lambda s: mpc.sigmoid(x_of(s, 70)),
    "tanh": lambda s: mpc.tanh(x_of(s, 9)),
    "erf": lambda s: mpc.erf(x_of(s, 9)),
    "gelu": lambda s: mpc.ramp(x_of(s, 9), "gelu"),
    "slope of mish": lambda s: mpc.ramp_slope(x_of(s, 9), "mish"),
    "gelu and its slope": gelu_and_slope,
    "exp and relu": lambda s: mpc.add(*mpc.exp_and_relu(x_of(s, 9))),
    "sin": lambda s: mpc.sin(x_of(s, 9)),
    "tan": lambda s: mpc.tan(scaled_down(x_of(s, 9))),
    "sinh": lambda s: mpc.sinh(x_of(s, 9)),
    "arctan": lambda s: mpc.arctan(x_of(s, 9)),
    "arctan2": lambda s: mpc.arctan2(x_of(s, 2, 3), x_of(s, 3)),
    "arcsin": lambda s: mpc.arcsin(scaled_down(x_of(s, 9))),
    "power": lambda s: mpc.power(x_of(s, 9), Fraction(-3, 2)),
    "logsumexp": lambda s: mpc.logsumexp(x_of(s, 3, 4), 1),
    "sqrt": lambda s: mpc.sqrt(x_of(s, 9)),
    "rsqrt": lambda s: mpc.rsqrt(x_of(s, 9)),
    "log": lambda s: mpc.log(x_of(s, 9)),
    "reciprocal": lambda s: mpc.reciprocal(x_of(s, 9)),
    "divide": lambda s: mpc.divide(x_of(s, 3, 4), x_of(s, 4)),
    "softmax": lambda s: mpc.softmax(x_of(s, 3, 4), 1),
    "softmax by the maximum": lambda s: mpc.softmax(x_of(s, 2, 20), 1),
    "log_softmax": lambda s: mpc.log_softmax(x_of(s, 3, 4), 1),
}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("name", PROGRAMS)
def test_party_needs_only_its_own_part(name: str, n: int) -> None:
    def program(session: Session) -> Share:
        if 0 not in session.local:
            own = session.input
            session.input = lambda raw, size, source: own(None, size, source)  # type: ignore[method-assign]
        return PROGRAMS[name](session)

    run_each_party_alone(n, program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_do_not_depend_on_the_seed(name: str) -> None:
    """Other masks change the rounding and nothing else."""
    first, second = (value_of(PROGRAMS[name](make_session(seed=seed))) for seed in (1, 2))
    assert torch.allclose(first, second, rtol=exp(-9), atol=2**-14)
