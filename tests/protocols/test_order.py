"""Elements in order: each way against torch's stable sort, with ties; costs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.protocols import order
from mpctensor.session import Session
from mpctensor.share import Share
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_raw

GENERATOR = torch.Generator().manual_seed(4)

WAYS: dict[str, tuple[Callable[..., tuple[Share, mpc.Selection]], int, int]] = {
    "pairs": (order._by_pairs, 0, 9),
    "blocks": (order._by_blocks, 1, 4),
    "network": (order._by_network, 3, 30),
}


def with_ties(*size: int) -> Tensor:
    return torch.randint(-8, 8, size, generator=GENERATOR)


def expected_of(x: Tensor, start: int, stop: int, largest: bool) -> tuple[Tensor, Tensor]:
    values, index = torch.sort(x, dim=-1, stable=True, descending=largest)
    return values[..., start:stop], index[..., start:stop]


def assert_ordered(session: Session, x: Tensor, start: int, stop: int, way: str, **named: bool):
    values, index = expected_of(x, start, stop, named.get("largest", False))
    value, chosen = WAYS[way][0](share_raw(session, x), start, stop, named.get("largest", False))
    assert torch.equal(raw_of(value), values)
    assert torch.equal(raw_of(chosen.index()), index)
    y, g = with_ties(*x.shape), with_ties(*values.shape)
    assert torch.equal(raw_of(chosen.pick(share_raw(session, y))), y.gather(-1, index))
    routed = torch.zeros_like(x).scatter(-1, index, g)
    assert torch.equal(raw_of(chosen.route(share_raw(session, g))), routed)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("largest", [False, True])
def test_values_positions_and_gradients(n: int, way: str, largest: bool) -> None:
    _, start, stop = WAYS[way]
    for size in ((35,), (2, 3, 70)):
        assert_ordered(make_session(n), with_ties(*size), start, stop, way, largest=largest)


@pytest.mark.parametrize("way", ["pairs", "network"])
def test_every_short_length(way: str) -> None:
    session = make_session()
    for n in range(1, 10):
        assert_ordered(session, with_ties(4, n), 0, n, way)


@pytest.mark.parametrize("way", WAYS)
def test_numbers_far_apart(way: str) -> None:
    """Fills such as finfo.min rest at 2^60 and do not disturb the rest."""
    x = with_ties(40)
    x[::7], x[3] = -(1 << 60), 1 << 61
    assert_ordered(make_session(), x, 0, 8, way)


def test_what_is_compared_sends_the_same_for_all_orders() -> None:
    """What is opened hangs on sizes alone."""
    spent = []
    for x in (torch.arange(70), torch.zeros(70, dtype=torch.int64), with_ties(70)):
        session = make_session()
        with cost() as found:
            order._by_network(share_raw(session, x), 0, 70, False)
        spent.append((found.rounds, found.bytes_sent, found.provider_bytes))
    assert len(set(spent)) == 1


@pytest.mark.parametrize("link, rounds", [("lan", 6), ("wan", 5)])
def test_cost_of_all_pairs(link: str, rounds: int) -> None:
    n, kept, pairs = 64, 8, 64 * 63 // 2
    session = make_session(link=link)
    with cost() as spent:
        mpc.ordered(share_raw(session, with_ties(n)), 0, kept)
    assert spent.rounds == rounds
    if link == "lan":
        assert spent.bytes_sent * 8 == 98 * pairs + 64 * (2 * n + n * kept)
        assert spent.provider_bytes * 8 == 392 * pairs + 64 * (n * 64 + kept)


def test_cost_of_a_gradient_is_one_opening() -> None:
    session = make_session()
    _, chosen = mpc.ordered(share_raw(session, with_ties(16)), 0, 4)
    with cost() as spent:
        chosen.index()
        chosen.route(share_raw(session, with_ties(4)))
    assert (spent.rounds, spent.bytes_sent, spent.provider_bytes) == (1, 8 * 4, 8 * 16)


def test_cost_of_the_network() -> None:
    """log2 n (log2 n + 1) / 2 stages of 5 rounds; gradients one round a stage."""
    session, n = make_session(), 32
    pairs = sum(low.numel() for low, _ in order.merge_exchange(n))
    with cost() as spent:
        _, chosen = order._by_network(share_raw(session, with_ties(8, n)), 0, n, False)
    assert spent.rounds == 15 * 5
    assert spent.bytes_sent == 8 * pairs * 328 // 8 and spent.provider_bytes == pairs * 1360
    with cost() as spent:
        chosen.route(share_raw(session, with_ties(8, n)))
    assert spent.rounds == 15 and spent.bytes_sent == 8 * pairs * 8


def test_few_of_many_need_few_rounds() -> None:
    session = make_session()
    with cost() as spent:
        value, _ = mpc.ordered(share_raw(session, with_ties(3000)), 0, 2, largest=True)
    assert spent.rounds == 12  # 93 blocks leave 186 + 24, which are few enough for all pairs
    assert raw_of(value).tolist() == [7, 7]


@pytest.mark.parametrize(
    "rows, n, kept", [(27, 100, 32), (140, 50, 5), (40, 200, 20), (1, 800, 32)]
)
def test_every_size_finds_a_way(monkeypatch: pytest.MonkeyPatch, rows: int, n: int, kept: int):
    monkeypatch.setattr(order, "MANY_PAIRS", 1 << 17)
    x = with_ties(rows, n)
    value, chosen = mpc.ordered(share_raw(make_session(), x), 0, kept)
    values, index = expected_of(x, 0, kept, False)
    assert torch.equal(raw_of(value), values) and torch.equal(raw_of(chosen.index()), index)


def test_the_network_sorts_any_length() -> None:
    """It sorts all rows of 0 and 1, so it sorts everything (Knuth's zero-one principle)."""
    for n in range(1, 13):
        rows = (torch.arange(1 << n).unsqueeze(1) >> torch.arange(n)) & 1
        x = rows.clone()
        for low, high in order.merge_exchange(n):
            assert len({*low.tolist(), *high.tolist()}) == 2 * low.numel()
            a, b = x[:, low], x[:, high]
            x[:, low], x[:, high] = torch.minimum(a, b), torch.maximum(a, b)
        assert torch.equal(x, rows.sort(1).values)
