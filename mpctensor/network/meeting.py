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
from .identity import Identity, begin_tls, is_loopback, proved_name, why
from .introduction import printable, read, write
from .parting import part

PROTOCOL = 1  # changes whenever members of different releases would not understand each other
PATIENCE = 10.0  # seconds for an introduction
PAUSE = 0.2  # seconds before another call
HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

Address = tuple[str, int]
Topic = dict[str, Any]  # what a call is about: JSON


def dial(
    me: Identity, address: Address, peer: str, topic: Topic, until: float, timeout: float
) -> Channel:
    """Call a member, again and again until it answers or the time (of `monotonic`) has come.

    Raises PeerError where nobody answers, somebody else does, or the call is refused.
    """
    line = _Line.to(me, address, peer)
    while True:
        try:
            return Channel(peer, *_both_ways(line, topic, until), timeout)
        except PeerError as error:  # a forwarded port hangs up while nobody listens behind it
            if not isinstance(error.__cause__, HUNG_UP) or monotonic() + PAUSE >= until:
                raise
        sleep(PAUSE)


def probe(me: Identity, address: Address, peer: str, patience: float = PATIENCE) -> dict[str, Any]:
    """Ask a member that listens how it is: {"time": seconds since 1970, "release": of mpctensor}.

    patience: seconds for the connection. Raises OSError where nobody listens, PeerError where
    nobody answers, or somebody else does.
    """
    line = _Line.to(me, address, peer)
    connection = socket.create_connection(address, patience)
    connection, answer = line.introduce(connection, {"direction": "probe"}, monotonic() + PATIENCE)
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

    @classmethod
    def to(cls, me: Identity, address: Address, peer: str) -> _Line:
        check_reach(me, address)
        return cls(me.name, peer, address, me.context(server=False))

    def ask(self, said: dict[str, Any], until: float) -> tuple[socket.socket, dict[str, Any]]:
        """A connection to the member and its answer; see `introduce`."""
        return self.introduce(self._connected(until), said, until)

    def introduce(
        self, connection: socket.socket, said: dict[str, Any], until: float
    ) -> tuple[socket.socket, dict[str, Any]]:
        """The connection, once the member has proved its name, and its answer to what is said.

        Raises PeerError where nobody answers until then, somebody else does, or it refuses.
        """
        try:
            connection.settimeout(max(0.1, min(PATIENCE, until - monotonic())))
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

    def _connected(self, until: float) -> socket.socket:
        pause = 0.02
        while True:
            try:
                return socket.create_connection(self.address, max(0.1, until - monotonic()))
            except OSError as error:
                if monotonic() + pause >= until:
                    raise PeerError(
                        f"{self.peer} cannot be reached at {at(self.address)}: {why(error)}; is it"
                        " running, and is the port open?"
                    ) from error
            sleep(pause)
            pause = min(2 * pause, 1.0)


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
