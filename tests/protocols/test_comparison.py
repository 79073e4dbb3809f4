"""Comparisons, ReLU and kin against plain integers, with their costs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.share import Share
from mpctensor.transport import Cost as Spent
from mpctensor.transport import cost
from tests.sharing import EDGES, UNIT, make_session, raw_of, share_raw, value_of

GENERATOR = torch.Generator().manual_seed(5)


def values(n: int = 2000) -> Tensor:
    """Ring elements of all magnitudes, edges first."""
    wide = torch.randint(-(1 << 62), 1 << 62, (n,), generator=GENERATOR)
    shift = torch.randint(0, 62, (n,), generator=GENERATOR)
    return torch.cat([EDGES, wide >> shift])


each_link = pytest.mark.parametrize("link", ["lan", "wan"])

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
@each_link
def test_bits(name: str, n: int, link: str) -> None:
    verb, twin = BITS[name]
    z = values()
    assert torch.equal(raw_of(verb(share_raw(make_session(n, link=link), z))), twin(z).long())


@pytest.mark.parametrize("n", [2, 3])
@each_link
def test_equal_and_less_than(n: int, link: str) -> None:
    session = make_session(n, link=link)
    a, b = values() >> 1, values() >> 1
    b[::3] = a[::3]
    b[1::3] = a[1::3] + 1
    x, y = share_raw(session, a), share_raw(session, b)
    assert torch.equal(raw_of(mpc.equal(x, y)), (a == b).long())
    assert torch.equal(raw_of(mpc.less_than(x, y)), (a < b).long())


@pytest.mark.parametrize("n", [2, 3, 5])
@each_link
def test_relu(n: int, link: str) -> None:
    z = values()
    y, bit = mpc.relu(share_raw(make_session(n, link=link), z))
    assert torch.equal(raw_of(y), z.clamp(min=0)) and torch.equal(raw_of(bit), (z > 0).long())


@pytest.mark.parametrize("n", [2, 3])
@each_link
def test_relu_settles_the_truncation(n: int, link: str) -> None:
    z = values()
    y, bit = mpc.relu(share_raw(make_session(n, link=link), z, scale=UNIT * UNIT))
    error = raw_of(y) - (z.clamp(min=0) >> 16)
    assert y.scale == UNIT and set(error.unique().tolist()) <= {0, 1}
    assert torch.all(raw_of(y)[z <= 0] == 0) and torch.equal(raw_of(bit), (z > 0).long())


@pytest.mark.parametrize("n", [2, 3])
@each_link
def test_selections(n: int, link: str) -> None:
    session = make_session(n, link=link)
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
@each_link
def test_clamp(low: float | None, high: float | None, link: str) -> None:
    session = make_session(link=link)
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


@each_link
def test_bit_times_value_after_views(link: str) -> None:
    session = make_session(link=link)
    z = values(100)[:48].view(6, 8)
    bit = mpc.positive(share_raw(session, z))
    g = torch.randint(-(1 << 40), 1 << 40, (8, 6), generator=GENERATOR)
    out = mpc.bit_mul(bit.map(torch.t), share_raw(session, g))
    assert torch.equal(raw_of(out), (z > 0).long().t() * g)
    row = mpc.bit_mul(bit.map(lambda part: part[2:3]), share_raw(session, g.t().contiguous()))
    assert torch.equal(raw_of(row), (z > 0).long()[2:3] * g.t())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("n", [2, 3])
@each_link
def test_maximum_along(size: int, n: int, link: str) -> None:
    session = make_session(n, link=link)
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
Cost = tuple[int, int, int]  # rounds; bits sent and dealt, an element

# By link: "lan", "wan".
COSTS: dict[str, tuple[Callable[[Share], object], int, Cost, Cost]] = {
    "positive": (mpc.positive, UNIT, (4, 98, 392), (3, 81, 1956)),
    "equal": (
        lambda x: mpc.equal(x, mpc.constant(x.session, torch.zeros(N))),
        UNIT,
        (4, 85, 359),
        (3, 74, 1837),
    ),
    "sign": (mpc.sign, UNIT, (4, 132, 552), (3, 98, 2769)),
    "relu": (mpc.relu, UNIT, (4, 98, 456), (3, 81, 2020)),
    "relu fused": (mpc.relu, UNIT * UNIT, (4, 98, 552), (3, 81, 2116)),
    "square": (mpc.square, UNIT, (1, 64, 64), (1, 64, 64)),
    "absolute": (mpc.absolute, UNIT, (4, 98, 456), (3, 81, 2020)),
}


def per_element(spent: Spent) -> tuple[float, float, float]:
    return spent.rounds, spent.bytes_sent * 8 / N, spent.provider_bytes * 8 / N


@pytest.mark.parametrize("name", COSTS)
@each_link
def test_costs(name: str, link: str) -> None:
    verb, scale, *expected = COSTS[name]
    x = share_raw(make_session(link=link), values(N)[:N] >> 12, scale)
    with cost() as spent:
        verb(x)
    assert per_element(spent) == expected[link == "wan"]


@pytest.mark.parametrize("link, expected", [("lan", (3, 34, 392)), ("wan", (2, 17, 1956))])
def test_cost_where_the_value_is_open(link: str, expected: Cost) -> None:
    x = share_raw(make_session(link=link), values(N)[:N] >> 12)
    mpc.square(x)
    with cost() as spent:
        mpc.positive(x)
    assert per_element(spent) == expected


def test_cost_of_relu_backward() -> None:
    session = make_session()
    _, bit = mpc.relu(share_raw(session, values(N)[:N]))
    g = share_raw(session, values(N)[:N])
    with cost() as spent:
        mpc.bit_mul(bit, g)
        mpc.bit_mul(bit, g)
    assert per_element(spent) == (1, 64, 128)


def test_bit_times_bit_opens_nothing() -> None:
    session = make_session()
    a, b = (mpc.positive(share_raw(session, values(N)[:N])) for _ in range(2))
    with cost() as spent:
        mpc.both(a, b)
    assert (spent.rounds, spent.bytes_sent) == (0, 0)


@pytest.mark.parametrize("link, expected", [("lan", (8, 294, 1368)), ("wan", (6, 243, 6060))])
def test_max_pool_window_cost(link: str, expected: Cost) -> None:
    """Four candidates: two levels of ReLU, 3 comparisons a window."""
    z = torch.randint(-(1 << 30), 1 << 30, (4, N), generator=GENERATOR)
    x = share_raw(make_session(link=link), z)
    with cost() as spent:
        mpc.max_along(x, 0)
    assert per_element(spent) == expected


@each_link
def test_empty(link: str) -> None:
    x = share_raw(make_session(link=link), torch.zeros(0, dtype=torch.int64))
    assert mpc.relu(x)[0].shape == (0,) and mpc.positive(x).shape == (0,)
