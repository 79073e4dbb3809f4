"""Rounds over real connections, every party a thread here: sums, order, and what breaks them."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Channel, Kind, bytes_of
from mpctensor.network.channel import EMPTY, HEADER, MAGIC
from mpctensor.transport import Meter, NetworkTransport, Opening


def connections() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


def narrow_connections() -> tuple[socket.socket, socket.socket]:
    """Which hold no more than 50 kB each way."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as failed:
        one = failed.enter_context(socket.socket())
        for end in (server, one):
            for room in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                end.setsockopt(socket.SOL_SOCKET, room, 1 << 13)
        one.connect(server.getsockname())
        failed.pop_all()
        return one, server.accept()[0]


def channels(n: int, timeout: float = 20) -> list[dict[int, Channel]]:
    """For each of n parties, its channels to the others."""
    found: list[dict[int, Channel]] = [{} for _ in range(n)]
    for p in range(n):
        for q in range(p + 1, n):
            (there, arrives), (back, returns) = connections(), connections()
            found[p][q] = Channel(f"party {q}", there, returns, timeout)
            found[q][p] = Channel(f"party {p}", back, arrives, timeout)
    return found


def together(n: int, work: Callable[[NetworkTransport], Any], timeout: float = 20) -> list[Any]:
    """What work(transport) gives, or raises, at every party."""
    results: list[Any] = [None] * n
    transports = [
        NetworkTransport(p, links, Meter(), b"nonce")
        for p, links in enumerate(channels(n, timeout))
    ]

    def run(p: int) -> None:
        try:
            results[p] = work(transports[p])
        except BaseException as error:
            results[p] = error
        finally:
            transports[p].close()

    threads = [threading.Thread(target=run, args=(p,)) for p in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a deadlock"
    return results


def message(p: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * seed + p)
    return torch.randint(-(2**63), 2**63 - 1, (size,), generator=generator)


def opening(n: int, p: int, size: int, how: Any = "add", seed: int = 0) -> Opening:
    messages: list[Any] = [None] * n
    messages[p] = message(p, size, seed)
    return Opening(tuple(messages), how, 64 * size)


def expected(n: int, size: int, how: str = "add", seed: int = 0) -> torch.Tensor:
    parts = [message(p, size, seed) for p in range(n)]
    if how == "stack":
        return torch.stack(parts)
    total = parts[0].clone()
    for part in parts[1:]:
        total = total + part if how == "add" else total ^ part
    return total


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("how", ["add", "xor", "stack"])
def test_values_of_any_size(n, how):
    sizes = [0, 1, 7, 4095, 4096, 1 << 15, (1 << 15) + 1, 100_001]

    def work(transport):
        return transport.open([opening(n, transport.me, size, how, size) for size in sizes])

    for values in together(n, work):
        for size, value in zip(sizes, values, strict=True):
            assert torch.equal(value, expected(n, size, how, size))


@pytest.mark.parametrize("n", [2, 3])
def test_large_messages_both_ways_at_once(n):
    size = 6_000_000  # 48 MB to each peer, far more than the connections hold

    def work(transport):
        rounds = [transport.open([opening(n, transport.me, size, "add", i)])[0] for i in range(2)]
        return [torch.equal(value, expected(n, size, "add", i)) for i, value in enumerate(rounds)]

    assert together(n, work) == [[True, True]] * n


@pytest.mark.parametrize("sizes", [(12800, 38400), (12800, 200000, 1, 100000, 33000)])
def test_values_of_uneven_sizes_over_connections_that_hold_little(monkeypatch, sizes):
    """Neither side needs room there for more than it has read of the other's."""
    monkeypatch.setattr(f"{__name__}.connections", narrow_connections)

    def work(transport: NetworkTransport) -> list[torch.Tensor]:
        return transport.open([opening(2, transport.me, size) for size in sizes])

    for found in together(2, work, 5):
        assert isinstance(found, list), found
        assert all(map(torch.equal, found, [expected(2, size) for size in sizes]))


def test_a_message_is_not_overwritten_before_it_has_left():
    """One side reads late, so that its own message waits in the other's sums."""

    def work(transport):
        values = []
        for i in range(6):
            if transport.me == 1:
                threading.Event().wait(0.05)
            values.append(transport.open([opening(2, transport.me, 700_000, "add", i)])[0])
        return [
            torch.equal(value, expected(2, 700_000, "add", i)) for i, value in enumerate(values)
        ]

    assert together(2, work) == [[True] * 6] * 2


@pytest.mark.parametrize("receivers", [[0], [2], [0, 1], [0, 1, 2]])
def test_only_the_receivers_learn(receivers):
    def work(transport):
        before = transport.wire_bytes
        value = transport.gather(opening(3, transport.me, 10_000), receivers)
        sent, received = (b - a for a, b in zip(before, transport.wire_bytes, strict=True))
        return value, sent, received

    for p, (value, sent, received) in enumerate(together(3, work)):
        count = sum(r != p for r in receivers)
        assert 80_000 * count <= sent < 80_000 * count + 1000
        if p in receivers:
            assert torch.equal(value, expected(3, 10_000))
        else:
            assert value is None and received < 1000


def test_one_of_two_learns():
    def work(transport):
        return [transport.gather(opening(2, transport.me, 50_000), [r]) for r in (0, 1)]

    total = expected(2, 50_000)
    (own, nothing), (none, theirs) = together(2, work)
    assert nothing is None and none is None
    assert torch.equal(own, total) and torch.equal(theirs, total)


# What breaks a session


def test_parties_that_differ_both_say_so():
    def work(transport):
        transport.agree("factor", 0.5 + transport.me)
        return transport.open([opening(2, transport.me, 4)])

    for error in together(2, work):
        assert isinstance(error, SessionError) and "do not do the same" in str(error)


def test_a_tensor_enters_the_check_with_all_its_bytes():
    def work(transport):
        value = torch.zeros(1000)
        value[-1] = transport.me * 1e-30
        transport.agree(value)
        return transport.open([opening(2, transport.me, 4)])

    assert all(isinstance(error, SessionError) for error in together(2, work))


def test_a_party_that_leaves():
    def work(transport):
        if transport.me == 1:
            return None
        return transport.open([opening(2, 0, 4)])

    left, _ = together(2, work)
    assert isinstance(left, PeerError)
    assert "party 1 has ended its session before `other` on (4,); every party must run" in str(left)


def test_one_that_gives_up_says_why_to_all():
    def work(transport):
        if transport.me == 2:
            transport.abort("it has a reason")
        return transport.open([opening(3, transport.me, 4)])

    for error in together(3, work)[:2]:
        assert isinstance(error, PeerError) and "it has a reason" in str(error)


@pytest.mark.parametrize("stuck", ["before its message", "in its message", "and takes nothing"])
def test_who_waits_for_one_hears_that_another_gives_up(stuck):
    """At once, not after the timeout, which is longer than `together` waits."""
    told = threading.Event()

    def work(transport):
        if transport.me == 0:
            try:
                return transport.open([opening(3, 0, 6_000_000 if "takes" in stuck else 1000)])
            finally:
                told.set()
        if transport.me == 1:
            if stuck == "in its message":
                header = HEADER.pack(MAGIC, Kind.OPENING, 0, 8000, digest(transport, 1000))
                transport.channels[0].outgoing.sendall(header + bytes(100))
            assert told.wait(60)
            return None
        threading.Event().wait(0.5)
        return transport.abort("it has a reason")

    found = together(3, work, timeout=1000)[0]
    assert isinstance(found, PeerError) and str(found) == "party 2 gave up: it has a reason"


def digest(transport: NetworkTransport, size: int) -> bytes:
    """The running check of a first round in which so many words are opened."""
    transport.agree("round", [(size,)])
    return transport._check.digest()


@pytest.mark.parametrize("size", [10, 100_000])
def test_one_that_is_done_leaves_while_another_is_late(size):
    """Its last message, which has not been received yet, still counts."""

    def work(transport):
        if transport.me == 1:  # the message to party 0 is late
            late, transport.channels = (
                transport.channels[0],
                dict(reversed(transport.channels.items())),
            )
            send = late.send
            late.send = lambda *a, **k: (threading.Event().wait(1), send(*a, **k))[1]
        (value,) = transport.open([opening(3, transport.me, size)])
        return torch.equal(value, expected(3, size))

    assert together(3, work) == [True] * 3


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_message_that_comes_slowly_from_one_does_not_lose_another(size):
    """Party 2 takes party 1's after it; none is silent for as long as the timeout."""

    def slowly(send: Callable[..., Any], count: int) -> Callable[..., None]:
        def sendall(data: bytes) -> None:
            step = -(-len(data) // count)
            for start in range(0, len(data), step):
                threading.Event().wait(0.5)
                send(data[start : start + step])

        return sendall

    def work(transport):
        if transport.me:
            (value,) = transport.open([opening(3, transport.me, size)])
            return torch.equal(value, expected(3, size))
        frame = [bytes_of(message(0, size))]
        check = digest(transport, size)

        def talk(channel: Channel) -> None:
            channel.outgoing.sendall = slowly(channel.outgoing.sendall, 12)
            head = channel._packed(Kind.OPENING, "slow", len(frame[0]), check)
            channel.outgoing.sendall(head + bytes(frame[0]))

        threads = [threading.Thread(target=talk, args=(c,)) for c in transport.channels.values()]
        for thread in threads:
            thread.start()
        for channel in transport.channels.values():
            channel.payload(channel.receive(Kind.OPENING), 1 << 24)
        for thread in threads:
            thread.join()
        return True

    assert together(3, work, timeout=3) == [True] * 3


def test_silence():
    def work(transport):
        if transport.me == 1:
            threading.Event().wait(2)
            return None
        return transport.open([opening(2, 0, 4)])

    quiet, _ = together(2, work, timeout=0.5)
    assert isinstance(quiet, PeerError) and "sent nothing for 0.5 s" in str(quiet)


def test_a_broken_transport_stays_broken():
    (links, _) = channels(2)
    transport = NetworkTransport(0, links, Meter(), b"")
    transport.abort("it has a reason")
    for _ in range(2):
        with pytest.raises(SessionError, match="it has a reason"):
            transport.open([opening(2, 0, 4)])


HEADERS = {
    "noise": os.urandom(HEADER.size),
    "another kind": HEADER.pack(MAGIC, 77, 0, 0, EMPTY),
    "a long text": HEADER.pack(MAGIC, Kind.OPENING, 65_535, 0, EMPTY),
    "2 GiB": HEADER.pack(MAGIC, Kind.OPENING, 0, 1 << 31, EMPTY),
    "out of turn": HEADER.pack(MAGIC, Kind.REQUESTS, 0, 0, EMPTY),
    "half a header": MAGIC,
}


@pytest.mark.parametrize("kind", HEADERS)
def test_garbage_from_a_member(kind):
    links, theirs = channels(2, timeout=5)
    transport = NetworkTransport(0, links, Meter(), b"")
    theirs[0].outgoing.sendall(HEADERS[kind])
    theirs[0].outgoing.shutdown(socket.SHUT_WR)
    with pytest.raises(SessionError):
        transport.open([opening(2, 0, 4)])


def test_closing_wakes_a_thread_that_waits():
    links, _ = channels(2)
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            links[1].receive(Kind.OPENING)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    links[1].close()
    thread.join(10)
    assert not thread.is_alive() and isinstance(caught[0], (SessionError, ValueError))
