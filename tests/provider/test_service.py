"""The provider as a service: who may come in, what is dealt, and how sessions end."""

import secrets
from time import monotonic, sleep

import pytest
import torch

from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Identity, Kind, dial
from mpctensor.provider import Dealer, Limits, MaskView, Request, Service, wire
from mpctensor.provider.corrections import receive, wire_size
from mpctensor.provider.keys import combined
from mpctensor.provider.remote import AHEAD, RemoteProvider, tag

NAMES = ("alice", "bob")
SQUARE = Request("square", 1, (MaskView(1, 100, (100,), (1,), 0),))
WRAP = Request("wrap", 2, (), (1000, 16))


@pytest.fixture
def service():
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

    def __init__(self, service, name, session="ab" * 32, nonce="cd" * 32, **changes):
        self.seed = secrets.token_hex(32)
        self.nonce = nonce
        topic = {"parties": list(NAMES), "session": session, "nonce": nonce, "seed": self.seed}
        address = ("127.0.0.1", service.port)
        self.channel = dial(
            Identity(name), address, "james", {**topic, **changes}, monotonic() + 5, 5
        )

    def agreed(self):
        """(nonce, seed) that both sides now have."""
        said = self.channel.receive_json()
        nonce, seed = (bytes.fromhex(said[key]) for key in ("nonce", "seed"))
        mine = bytes.fromhex(self.nonce), bytes.fromhex(self.seed)
        return combined(mine[0], nonce), combined(mine[1], seed)


def joined(service, session="ab" * 32):
    """bob's channel, and a dealer with the same seeds."""
    calls = [Call(service, name, session) for name in NAMES]
    (nonce, first), (again, second) = (call.agreed() for call in calls)
    assert nonce == again and first != second
    return calls, Dealer([first, second], nonce)


def test_it_deals_what_a_dealer_with_its_seeds_deals(service):
    (_, bob), dealer = joined(service)
    bob.channel.send(Kind.REQUESTS, [wire.encode([SQUARE, WRAP])])
    for request in (SQUARE, WRAP):
        frame = bob.channel.receive(Kind.CORRECTIONS)
        assert (frame.digest, frame.size) == (tag(request), wire_size(request))
        dealt = receive(bob.channel, request)
        whole = dealer.deal(request)
        low = [(1 << 16) - 1 if request is WRAP else -1] * len(whole)
        for got, value, mask in zip(dealt, whole, low, strict=True):
            assert torch.equal(got, value & mask)


def test_sessions_run_side_by_side(service):
    calls = [joined(service, f"{i:064x}")[0][1] for i in range(3)]
    for call in calls:
        call.channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    for call in calls:
        call.channel.receive(Kind.CORRECTIONS)
        receive(call.channel, SQUARE)
        call.channel.close()
    assert sum("begins" in line for line in service.lines) == 3


REFUSED = {
    "a stranger": ({"name": "mallory"}, "none of the parties served here"),
    "other parties": ({"name": "alice", "parties": ["alice", "eve"]}, "served here are alice, bob"),
    "no nonce": ({"name": "alice", "nonce": "xy"}, "names no session, nonce and seed"),
    "a short seed": ({"name": "alice", "seed": "ab"}, "names no session, nonce and seed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_refused(service, case):
    options, words = REFUSED[case]
    with pytest.raises(PeerError, match=words):
        Call(service, **options)


def test_a_party_twice(service):
    Call(service, "alice")
    with pytest.raises(PeerError, match="in this session already"):
        Call(service, "alice")


def test_a_party_twice_at_once(service, monkeypatch):
    """Both calls are judged before either has arrived: the later one is told; the first goes on."""
    monkeypatch.setattr(service._listener, "_judge", lambda name, topic: None)
    first, second = Call(service, "alice"), Call(service, "alice")
    with pytest.raises(PeerError, match="alice is in this session already"):
        second.agreed()
    bob = Call(service, "bob")
    assert first.agreed()[0] == bob.agreed()[0]


def test_a_party_of_a_session_that_runs(service):
    calls, _ = joined(service)
    for name in NAMES:
        with pytest.raises(PeerError, match=f"{name} is in this session already"):
            Call(service, name)
    calls[1].channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    calls[1].channel.receive(Kind.CORRECTIONS)  # it goes on


def test_nobody_else_comes(service):
    alice = Call(service, "alice")
    with pytest.raises(PeerError, match="bob did not call within 1 s; `startup` sets"):
        alice.agreed()


def test_nonces_that_differ(service):
    calls = [Call(service, "alice"), Call(service, "bob", nonce="ef" * 32)]
    for call in calls:
        with pytest.raises(PeerError, match="do not agree on a nonce"):
            call.agreed()


def test_only_the_last_party_asks(service):
    (alice, _), _ = joined(service)
    alice.channel.send(Kind.REQUESTS, [wire.encode([SQUARE])])
    with pytest.raises(SessionError):
        alice.channel.receive(Kind.CORRECTIONS)


@pytest.mark.parametrize(
    ("payload", "words"),
    [(b"[[]]", "request 0"), (b"{}", "byte 0"), (bytes(1 << 13), "announced a message of 8192")],
)
def test_bad_requests_end_the_session_and_say_why(service, payload, words):
    (_, bob), _ = joined(service)
    bob.channel.send(Kind.REQUESTS, [payload])
    with pytest.raises(SessionError, match=words):
        bob.channel.receive(Kind.CORRECTIONS)
    joined(service, "12" * 32)  # others are served


def test_it_is_shut_down(service):
    (_, bob), _ = joined(service)
    service.close()
    with pytest.raises(PeerError, match="shut down"):
        bob.channel.receive(Kind.CORRECTIONS)


# The last party's side


def test_corrections_are_handed_out_once_and_stale_ones_given_up(service):
    (_, bob), _ = joined(service)
    failed: list[BaseException] = []
    provider = RemoteProvider(bob.channel, 2, failed.append)
    provider.deal_ahead([SQUARE, WRAP])
    assert len(provider.deal(SQUARE)[0]) == 100
    provider.deal_ahead([])
    late = provider.deal(WRAP)
    assert late[0].shape == (1000,) and not provider._arrived and not provider._expected
    assert provider.deal(SQUARE)[0].shape == (100,)  # asked again, dealt again: the same words
    assert AHEAD and not failed


def test_a_provider_that_deals_nothing(service, monkeypatch):
    (_, bob), _ = joined(service)
    failed: list[BaseException] = []
    provider = RemoteProvider(bob.channel, 0.5, failed.append)
    monkeypatch.setattr(Dealer, "deal", lambda self, request: sleep(1) or [torch.zeros(100)])
    with pytest.raises(PeerError, match=r"james dealt nothing for 0.375 s; a longer `timeout`"):
        provider.deal(SQUARE)[0]
    assert len(failed) == 1
