"""Comparisons, ReLU and kin against plain integers, with their costs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.share import Share
from mpctensor.transport import cost
from tests.sharing import EDGES, UNIT, make_session, raw_of, share_raw, value_of

GENERATOR = torch.Generator().manual_seed(5)


def values(n: int = 2000) -> Tensor:
    """Ring elements of all magnitudes, edges first."""
    wide = torch.randint(-(1 << 62), 1 << 62, (n,), generator=GENERATOR)
    shift = torch.randint(0, 62, (n,), generator=GENERATOR)
    return torch.cat([EDGES, wide >> shift])


BITS: dict[str, tuple[Callable[[Share], Share], Callable[[Tensor], Tensor]]] = {
    "positive": (mpc.positive, lambda z: z > 0),
    "nonnegative": (mpc.nonnegative, lambda z: z >= 0),
    "negative": (mpc.negative, lambda z: z < 0),
    "sign": (mpc.sign, torch.sign),
    "invert": (lambda x: mpc.invert(mpc.positive(x)), lambda z: z <= 0),
    "both": (lambda x: mpc.both(mpc.positive(x), mpc.nonnegative(x)), lambda z: z > 0),
    "either": (lambda x: mpc.either(mpc.positive(x), mpc.negative(x)), lambda z: z != 0),
    "differ": (lambda x: mpc.differ(mpc.nonnegative(x), mpc.negative(x)), lambda z: z == z),
}


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("name", BITS)
def test_bits(name: str, n: int) -> None:
    verb, twin = BITS[name]
    z = values()
    assert torch.equal(raw_of(verb(share_raw(make_session(n), z))), twin(z).long())


@pytest.mark.parametrize("n", [2, 3])
def test_equal_and_less_than(n: int) -> None:
    session = make_session(n)
    a, b = values() >> 1, values() >> 1
    b[::3] = a[::3]
    b[1::3] = a[1::3] + 1
    x, y = share_raw(session, a), share_raw(session, b)
    assert torch.equal(raw_of(mpc.equal(x, y)), (a == b).long())
    assert torch.equal(raw_of(mpc.less_than(x, y)), (a < b).long())


@pytest.mark.parametrize("n", [2, 3, 5])
def test_relu(n: int) -> None:
    z = values()
    y, bit = mpc.relu(share_raw(make_session(n), z))
    assert torch.equal(raw_of(y), z.clamp(min=0)) and torch.equal(raw_of(bit), (z > 0).long())


@pytest.mark.parametrize("n", [2, 3])
def test_relu_settles_the_truncation(n: int) -> None:
    z = values()
    y, bit = mpc.relu(share_raw(make_session(n), z, scale=UNIT * UNIT))
    error = raw_of(y) - (z.clamp(min=0) >> 16)
    assert y.scale == UNIT and set(error.unique().tolist()) <= {0, 1}
    assert torch.all(raw_of(y)[z <= 0] == 0) and torch.equal(raw_of(bit), (z > 0).long())


@pytest.mark.parametrize("n", [2, 3])
def test_selections(n: int) -> None:
    session = make_session(n)
    a, b = values() >> 2, values() >> 2
    b[::5] = a[::5]
    x, y = share_raw(session, a), share_raw(session, b)
    larger, took = mpc.maximum(x, y)
    assert torch.equal(raw_of(larger), torch.maximum(a, b)) and torch.equal(
        raw_of(took), (b > a).long()
    )
    smaller, took = mpc.minimum(x, y)
    assert torch.equal(raw_of(smaller), torch.minimum(a, b)) and torch.equal(
        raw_of(took), (b < a).long()
    )
    assert torch.equal(raw_of(mpc.absolute(x)[0]), a.abs())
    chosen = mpc.select(mpc.positive(x), x, y)
    assert torch.equal(raw_of(chosen), torch.where(a > 0, a, b))


@pytest.mark.parametrize("low,high", [(-1.5, 2.0), (None, 0.5), (-0.25, None)])
def test_clamp(low: float | None, high: float | None) -> None:
    session = make_session()
    z = torch.cat([EDGES >> 10, torch.randint(-(1 << 20), 1 << 20, (500,), generator=GENERATOR)])
    z[-1], z[-2], z[-3] = 2 * UNIT, -3 * UNIT // 2, 2 * UNIT + 1
    bounds = [None if b is None else mpc.constant(session, torch.tensor(b)) for b in (low, high)]
    y, inside = mpc.clamp(share_raw(session, z), *bounds)
    real = z.double() / UNIT
    assert torch.equal(value_of(y), real.clamp(low, high))
    expected = torch.ones_like(z)
    if low is not None:
        expected *= (real >= low).long()
    if high is not None:
        expected *= (real <= high).long()
    assert torch.equal(raw_of(inside), expected)


def test_bit_times_value_after_views() -> None:
    session = make_session()
    z = values(100)[:48].view(6, 8)
    bit = mpc.positive(share_raw(session, z))
    g = torch.randint(-(1 << 40), 1 << 40, (8, 6), generator=GENERATOR)
    out = mpc.bit_mul(bit.map(torch.t), share_raw(session, g))
    assert torch.equal(raw_of(out), (z > 0).long().t() * g)
    row = mpc.bit_mul(bit.map(lambda part: part[2:3]), share_raw(session, g.t().contiguous()))
    assert torch.equal(raw_of(row), (z > 0).long()[2:3] * g.t())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("n", [2, 3])
def test_maximum_along(size: int, n: int) -> None:
    session = make_session(n)
    z = torch.randint(-3, 3, (4, size, 5), generator=GENERATOR) * UNIT  # plenty of ties
    value, path = mpc.max_along(share_raw(session, z), 1)
    expected = z.max(1).values
    assert torch.equal(raw_of(value), expected)
    first = (z == expected.unsqueeze(1)).long().argmax(1)
    g = torch.randint(-(1 << 30), 1 << 30, (4, 5), generator=GENERATOR)
    routed = raw_of(path.route(share_raw(session, g)))
    assert torch.equal(routed, torch.zeros_like(z).scatter(1, first.unsqueeze(1), g.unsqueeze(1)))
    if size > 1:
        assert torch.equal(raw_of(path.index()), first)
    smallest, _ = mpc.min_along(share_raw(session, z), 1)
    assert torch.equal(raw_of(smallest), z.min(1).values)


N = 1024
COSTS: dict[str, tuple[Callable[[Share], object], int, tuple[int, int, int]]] = {
    "positive": (mpc.positive, UNIT, (4, 98, 392)),
    "equal": (lambda x: mpc.equal(x, mpc.constant(x.session, torch.zeros(N))), UNIT, (4, 85, 359)),
    "relu": (mpc.relu, UNIT, (4, 98, 456)),
    "relu fused": (mpc.relu, UNIT * UNIT, (4, 98, 552)),
    "square": (mpc.square, UNIT, (1, 64, 64)),
    "absolute": (mpc.absolute, UNIT, (4, 98, 456)),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    verb, scale, (rounds, sent, dealt) = COSTS[name]
    x = share_raw(make_session(), values(N)[:N] >> 12, scale)
    with cost() as spent:
        verb(x)
    bits = (spent.bytes_sent * 8 / N, spent.provider_bytes * 8 / N)
    assert (spent.rounds, *bits) == (rounds, sent, dealt)


def test_cost_of_relu_backward() -> None:
    session = make_session()
    _, bit = mpc.relu(share_raw(session, values(N)[:N]))
    g = share_raw(session, values(N)[:N])
    with cost() as spent:
        mpc.bit_mul(bit, g)
        mpc.bit_mul(bit, g)
    assert (spent.rounds, spent.bytes_sent * 8 / N, spent.provider_bytes * 8 / N) == (1, 64, 128)


def test_bit_times_bit_opens_nothing() -> None:
    session = make_session()
    a, b = (mpc.positive(share_raw(session, values(N)[:N])) for _ in range(2))
    with cost() as spent:
        mpc.both(a, b)
    assert (spent.rounds, spent.bytes_sent) == (0, 0)


def test_max_pool_window_cost() -> None:
    """Four candidates: two levels of ReLU, 3 comparisons a window."""
    x = share_raw(make_session(), torch.randint(-(1 << 30), 1 << 30, (4, N), generator=GENERATOR))
    with cost() as spent:
        mpc.max_along(x, 0)
    assert (spent.rounds, spent.bytes_sent * 8 / N, spent.provider_bytes * 8 / N) == (8, 294, 1368)


def test_empty() -> None:
    x = share_raw(make_session(), torch.zeros(0, dtype=torch.int64))
    assert mpc.relu(x)[0].shape == (0,) and mpc.positive(x).shape == (0,)
