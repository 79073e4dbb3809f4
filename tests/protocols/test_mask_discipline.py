"""One test for each rule of the mask discipline (docs/security.md)."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.errors import SessionError
from mpctensor.provider import MaskView, PartyKeys, Request
from mpctensor.provider.keys import derive, mask_key, operation_key
from mpctensor.provider.requests import BETA, DIGITS, MASKS, threshold_stream
from mpctensor.session import Session
from mpctensor.share import Share
from mpctensor.starting import simulated
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_value, value_of


def x_of(session: Session, *size: int) -> Share:
    return share_value(session, torch.randn(*size))


def opened_positions(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int]]:
    """Counts, at party 0, how often each (mask id, position) went into a message."""
    counts: Counter[tuple[int, int]] = Counter()
    original = PartyKeys.mask

    def watching(self: PartyKeys, base: object, mask_id: int, start: int, n: int) -> torch.Tensor:
        if base is not None and self is watching.first:  # type: ignore[attr-defined]
            counts.update((mask_id, position) for position in range(start, start + n))
        return original(self, base, mask_id, start, n)  # type: ignore[arg-type]

    watching.first = None  # type: ignore[attr-defined]
    monkeypatch.setattr(PartyKeys, "mask", watching)
    counts.watch = lambda session: setattr(watching, "first", session.party(0))  # type: ignore[attr-defined]
    return counts


def test_each_position_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = opened_positions(monkeypatch)
    session = make_session()
    counts.watch(session)  # type: ignore[attr-defined]
    data, weight = x_of(session, 32, 6), x_of(session, 4, 6)
    for _ in range(2):  # two epochs over batches that are slices
        for start in range(0, 32, 8):
            batch = data.map(lambda part, start=start: part[start : start + 8])
            out = mpc.matmul(batch, weight.map(torch.t))
            mpc.matmul(mpc.relu(out)[0].map(torch.t), batch)
    mpc.mul(data, data.map(lambda part: part.flip(0).flip(0)))
    assert counts and max(counts.values()) == 1


def test_opened_batches_cost_nothing_the_second_time() -> None:
    session = make_session()
    data, weight = x_of(session, 16, 3), x_of(session, 3, 2)
    for expected in (8 * (8 * 3 + 6), 8 * 8 * 3, 0, 0):
        start = 0 if expected in (8 * (8 * 3 + 6), 0) else 8
        batch = data.map(lambda part, start=start: part[start : start + 8])
        with cost() as spent:
            mpc.matmul(batch, weight)
        assert spent.bytes_sent == expected


def test_mask_id_follows_every_write() -> None:
    session = make_session()
    x, y = x_of(session, 5), x_of(session, 5)
    mpc.masked(x)
    first = x.facts.mask
    x.write(y)
    assert x.facts.mask is None and x.facts.opened is None
    mpc.masked(x)
    assert x.facts.mask is not None and first is not None and x.facts.mask > first


def test_outside_write_to_a_part_is_noticed() -> None:
    session = make_session()
    x = x_of(session, 5)
    mpc.masked(x)
    x.parts[0].add_(1)
    assert x.facts.mask is None and x.facts.opened is None


def test_clone_does_not_copy_the_mask() -> None:
    session = make_session()
    x = x_of(session, 5)
    mpc.masked(x)
    assert x.clone().facts.mask is None
    assert x.map(lambda part: part.view(5, 1)).facts.mask == x.facts.mask


def test_mask_ids_are_counted_and_the_same_at_every_party() -> None:
    ids = []
    for _ in range(2):
        session = make_session()
        shares = [x_of(session, 3) for _ in range(4)]
        for share in shares:
            mpc.masked(share)
        ids.append([share.facts.mask for share in shares])
    assert ids[0] == ids[1] == sorted(set(ids[0]))


def test_one_opened_form_only() -> None:
    """Signs, scales and offsets act on the public c; x itself is opened as x + r only."""
    session = make_session()
    x = x_of(session, 6)
    (m,) = mpc.masked(x)
    r = m.mask_part(0) + m.mask_part(1)
    assert torch.equal(m.c, raw_of(x) + r)
    mpc.negative(x), mpc.positive(x), mpc.relu(x), mpc.mul(x, mpc.neg(x).map(torch.neg))
    assert torch.equal(mpc.masked(x)[0].c, m.c) and mpc.masked(x)[0].mask == m.mask


def test_operations_never_share_a_key() -> None:
    """Two requests that differ in nothing but their number get unrelated streams."""
    session = make_session()
    x = x_of(session, 6)
    digests = []
    original = session.deal

    def watching(*args: object, **kwargs: object) -> object:
        dealt = original(*args, **kwargs)  # type: ignore[arg-type]
        digests.append(dealt.request.digest)
        return dealt

    session.deal = watching  # type: ignore[method-assign, assignment]
    for _ in range(3):
        mpc.square(x), mpc.relu(x), mpc.positive(x), mpc.fit(mpc.mul(x, x))
    assert len(set(digests)) == len(digests) > 10


@pytest.mark.parametrize("op", DIGITS)
def test_streams_of_a_comparison_differ(op: str) -> None:
    """Under one operation key, whatever masks or shares a value has a stream of its own."""
    mask = MaskView(1, 5, (5,), (1,), 0)
    streams = [item.stream for item in Request(op, 1, (mask,), ("select_shift", 16, 3)).layout]
    for t in range(3):
        own = (*MASKS[: DIGITS[op].merges], BETA)
        streams += [threshold_stream(t, which) for which in own]
    assert len(set(streams)) == len(streams) == 1 + 3 * (5 + 1 + 2 * DIGITS[op].merges)


def test_comparisons_of_different_kinds_never_share_a_key() -> None:
    """The same number, mask and parameters: the digest, which keys all streams, names the kind."""
    mask = MaskView(1, 5, (5,), (1,), 0)
    assert len({Request(op, 1, (mask,), ("bit", 0, 1)).digest for op in DIGITS}) == len(DIGITS)


def test_only_masks_are_keyed_by_mask_id() -> None:
    seed, nonce = b"s" * 32, b"n" * 32
    keys = {
        mask_key(seed, nonce),
        operation_key(seed, nonce, b"d" * 32),
        operation_key(seed, nonce, b"e" * 32),
        derive(seed, "input", nonce),
        mask_key(seed, b"m" * 32),
        mask_key(b"t" * 32, nonce),
    }
    assert len(keys) == 6 and all(len(key) == 16 for key in keys)


def test_restarted_session_repeats_no_stream() -> None:
    words = []
    for _ in range(2):
        session = simulated(("alice", "bob"), "james", unit=1 << 16)
        words.append(session.party(0).mask(None, 1, 0, 4))
    assert not torch.equal(words[0], words[1])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_numbers_are_never_rolled_back(error: type[BaseException]) -> None:
    session = make_session()
    x = x_of(session, 3)
    before = session.next_operation()

    def failing(request: object) -> list[torch.Tensor]:
        raise error

    provider, session._provider.deal = session._provider.deal, failing  # type: ignore[method-assign]
    with pytest.raises(error):
        mpc.square(x)
    session._provider.deal = provider  # type: ignore[method-assign]
    assert session.next_operation() >= before + 2
    out = mpc.square(x)
    assert torch.allclose(value_of(out), value_of(x) ** 2)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interrupted_opening_is_not_taken_for_an_opening(error: type[BaseException]) -> None:
    session = make_session()
    x = x_of(session, 3)
    working = session.transport.open

    def failing(batch: object) -> list[torch.Tensor]:
        raise error

    session.transport.open = failing  # type: ignore[method-assign, assignment]
    with pytest.raises(error):
        mpc.masked(x)
    session.transport.open = working  # type: ignore[method-assign]
    assert x.facts.known is False and x.facts.mask is None
    assert torch.allclose(value_of(mpc.square(x)), value_of(x) ** 2)


def _in_child(queue: multiprocessing.Queue[str], use: Callable[[], object]) -> None:
    try:
        use()
        queue.put("no error")
    except SessionError as failure:
        queue.put(str(failure))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_may_not_use_the_session() -> None:
    session = make_session()
    x = x_of(session, 3)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()  # type: ignore[assignment]
    child = context.Process(target=_in_child, args=(queue, lambda: mpc.square(x)))
    child.start()
    message = queue.get(timeout=30)
    child.join()
    assert "fork" in message


def test_session_cannot_be_pickled() -> None:
    with pytest.raises(SessionError, match="pickled"):
        pickle.dumps(make_session())


def test_shares_ignore_torchs_generator() -> None:
    parts = []
    for _ in range(2):
        torch.manual_seed(5)
        session = simulated(("alice", "bob"), "james", unit=1 << 16)
        parts.append(session.input(torch.zeros(4, dtype=torch.int64), (4,), 0)[1])
    assert not torch.equal(parts[0], parts[1])


def test_public_operands_are_integers() -> None:
    session = make_session()
    weight = torch.randn(5)
    known = mpc.constant(session, weight).public
    assert known is not None and known.dtype == torch.int64
    assert torch.equal(known, mpc.constant(session, weight.clone()).public)  # type: ignore[arg-type]
