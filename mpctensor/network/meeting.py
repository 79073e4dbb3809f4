"""How a member calls another: reach it, prove names, say what the call is about.

A call is two connections, one for each direction. On each the caller introduces itself in a few
bytes of JSON and the member called answers "welcome" or why not; see `listener`.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from ..errors import PeerError, SessionError
from .channel import Channel
from .connection import Connection, Heed, nothing, reach
from .identity import Identity, begin_tls, is_loopback, proved_name, why
from .introduction import printable, read, write
from .parting import part

PROTOCOL = 1  # changes whenever members of different releases would not understand each other
PATIENCE = 10.0  # seconds for an introduction
PAUSE = 0.2  # seconds before another call
MOST_PAUSE = 0.5  # seconds between two attempts to connect
HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

Address = tuple[str, int]
Topic = dict[str, Any]  # what a call is about: JSON


def dial(
    me: Identity,
    address: Address,
    peer: str,
    topic: Topic,
    until: float,
    timeout: float,
    heed: Heed = nothing,
) -> Channel:
    """Call a member, again and again until it answers or the time (of `monotonic`) has come.

    heed: called now and then meanwhile; what it raises ends the call. Raises PeerError where nobody
    answers, somebody else does, or the call is refused.
    """
    line = _Line.to(me, address, peer, heed)
    while True:
        try:
            return Channel(peer, *_both_ways(line, topic, until), timeout)
        except PeerError as error:  # a forwarded port hangs up while nobody listens behind it
            if not isinstance(error.__cause__, HUNG_UP) or monotonic() + PAUSE >= until:
                raise
        sleep(PAUSE)
        heed()


def probe(
    me: Identity,
    address: Address,
    peer: str,
    patience: float = PATIENCE,
    heed: Heed = nothing,
) -> dict[str, Any]:
    """Ask a member that listens how it is: {"time": seconds since 1970, "release": of mpctensor}.

    A provider tells its parties the "sessions" that run there too. patience: seconds for the
    connection. heed: as of `dial`. Raises OSError where nobody listens, PeerError where nobody
    answers, or somebody else does.
    """
    line = _Line.to(me, address, peer, heed)
    connected = reach(address, monotonic() + patience, heed)
    connection, answer = line.introduce(connected, {"direction": "probe"}, monotonic() + PATIENCE)
    connection.close()
    return answer


def _both_ways(line: _Line, topic: Topic, until: float) -> tuple[socket.socket, socket.socket]:
    """The connections of a call: out, in."""
    ticket = secrets.token_hex(16)
    connections: list[socket.socket] = []
    try:
        for direction in ("out", "in"):
            said = {"ticket": ticket, "direction": direction, "topic": topic}
            connections.append(line.ask(said, until)[0])
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    outgoing, incoming = connections
    return outgoing, incoming


@dataclass(frozen=True)
class _Line:
    """The way to a member: where it listens, and how we prove our name there."""

    me: str
    peer: str
    address: Address
    context: ssl.SSLContext | None
    heed: Heed

    @classmethod
    def to(cls, me: Identity, address: Address, peer: str, heed: Heed) -> _Line:
        check_reach(me, address)
        return cls(me.name, peer, address, me.context(server=False), heed)

    def ask(self, said: dict[str, Any], until: float) -> tuple[socket.socket, dict[str, Any]]:
        """A connection to the member and its answer; see `introduce`."""
        return self.introduce(self._connected(until), said, until)

    def introduce(
        self, connected: Connection, said: dict[str, Any], until: float
    ) -> tuple[socket.socket, dict[str, Any]]:
        """The connection, once the member has proved its name, and its answer to what is said.

        Raises PeerError where nobody answers until then, somebody else does, or it refuses.
        """
        connected.wait_for(max(0.1, min(PATIENCE, until - monotonic())), self.heed)
        connection: socket.socket = connected
        try:
            connection = begin_tls(connection, self.context)
            answer = self._answer(connection, said)
            if "refused" in answer:
                refusal = printable(answer["refused"])
                raise PeerError(f"{self.peer} refused the call of {self.me}: {refusal}")
        except (OSError, ValueError) as error:
            part(connection)
            raise PeerError(
                f"{self.peer} at {at(self.address)} cannot be used: {why(error)}"
            ) from error
        except BaseException:
            connection.close()
            raise
        return connection, answer

    def _answer(self, connection: socket.socket, said: dict[str, Any]) -> dict[str, Any]:
        self._check_name(proved_name(connection) or self.peer)
        with suppress(OSError):  # it has hung up; what it said before that comes with `read`
            write(connection, {"protocol": PROTOCOL, "from": self.me, "to": self.peer, **said})
        answer = read(connection)
        self._check_name(answer.get("name"))
        return answer

    def _check_name(self, name: Any) -> None:
        if name != self.peer:
            found = printable(name)
            raise PeerError(f"{at(self.address)} answers as {found!r}, not as {self.peer!r}")

    def _connected(self, until: float) -> Connection:
        pause = 0.02
        while True:
            try:
                return reach(self.address, until, self.heed)
            except OSError as error:
                if monotonic() + pause >= until:
                    raise PeerError(
                        f"{self.peer} cannot be reached at {at(self.address)}: {why(error)}; is it"
                        " running, and is the port open?"
                    ) from error
            sleep(pause)
            self.heed()
            pause = min(2 * pause, MOST_PAUSE)


def check_reach(me: Identity, address: Address) -> None:
    """Raise SessionError where plain TCP would leave this machine."""
    if me.plain and not is_loopback(address[0]):
        raise SessionError(
            f"plain TCP is for loopback only, and {at(address)} is not on it: give every member a"
            " certificate (`mpctensor keys init`)"
        )


def at(address: Address) -> str:
    """An address in words."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
