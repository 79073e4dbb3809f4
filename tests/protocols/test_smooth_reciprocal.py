"""Division, roots and logarithms against their plaintext twins, with their costs."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth import plaintext
from mpctensor.share import Share
from mpctensor.transport import cost
from tests.sharing import UNIT, make_session, raw_of, share_raw, share_value, value_of

SCALES = [
    (1, 1),
    (UNIT, UNIT),
    (UNIT**2, UNIT),
    (3 * UNIT**2, UNIT),
    (10**5, 10**5),
    (10**10, 10**5),
]
GENERATOR = torch.Generator().manual_seed(5)


def spread(scale: int, low: float = 0.0, n: int = 5000) -> Tensor:
    """Positive ring elements of all magnitudes up to 2^30 * scale, powers of two and neighbours."""
    top = min(62.0, 30 + torch.tensor(float(scale)).log2().item())
    z = (2.0 ** (torch.rand(n, generator=GENERATOR).double() * top)).long()
    powers = 1 << torch.arange(int(top))
    z = torch.cat([z, powers, powers + 1, (powers - 1).clamp(min=1), torch.arange(1, 40)])
    return z[(z >= 1) & (z < 2.0**top) & (z >= low * scale)]


def worst(y: Share, expected: Tensor, absolute: float) -> float:
    """The largest relative error beside an absolute one."""
    error = (value_of(y) - expected).abs() - absolute
    return (error.clamp(min=0) / expected.abs()).max().item()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_roots(n: int, scale: int, unit: int) -> None:
    session, z = make_session(n), spread(scale)
    x = z.double() / scale
    root = mpc.sqrt(share_raw(session, z, scale, unit))
    inverse = mpc.rsqrt(share_raw(session, z, scale, unit))
    assert min(root.scale, inverse.scale) >= unit**2
    assert worst(root, plaintext.sqrt(x), 1 / root.scale) <= 2**-15.9
    assert worst(inverse, plaintext.rsqrt(x), 2 / inverse.scale) <= 2**-15.9


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_log(n: int, scale: int, unit: int) -> None:
    z = torch.cat([spread(scale), torch.tensor([0, -1, -(1 << 50)])])
    y = mpc.log(share_raw(make_session(n), z, scale, unit))
    error = value_of(y) - plaintext.log(z.double() / scale, scale)
    assert y.scale == y.unit and error.abs().max() <= 2**-17 + 1.05 / y.unit


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_reciprocal(n: int, scale: int, unit: int, positive: bool) -> None:
    z = spread(scale, 2.0**-25)
    if not positive:
        z[::2] *= -1
    y = mpc.reciprocal(share_raw(make_session(n), z, scale, unit), positive)
    expected = plaintext.reciprocal(z.double() / scale)
    assert worst(y, expected, 2**-17) <= 2**-14.3


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("x_scale", [1, UNIT, UNIT**2, 10**5])
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_divide(n: int, x_scale: int, scale: int, unit: int, positive: bool) -> None:
    session, below = make_session(n), spread(scale, 2.0**-27, 2000)
    quotients = 2.0 ** (torch.rand(len(below), generator=GENERATOR).double() * 38 - 17)
    above = quotients * below.double() / scale * x_scale
    fits = above < 2.0**61
    above, below = above[fits].round().long(), below[fits]
    if not positive:
        below[::2] *= -1
        above[::3] *= -1
    x, y = share_raw(session, above, x_scale, unit), share_raw(session, below, scale, unit)
    expected = plaintext.divide(above.double() / x_scale, below.double() / scale)
    inside = expected.abs() < 2**22
    error = (value_of(mpc.divide(x, y, positive)) - expected).abs()
    assert torch.all(error[inside] <= expected[inside].abs() * 2**-14 + 2**-16)


def test_nothing_divided_by_nothing() -> None:
    """Zero and numbers too small to count give 0, finite and exact."""
    session = make_session()
    tiny = share_raw(session, torch.tensor([0, 1, -1, 3, 0]), 1 << 32)
    x = share_raw(session, torch.tensor([0, 0, 1 << 40, 1 << 40, 1 << 61]), 1 << 32)
    assert raw_of(mpc.divide(x, tiny)).tolist() == [0] * 5
    assert raw_of(mpc.reciprocal(tiny)).tolist() == [0] * 5
    below = share_raw(session, torch.tensor([0, -1, -UNIT, -(1 << 61)]))
    assert raw_of(mpc.sqrt(below)).tolist() == raw_of(mpc.rsqrt(below)).tolist() == [0] * 4


@pytest.mark.parametrize("n", [2, 3])
def test_adams_step(n: int) -> None:
    """Second moments at 32 fractional bits: small ones count, and a zero gradient moves nothing."""
    session = make_session(n)
    moment = torch.tensor([0, 1e-9, 1e-8, 1e-6, 1e-4, 1e-2, 1, 100]).double()
    gradient = moment.sqrt() * torch.tensor([0, 1, -1, 1, -1, 0.1, -0.5, 3])
    v, m = (share_value(session, value, UNIT**2) for value in (moment, gradient))
    root = mpc.sqrt(v)
    assert (value_of(root) - value_of(v).sqrt()).abs().max() < 2**-13
    assert (value_of(root) - value_of(v).sqrt()).abs()[:4].max() < 2**-24
    denominator = mpc.add_scalar(mpc.scaled(root, 1 / 0.0316), 1e-8)
    step = value_of(mpc.divide(m, denominator))
    expected = value_of(m) / (value_of(v).sqrt() / 0.0316 + 1e-8)
    assert step[0] == 0 and torch.allclose(step, expected, rtol=3e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("left", "right"), [((4, 1, 5), (3, 1)), ((3,), ()), ((), (2, 3)), ((0, 3), ()), ((2, 3), (3,))]
)
def test_divide_broadcasts(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    session = make_session()
    x, y = share_value(session, torch.randn(left)), share_value(session, torch.rand(right) + 0.5)
    expected = value_of(x) / value_of(y)
    out = value_of(mpc.divide(x, y))
    assert out.shape == expected.shape and torch.allclose(out, expected, rtol=1e-4, atol=2e-5)


def test_divide_with_a_public_operand() -> None:
    session = make_session()
    plain, secret = torch.tensor([1.5, -2.0, 0.25]), torch.tensor([4.0, -8.0, 0.5])
    known, x = mpc.constant(session, plain), share_value(session, secret)
    assert torch.allclose(value_of(mpc.divide(known, x)), (plain / secret).double(), rtol=1e-4)
    assert torch.allclose(value_of(mpc.divide(x, known)), (secret / plain).double(), rtol=1e-4)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": torch.t,
    "slice": lambda part: part[1:4, ::2],
    "expanded": lambda part: part[:, :1].expand(-1, 4),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    x = share_value(make_session(), torch.rand(6, 8) + 0.5).map(VIEWS[name])
    plain = value_of(x)
    for verb, twin in (
        (mpc.sqrt, torch.sqrt),
        (mpc.exp, torch.exp),
        (mpc.reciprocal, torch.reciprocal),
    ):
        assert torch.allclose(value_of(verb(x)), twin(plain), rtol=1e-4, atol=2e-5)
    assert torch.allclose(value_of(mpc.divide(x, x)), torch.ones_like(plain), rtol=1e-4)


# Per element with two parties at 16 fractional bits: rounds, bits sent, bits dealt.
COSTS = {
    "sqrt": (mpc.sqrt, 7, 728, 3368),
    "rsqrt": (mpc.rsqrt, 7, 728, 3624),
    "log": (mpc.log, 7, 601, 3406),
    "reciprocal, positive": (lambda x: mpc.reciprocal(x, True), 7, 728, 3624),
    "reciprocal": (mpc.reciprocal, 11, 890, 4144),
    "divide, positive": (lambda x: mpc.divide(x.clone(), x, True), 7, 1048, 3905),
    "divide": (lambda x: mpc.divide(x.clone(), x), 12, 1210, 4425),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    verb, rounds, sent, dealt = COSTS[name]
    x = share_raw(make_session(), torch.arange(1, 641))
    with cost() as spent:
        verb(x)
    assert spent.rounds == rounds
    assert 8 * spent.bytes_sent == 640 * sent
    assert 8 * spent.provider_bytes == pytest.approx(640 * dealt, abs=16 * 8)


@pytest.mark.parametrize("positive", [True, False])
def test_a_second_division_finds_the_divisor_again(positive: bool) -> None:
    session = make_session()
    y = share_value(session, torch.tensor([[3.0, -0.25], [1e4, 2.0**-12]]).abs())
    if not positive:
        y = mpc.neg(y)
    x = share_value(session, torch.randn(3, 2, 2))
    first = mpc.divide(x, y, positive, keep=True)
    for other, opening in ((x, 0), (share_value(session, torch.randn(2, 2)), 1)):
        with cost() as spent:
            again = mpc.divide(other, y, positive)
        assert spent.rounds == 4 - positive + opening
        expected = value_of(other) / value_of(y)
        assert torch.allclose(value_of(again), expected, rtol=2**-13, atol=2**-15)
    assert torch.allclose(value_of(first), value_of(x) / value_of(y), rtol=2**-13, atol=2**-15)
    y.write(mpc.add(y, y))
    changed = value_of(mpc.divide(x, y, positive))
    assert torch.allclose(changed, value_of(x) / value_of(y), rtol=2**-13, atol=2**-15)


def test_what_a_division_keeps_does_not_keep_the_divisor() -> None:
    """It is stored with the divisor, whose memory would never be freed."""
    session = make_session()
    gone = []
    gc.disable()
    try:
        for positive in (True, False):
            y = share_value(session, torch.tensor([3.0, 0.25]))
            mpc.divide(y.clone(), y, positive, keep=True)
            y.facts.derived["probe"] = probe = Probe()
            gone.append(weakref.ref(probe))
            del y, probe
    finally:
        gc.enable()
    assert [ref() for ref in gone] == [None, None]


class Probe:
    """An object that can be watched."""
