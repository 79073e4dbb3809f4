"""The provider as a service: who may come in, what is dealt, and how sessions end."""

import os
import secrets
import socket
import threading
from time import monotonic, sleep

import pytest
import torch

from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Identity, Kind, dial, listener, probe
from mpctensor.network.introduction import read, write
from mpctensor.network.meeting import PROTOCOL
from mpctensor.provider import (
    Dealer,
    Limits,
    MaskView,
    Request,
    Service,
    remote,
    service,
    wire,
)
from mpctensor.provider.corrections import receive, wire_size
from mpctensor.provider.keys import combined
from mpctensor.provider.remote import AHEAD, RemoteProvider, tag
from mpctensor.provider.spool import Spool

NAMES = ("alice", "bob")
SQUARE = Request("square", 1, (MaskView(1, 100, (100,), (1,), 0),))
WRAP = Request("wrap", 2, (), (1000, 16))


@pytest.fixture
def james():
    lines = []
    made = Service(
        *(Identity("james"), ("127.0.0.1", 0), NAMES),
        timeout=5,
        startup=1,
        limits=Limits(frame_bytes=1 << 12),
        log=lines.append,
    )
    made.lines = lines
    yield made
    made.close()


class Call:
    """A party's call, with the tokens that it contributes."""

    def __init__(self, james, name, session="ab" * 32, nonce="cd" * 32, **changes):
        self.seed = secrets.token_hex(32)
        self.nonce = nonce
        topic = {"parties": list(NAMES), "session": session, "nonce": nonce, "seed": self.seed}
        address = ("127.0.0.1", james.port)
        self.channel = dial(
            Identity(name), address, "james", {**topic, **changes}, monotonic() + 5, 5
        )

    def agreed(self):
        """(nonce, seed) that both sides now have."""
        said = self.channel.receive_json()
        nonce, seed = (bytes.fromhex(said[key]) for key in ("nonce", "seed"))
        mine = bytes.fromhex(self.nonce), bytes.fromhex(self.seed)
        return combined(mine[0], nonce), combined(mine[1], seed)


def joined(james, session="ab" * 32):
    """bob's channel, and a dealer with the same seeds."""
    calls = [Call(james, name, session) for name in NAMES]
    (nonce, first), (again, second) = (call.agreed() for call in calls)
    assert nonce == again and first != second
    return calls, Dealer([first, second], nonce)


def test_it_deals_what_a_dealer_with_its_seeds_deals(james):
    (_, bob), dealer = joined(james)
    bob.channel.send(Kind.REQUESTS, [wire.encode([SQUARE, WRAP])])
    for request in (SQUARE, WRAP):
        frame = bob.channel.receive(Kind.CORRECTIONS)
        assert (frame.digest, frame.size) == (tag(request), wire_size(request))
        dealt = receive(bob.channel, request)
        whole = dealer.deal(request)
        low = [(1 << 16) - 1 if request is WRAP else -1] * len(whole)
        for got, value, mask in zip(dealt, whole, low, strict=True):
            assert torch.equal(got, value & mask)


def test_sessions_run_side_by_side(james):
    calls = [joined(james, f"{i:064x}")[0][1] for i in range(3)]
    for call in calls:
        call.channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    for call in calls:
        call.channel.receive(Kind.CORRECTIONS)
        receive(call.channel, SQUARE)
        call.channel.close()
    assert sum("begins" in line for line in james.lines) == 3


def test_a_session_that_has_begun_is_waited_for_by_no_thread(james):
    def alarms() -> int:
        return sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())

    before = alarms()
    joined(james)
    until = monotonic() + 0.5  # less than `startup`
    while alarms() > before and monotonic() < until:
        sleep(0.01)
    assert alarms() <= before


def test_a_party_that_asks_is_told_which_sessions_run(james):
    def told(name):
        return probe(Identity(name), ("127.0.0.1", james.port), "james").get("sessions")

    assert told("alice") == {}
    (_, bob), _ = joined(james)
    again = [Call(james, name, "12" * 32, replica=3) for name in NAMES]
    for call in again:
        call.agreed()
    assert told("bob") == {"ab" * 8: 0, "12" * 8: 3}
    assert told("mallory") is None
    bob.channel.close()
    await_true(lambda: told("alice") == {"12" * 8: 3})


REFUSED = {
    "a stranger": ({"name": "mallory"}, "none of the parties served here"),
    "other parties": ({"name": "alice", "parties": ["alice", "eve"]}, "served here are alice, bob"),
    "no nonce": ({"name": "alice", "nonce": "xy"}, "names no session, nonce and seed"),
    "a short seed": ({"name": "alice", "seed": "ab"}, "names no session, nonce and seed"),
    "no replica": ({"name": "alice", "replica": -1}, "names no replica"),
    "a long replica": ({"name": "alice", "replica": "1" * 999}, "names no replica"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_refused(james, case):
    options, words = REFUSED[case]
    with pytest.raises(PeerError, match=words):
        Call(james, **options)
    assert [line.startswith(f"refused {options['name']}: ") for line in james.lines] == [True]
    assert words in james.lines[0]


def test_garbage_is_noted_on_one_line_without_what_it_said(james):
    """Neither bytes that are no introduction nor a name that would move the cursor get through."""
    said = {"protocol": PROTOCOL, "from": "eve\n\x1b[2J" * 99, "to": "james", "topic": {}}
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"\x02\0\0\0{}", None):
        with socket.create_connection(("127.0.0.1", james.port), timeout=20) as stranger:
            if text is None:
                write(stranger, {**said, "ticket": "t", "direction": "in"})
            else:
                stranger.sendall(text)
            stranger.recv(1)
    await_true(lambda: len(james.lines) == 3)
    assert all(line.startswith("refused ") and line.isprintable() for line in james.lines)
    assert "an introduction of 542393671 bytes; at most 4096" in james.lines[0]
    assert "protocol" in james.lines[1] and len(james.lines[2]) < 600


def test_half_a_call_is_noted(james, monkeypatch):
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    topic = {"parties": list(NAMES), "session": "ab" * 32, "nonce": "cd" * 32, "seed": "ef" * 32}
    said = {"protocol": PROTOCOL, "from": "alice", "to": "james", "topic": topic}
    with socket.create_connection(("127.0.0.1", james.port), timeout=20) as half:
        write(half, {**said, "ticket": "t", "direction": "out"})
        assert read(half)["welcome"]
        assert half.recv(1) == b""
    await_true(lambda: james.lines)
    came = "refused alice: half of its call came, but the other half took longer than 0.5 s"
    assert james.lines == [came]


def test_a_call_whose_second_half_comes_late_begins_anew(james, monkeypatch):
    """Nothing of the half that was dropped is in the way."""
    test_half_a_call_is_noted(james, monkeypatch)
    monkeypatch.setattr(listener, "PATIENCE", 20)
    joined(james)


def test_a_probe_leaves_no_line(james):
    probe(Identity("alice"), ("127.0.0.1", james.port), "james")
    with pytest.raises(PeerError, match="none of the parties"):
        Call(james, "mallory")
    assert len(james.lines) == 1, "later than what the probe would have left"


def test_a_party_twice(james):
    Call(james, "alice")
    with pytest.raises(PeerError, match="in this session already"):
        Call(james, "alice")


def test_a_party_twice_at_once(james, monkeypatch):
    """Both calls are judged before either has arrived: the later one is told; the first goes on."""
    monkeypatch.setattr(james._listener, "_judge", lambda name, topic: None)
    first, second = Call(james, "alice"), Call(james, "alice")
    with pytest.raises(PeerError, match="alice is in this session already"):
        second.agreed()
    bob = Call(james, "bob")
    assert first.agreed()[0] == bob.agreed()[0]


def test_a_party_of_a_session_that_runs(james):
    calls, _ = joined(james)
    for name in NAMES:
        with pytest.raises(PeerError, match=f"{name} is in this session already"):
            Call(james, name)
    calls[1].channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    calls[1].channel.receive(Kind.CORRECTIONS)  # it goes on


def test_nobody_else_comes(james):
    alice = Call(james, "alice")
    with pytest.raises(PeerError, match="bob did not call within 1 s; `startup` sets"):
        alice.agreed()
    assert "refused alice: bob did not call within 1 s" in james.lines[0]


def test_nonces_that_differ(james):
    calls = [Call(james, "alice"), Call(james, "bob", nonce="ef" * 32)]
    for call in calls:
        with pytest.raises(PeerError, match="do not agree on a nonce"):
            call.agreed()


def test_only_the_last_party_asks(james):
    (alice, _), _ = joined(james)
    alice.channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    with pytest.raises(SessionError):
        alice.channel.receive(Kind.CORRECTIONS)


@pytest.mark.parametrize(
    ("payload", "words"),
    [(b"[[]]", "request 0"), (b"{}", "byte 0"), (bytes(1 << 13), "announced a message of 8192")],
)
def test_bad_requests_end_the_session_and_say_why(james, payload, words):
    (_, bob), _ = joined(james)
    bob.channel.send(Kind.REQUESTS, [payload])
    with pytest.raises(SessionError, match=words):
        bob.channel.receive(Kind.CORRECTIONS)
    joined(james, "12" * 32)  # others are served


def test_it_is_shut_down(james):
    (_, bob), _ = joined(james)
    james.close()
    with pytest.raises(PeerError, match="shut down"):
        bob.channel.receive(Kind.CORRECTIONS)


def await_true(condition):
    """Wait for it, at most ten seconds."""
    until = monotonic() + 10
    while not condition():
        assert monotonic() < until
        sleep(0.005)


def large(count):
    """Requests of 8 MB of corrections each."""
    return [Request("wrap", number, (), (1 << 20, 64)) for number in range(1, count + 1)]


@pytest.mark.parametrize("text, queued", [(AHEAD, 4), ("", 0)])
def test_who_does_not_read_holds_up_itself_alone(james, monkeypatch, text, queued):
    monkeypatch.setattr(service, "MOST_QUEUED", 4)
    (_, bob), dealer = joined(james)
    requests = large(40)
    for request in requests:
        bob.channel.send(Kind.REQUESTS, [wire.encode([request])], text=text)
    (session,) = james._running.values()
    await_true(lambda: len(session._later) == queued and session._channels[-1]._sender._waiting)
    (_, other), _ = joined(james, "12" * 32)
    other.channel.send(Kind.REQUESTS, [wire.encode([SQUARE, WRAP])])
    for request in (SQUARE, WRAP):
        other.channel.receive(Kind.CORRECTIONS)
        receive(other.channel, request)
    assert len(session._later) == queued, "no more is read than fits the queue"
    assert session._channels[-1]._sender._waiting <= 2 * 8.1 * 2**20
    for request in requests:
        assert bob.channel.receive(Kind.CORRECTIONS).digest == tag(request)
        (dealt,) = receive(bob.channel, request)
    assert torch.equal(dealt, dealer.deal(request)[0])


def test_who_takes_nothing_for_too_long_is_let_go(james):
    (_, bob), _ = joined(james)
    (session,) = james._running.values()
    session._channels[-1].outgoing.settimeout(0.3)
    bob.channel.send(Kind.REQUESTS, [wire.encode(large(20))])
    await_true(lambda: not james._running)
    assert "bob did not take what was dealt for it" in james.lines[-1]


# The last party's side


def alone():
    """No other party can give up."""


def test_corrections_are_handed_out_once_and_stale_ones_given_up(james):
    (_, bob), _ = joined(james)
    failed: list[BaseException] = []
    provider = RemoteProvider(bob.channel, 2, failed.append, alone)
    provider.deal_ahead([SQUARE, WRAP])
    assert len(provider.deal(SQUARE)[0]) == 100
    provider.deal_ahead([])
    late = provider.deal(WRAP)
    assert late[0].shape == (1000,) and not provider._arrived and not provider._expected
    assert provider.deal(SQUARE)[0].shape == (100,)  # asked again, dealt again: the same words
    assert AHEAD and not failed


def test_a_provider_that_deals_nothing(james, monkeypatch):
    (_, bob), _ = joined(james)
    failed: list[BaseException] = []
    provider = RemoteProvider(bob.channel, 0.5, failed.append, alone)
    monkeypatch.setattr(Dealer, "deal", lambda self, request: sleep(1) or [torch.zeros(100)])
    with pytest.raises(PeerError, match=r"james dealt nothing for 0.375 s; a longer `timeout`"):
        provider.deal(SQUARE)[0]
    assert len(failed) == 1


def test_another_party_gives_up_meanwhile(james, monkeypatch):
    (_, bob), _ = joined(james)
    failed: list[BaseException] = []
    gone = iter([None, None, PeerError("alice gave up: it was interrupted")])

    def heed():
        if (error := next(gone)) is not None:
            raise error

    monkeypatch.setattr(remote, "LOOK", 0.05)
    provider = RemoteProvider(bob.channel, 1000, failed.append, heed)
    monkeypatch.setattr(Dealer, "deal", lambda self, request: sleep(1) or [torch.zeros(100)])
    with pytest.raises(PeerError, match="alice gave up: it was interrupted"):
        provider.deal(SQUARE)[0]
    assert len(failed) == 1 and next(gone, "all") == "all"


def test_what_is_dealt_ahead_to_a_file_and_what_is_here_already(james, tmp_path):
    """Corrections on their way go to the file, those that are here stay; no name is left over."""
    (_, bob), dealer = joined(james)
    provider = RemoteProvider(bob.channel, 5, [].append, alone)
    provider.deal_ahead([SQUARE])
    await_true(lambda: provider._arrived)
    provider.deal_ahead([SQUARE, WRAP], tmp_path / "first")
    assert not provider._spool_of and not provider._expected and len(provider._arrived) == 2
    size = (tmp_path / "first").stat().st_size
    assert size == 8 * 1000, "WRAP alone"
    for request in (SQUARE, WRAP):
        assert torch.equal(provider.deal(request)[0] & 0xFFFF, dealer.deal(request)[0] & 0xFFFF)
    assert provider.deal(SQUARE)[0].shape == (100,), "asked again: not kept in a file"
    assert (tmp_path / "first").stat().st_size == size
    provider.close()
    assert not (tmp_path / "first").exists()


def test_what_is_given_up_on_its_way_is_kept_nowhere(james, tmp_path, monkeypatch):
    (_, bob), _ = joined(james)
    provider = RemoteProvider(bob.channel, 5, [].append, alone)
    gate = threading.Event()
    deal = Dealer.deal
    monkeypatch.setattr(Dealer, "deal", lambda *args: gate.wait(10) and deal(*args))
    monkeypatch.setattr(provider, "_wait", lambda ready: None)  # as if interrupted
    provider.deal_ahead([WRAP], tmp_path / "first")
    monkeypatch.undo()
    provider.deal_ahead([])
    gate.set()
    await_true(lambda: not provider._expected)
    assert not provider._spool_of and not provider._arrived and not provider._unwanted
    assert (tmp_path / "first").stat().st_size == 0


def test_a_spool_that_is_closed_touches_no_other_file(tmp_path):
    spool = Spool(tmp_path / "spool")
    read = spool.keep([torch.arange(4)])
    number = spool._descriptor
    spool.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    try:
        assert other == number, "the system gives the number to the next file"
        for use in (read, lambda: spool.keep([torch.arange(4)])):
            with pytest.raises(SessionError, match="spool is closed: its session has ended"):
                use()
        spool.close()
        assert os.fstat(other).st_size == 0
    finally:
        os.close(other)


def test_large_items_stay_on_their_way_until_somebody_waits(james, monkeypatch):
    monkeypatch.setattr(remote, "LARGE", 1000)
    monkeypatch.setattr(remote, "HOLD", 60)
    (_, bob), dealer = joined(james)
    provider = RemoteProvider(bob.channel, 5, [].append, alone)
    compared = Request("less_than", 3, SQUARE.operands, ("select", 0, 1))
    expected = dealer.deal(compared)
    sizes = [value.numel() * 8 for value in expected]
    assert [size < 1000 for size in sizes] == [False, False, True, True, True]
    dealt = provider.deal(compared)
    assert torch.equal(dealt[0], expected[0])
    here = dealt._dealt
    sleep(0.1)
    assert len(here) == 1, "the second item is large, and nobody has asked for it"
    dealt[0] = torch.empty(0)
    assert provider.deal(SQUARE)[0].shape == (100,), "what comes behind it is not held up"
    assert len(here) == 5 and here[0].numel() == 0
    assert all(torch.equal(dealt[i], expected[i]) for i in range(1, 5))
    assert not provider._expected and not provider._arrived and not provider._waiting


def test_a_large_item_that_nobody_wants_is_read_in_the_end(james, monkeypatch):
    monkeypatch.setattr(remote, "LARGE", 1)
    monkeypatch.setattr(remote, "HOLD", 0.05)
    (_, bob), _ = joined(james)
    provider = RemoteProvider(bob.channel, 5, [].append, alone)
    provider.deal(SQUARE)
    await_true(lambda: not provider._expected)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_closing_while_corrections_arrive(james, tmp_path, monkeypatch):
    """The file is closed between two writes of one correction, or after them; none goes astray."""
    (_, bob), _ = joined(james)
    provider = RemoteProvider(bob.channel, 5, [].append, alone)
    writing, pwrite = threading.Event(), os.pwrite

    def slow(descriptor, data, offset):
        writing.set()
        sleep(0.02)
        assert os.readlink(f"/proc/self/fd/{descriptor}") == str(tmp_path / "spool")
        return pwrite(descriptor, data[: 1 << 20], offset)

    monkeypatch.setattr(os, "pwrite", slow)
    monkeypatch.setattr(provider, "_wait", lambda ready: None)  # a user's Ctrl-C ends the wait
    provider.deal_ahead(large(6), tmp_path / "spool")
    assert writing.wait(10)
    provider.close()
    with open(tmp_path / "other", "wb") as other:
        await_true(lambda: provider._error is not None)
        assert os.fstat(other.fileno()).st_size == 0
    assert not (tmp_path / "spool").exists()
