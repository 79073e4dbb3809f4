"""How the members of a session come together.

1. Parties call one another, later ones the earlier ones, and prove their names.
2. Each introduces itself: settings, which must be alike, and fresh random shares of the session's
   nonce and public seed, and of the seed that each pair has in common.
3. All call the provider, which adds to the nonce and agrees with each party on a seed.
The parties' seeds never go to the provider, nor the provider's to another party. Whoever waits for
one member heeds those that are there already: what ends it for one of them ends it for all.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ..errors import PeerError, SessionError
from ..network import LOOK, Caller, Channel, Heed, Identity, Kind, Listener, dial, probe
from ..provider import PartyKeys, RemoteProvider
from ..provider.keys import SEED, combined, contribution
from ..provider.service import SHORT
from ..transport import Meter, NetworkTransport, reason
from .config import Config

DOUBT = 2.0  # seconds of calling in vain, before we ask whether another process has our name
PATIENCE = 1.0  # seconds to ask
LAG = 2.0  # seconds for hearing that another party could not reach the provider

_ours: set[str] = set()  # sessions that this process has been in, by the start of their names


@dataclass(frozen=True)
class Membership:
    """What a party has once everybody is there. provider: None but at the last party."""

    me: int
    keys: PartyKeys
    transport: NetworkTransport
    provider: RemoteProvider | None
    public_seed: bytes


def join(
    config: Config, name: str, meter: Meter, settings: dict[str, Any], replica: int = 0
) -> Membership:
    """Take part as `name` in the session that all parties of the configuration now begin.

    settings: what must be alike at all parties, by name. replica: which of a party's replicas this
    process is; replica r of a party meets replica r of the others, at the next r-th port.
    Raises PeerError where somebody does not turn up within `startup` seconds or is not who it
    should be, SessionError where settings differ.
    """
    me = config.names.index(name)
    until = monotonic() + config.startup
    identity = config.identity(name)
    channels = _meet(config, identity, me, replica, until)
    try:
        return _introduce(config, identity, channels, meter, settings, replica, until)
    except BaseException as error:
        _give_up(channels.values(), error)
        raise


def _meet(
    config: Config, identity: Identity, me: int, replica: int, until: float
) -> dict[int, Channel]:
    """A channel to every other party."""
    topic = {"parties": list(config.names), "replica": replica}
    later = set(config.names[me + 1 :])
    reception = _Reception(topic, later)
    channels: dict[int, Channel] = {}

    def heed() -> None:
        _heed((*channels.values(), *reception.channels.values()))

    double = _Double(config, identity, replica, heed)
    try:
        with ExitStack() as stack:
            listener = None
            if later:
                host, port = config.parties[me].address
                takes = identity, (host, port + replica), reception.judge, reception.arrived
                listener = stack.enter_context(closing(Listener(*takes, config.timeout)))
            for p, peer in enumerate(config.parties[:me]):
                address = (peer.address[0], peer.address[1] + replica)
                call = identity, address, peer.name, topic, until, config.timeout
                channels[p] = dial(*call, double.watched(peer.name))
            if not reception.complete(until, heed):
                raise PeerError(_missing(config, reception.missing, listener) + double.hint())
    except BaseException as error:
        _give_up((*channels.values(), *reception.channels.values()), error)
        raise
    arrived = reception.channels
    return channels | {config.names.index(name): arrived[name] for name in arrived}


def _missing(config: Config, names: Iterable[str], listener: Listener | None) -> str:
    """Who has not called, and what may be the cause."""
    said = (
        f"{', '.join(names)} did not call in time; `startup` ({config.startup:g} s) in"
        f" {config.path.name} sets how long to wait"
    )
    refused = listener.last_failure if listener is not None else ""
    return f"{said}; last refused: {refused}" if refused else said


def _heed(channels: Iterable[Channel]) -> None:
    """Raise PeerError where one of those that are there has given up, or is gone."""
    for channel in channels:
        channel.heed()


def _give_up(channels: Iterable[Channel], error: BaseException) -> None:
    """Hang up, and say why: others may wait for the same, or for us."""
    for channel in channels:
        channel.close(Kind.ABORT, reason(error))


class _Double:
    """Another process that is the same party: the provider serves a session of it, and not of ours.

    Parties take calls only until all are there, so somebody who calls in vain cannot hear from them
    that its name is taken. heed: as of `dial`.
    """

    def __init__(self, config: Config, identity: Identity, replica: int, heed: Heed) -> None:
        self._config, self._identity, self._replica = config, identity, replica
        self._heed = heed
        self._asks_at = monotonic() + DOUBT

    def watched(self, peer: str) -> Heed:
        """`heed` for one that calls `peer`, which also raises PeerError where there is a double."""

        def heed() -> None:
            self._heed()
            if monotonic() >= self._asks_at:
                hint = self.hint()
                self._asks_at = monotonic() + DOUBT
                if hint:
                    raise PeerError(
                        f"{peer} takes no calls{hint}; end that one first, or, for a session"
                        f" beside it, start {peer} before {self._identity.name}"
                    )

        return heed

    def hint(self) -> str:
        """That there is a double, in words that follow; nothing where none is known."""
        provider, answer = self._config.provider, {}
        with suppress(OSError, PeerError):
            answer = probe(self._identity, provider.address, provider.name, PATIENCE, self._heed)
        running = answer.get("sessions")
        for session, replica in running.items() if isinstance(running, dict) else ():
            if replica == self._replica and session not in _ours:
                return (
                    f"; {provider.name} serves a session of {', '.join(self._config.names)}"
                    f" already, in which another process is {self._identity.name}"
                )
        return ""


class _Reception:
    """Receives the parties that call."""

    def __init__(self, topic: dict[str, Any], expected: set[str]) -> None:
        self.channels: dict[str, Channel] = {}
        self._topic = topic
        self._expected = expected
        self._change = threading.Condition()

    def judge(self, name: str, topic: dict[str, Any]) -> str | None:
        if name not in self._expected:
            return f"{name} is not expected here ({', '.join(sorted(self._expected))})"
        if topic != self._topic:
            return f"this session is of {self._topic}, not of {str(topic)[:200]}"
        if name in self.channels:
            return f"{name} is here already; does a second process use its name?"
        return None

    def arrived(self, caller: Caller) -> None:
        with self._change:
            if caller.name in self.channels:
                caller.channel.close()
                return
            self.channels[caller.name] = caller.channel
            self._change.notify_all()

    @property
    def missing(self) -> list[str]:
        """Who is expected and not here."""
        return sorted(self._expected - set(self.channels))

    def complete(self, until: float, heed: Heed) -> bool:
        """Wait until nobody is missing; False where the time has come before.

        heed: called every `LOOK` seconds meanwhile; what it raises ends the wait.
        """
        with self._change:
            while self.missing:
                left = until - monotonic()
                if left <= 0:
                    return False
                if not self._change.wait(min(LOOK, left)):
                    heed()
        return True


def _introduce(
    config: Config,
    identity: Identity,
    channels: dict[int, Channel],
    meter: Meter,
    settings: dict[str, Any],
    replica: int,
    until: float,
) -> Membership:
    def heed() -> None:
        _heed(channels.values())

    me = config.names.index(identity.name)
    own = {"settings": settings, "nonce": _fresh().hex(), "public": _fresh().hex()}
    pairs = {q: _fresh() for q in channels}
    said: dict[int, dict[str, Any]] = {me: own}
    for q, channel in channels.items():
        channel.send_json({**own, "pair": pairs[q].hex()})
    for q, channel in channels.items():
        said[q] = channel.receive_json(until, heed)
        _same_settings(identity.name, settings, config.names[q], said[q].get("settings"))
    everyone = range(len(config.names))
    nonce = combined(*(_token(said[p], "nonce") for p in everyone))
    public_seed = combined(*(_token(said[p], "public") for p in everyone))
    seeds = {}
    for q in channels:
        theirs = _token(said[q], "pair")
        seeds[q] = combined(*((pairs[q], theirs) if me < q else (theirs, pairs[q])))
    topic = {
        "parties": list(config.names),
        "replica": replica,
        "session": combined(public_seed, b"session").hex(),
        "nonce": nonce.hex(),
    }
    channel, nonce, seed = _call_provider(config, identity, topic, nonce, heed)
    transport = NetworkTransport(me, channels, meter, nonce)
    provider = None
    if me == len(config.names) - 1:
        provider = RemoteProvider(channel, config.timeout, transport.fail, transport.heed)
    else:
        channel.close()
    return Membership(me, PartyKeys(seed, seeds, nonce), transport, provider, public_seed)


def _call_provider(
    config: Config,
    identity: Identity,
    topic: dict[str, Any],
    nonce: bytes,
    heed: Heed,
) -> tuple[Channel, bytes, bytes]:
    """(channel, the session's nonce, the seed shared with the provider).

    The parties, which have just met, begin at once and have `startup` seconds more; so whoever
    cannot reach the provider says so before the others give it up.
    """
    share = _fresh()
    _ours.add(topic["session"][:SHORT])
    topic = {**topic, "seed": share.hex()}
    until = monotonic() + config.startup
    provider = config.provider
    channel = dial(identity, provider.address, provider.name, topic, until, config.startup, heed)
    said = channel.receive_json(until + LAG, heed)
    final = combined(nonce, _token(said, "nonce"))
    return channel, final, combined(share, _token(said, "seed"))


def _fresh() -> bytes:
    return secrets.token_bytes(SEED)


def _token(said: dict[str, Any], key: str) -> bytes:
    value = contribution(said.get(key))
    if value is None:
        raise SessionError(f"an introduction without a usable `{key}`")
    return value


def _same_settings(mine: str, own: dict[str, Any], peer: str, theirs: Any) -> None:
    theirs = theirs if isinstance(theirs, dict) else {}
    for key in sorted({*own, *theirs}):
        if own.get(key) != theirs.get(key):
            raise SessionError(
                f"`{key}` is {own.get(key)!r} at {mine} and {repr(theirs.get(key))[:100]} at"
                f" {peer}: every party must use the same"
            )
