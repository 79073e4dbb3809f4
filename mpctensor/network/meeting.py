"""How two members find each other: dial and listen, prove names, agree on what the call is about.

A call is two connections, one for each direction. On each the dialler introduces itself in a few
bytes of JSON and the listener answers "welcome" or why not. Strangers, garbage and slow callers
cost a thread for at most `PATIENCE` seconds and never reach a session.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep, time
from typing import Any

from ..errors import PeerError, SessionError
from ..release import VERSION
from .channel import Channel
from .identity import Identity, is_loopback, why
from .introduction import printable, read, write

PROTOCOL = 1  # changes whenever members of different releases would not understand each other
PATIENCE = 10.0  # seconds for an introduction
PAUSE = 0.2  # seconds before another call
HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
MOST_CALLERS = 64  # introductions at once

Address = tuple[str, int]
Topic = dict[str, Any]  # what a call is about: JSON


@dataclass(frozen=True)
class Caller:
    """A member that called and was welcomed. topic: what it said the call is about."""

    name: str
    topic: Topic
    channel: Channel


def dial(
    me: Identity, address: Address, peer: str, topic: Topic, until: float, timeout: float
) -> Channel:
    """Call a member, again and again until it answers or the time (of `monotonic`) has come.

    Raises PeerError where nobody answers, somebody else does, or the call is refused.
    """
    _check_reach(me, address)
    ticket = secrets.token_hex(16)
    connections: list[socket.socket] = []
    try:
        for direction in ("out", "in"):
            said = {"to": peer, "ticket": ticket, "direction": direction, "topic": topic}
            connections.append(_introduced(me, address, peer, said, until))
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    return Channel(peer, connections[0], connections[1], timeout)


def _introduced(
    me: Identity, address: Address, peer: str, said: dict[str, Any], until: float
) -> socket.socket:
    while True:
        try:
            raw = _connected(address, peer, until)
            connection, answer = _answered(me, raw, address, peer, said)
            break
        except PeerError as error:  # a forwarded port hangs up while nobody listens behind it
            if not isinstance(error.__cause__, HUNG_UP) or monotonic() + PAUSE >= until:
                raise
        sleep(PAUSE)
    if "refused" in answer:
        connection.close()
        raise PeerError(f"{peer} refused the call of {me.name}: {printable(answer['refused'])}")
    return connection


def probe(me: Identity, address: Address, peer: str) -> dict[str, Any]:
    """Ask a member that listens how it is: {"time": seconds since 1970, "release": of mpctensor}.

    Raises PeerError where nobody answers, or somebody else does.
    """
    _check_reach(me, address)
    said = {"to": peer, "direction": "probe"}
    raw = _connected(address, peer, monotonic() + PATIENCE)
    connection, answer = _answered(me, raw, address, peer, said)
    connection.close()
    if "refused" in answer:
        raise PeerError(f"{peer} refuses: {printable(answer['refused'])}")
    return answer


def _answered(
    me: Identity, raw: socket.socket, address: Address, peer: str, said: dict[str, Any]
) -> tuple[socket.socket, dict[str, Any]]:
    """The connection to a member that proved its name, and its answer to an introduction."""
    connection = raw
    try:
        raw.settimeout(PATIENCE)
        connection, name = me.wrap(raw, server=False)  # `raw` is empty from now on
        if name is not None and name != peer:
            raise PeerError(f"{_at(address)} answers as {name!r}, not as {peer!r}")
        write(connection, {"protocol": PROTOCOL, "from": me.name, **said})
        answer = read(connection)
        if answer.get("name") != peer:
            raise PeerError(f"{_at(address)} answers as {answer.get('name')!r}, not as {peer!r}")
    except (OSError, ValueError) as error:
        connection.close()
        raise PeerError(f"{peer} at {_at(address)} cannot be used: {why(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection, answer


def _connected(address: Address, peer: str, until: float) -> socket.socket:
    pause = 0.02
    while True:
        try:
            return socket.create_connection(address, timeout=max(0.1, until - monotonic()))
        except OSError as error:
            if monotonic() + pause >= until:
                raise PeerError(
                    f"{peer} cannot be reached at {_at(address)}: {why(error)}; is it running, and"
                    " is the port open?"
                ) from error
        sleep(pause)
        pause = min(2 * pause, 1.0)


class Listener:
    """Takes calls at an address, in threads of its own, until closed.

    judge: gets (name, topic) of a caller that has proved its name, and says why it may not come
    in, or None. arrived: gets every caller that was welcomed. Raises SessionError where the
    address cannot be had. port: the one listened on (an address may leave it to the system by 0).
    """

    def __init__(
        self,
        me: Identity,
        address: Address,
        judge: Callable[[str, Topic], str | None],
        arrived: Callable[[Caller], None],
        timeout: float,
    ) -> None:
        _check_reach(me, address)
        self._me, self._judge, self._arrived, self._timeout = me, judge, arrived, timeout
        self._halves: dict[tuple[str, str], dict[str, socket.socket]] = {}
        self._lock = threading.Lock()
        self._room = threading.Semaphore(MOST_CALLERS)
        self.last_failure = ""  # of an introduction, for messages
        try:
            self._socket = socket.create_server(address, backlog=MOST_CALLERS)
        except OSError as error:
            raise SessionError(
                f"{me.name} cannot listen at {_at(address)}: {why(error)}; is another process"
                f" already {me.name} here?"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more calls; those welcomed go on."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for half in self._halves.values():
                for connection in half.values():
                    connection.close()
            self._halves.clear()

    def _accept(self) -> None:
        while True:
            try:
                raw, address = self._socket.accept()
            except OSError:
                return
            if self._room.acquire(blocking=False):
                threading.Thread(target=self._meet, args=(raw, address), daemon=True).start()
            else:
                raw.close()

    def _meet(self, raw: socket.socket, address: Any) -> None:
        """One introduction, within `PATIENCE` seconds whatever the caller does."""
        held = [raw]  # TLS moves it to another object
        alarm = threading.Timer(PATIENCE, lambda: _hang_up(held[-1]))
        alarm.daemon = True
        alarm.start()
        try:
            raw.settimeout(PATIENCE)
            connection, name = self._me.wrap(raw, server=True)
            held.append(connection)
            said = read(connection)
            alarm.cancel()
            refusal = self._misled(said, name)
            if refusal is None and said.get("direction") == "probe":
                self._tell(connection)
                return
            refusal = refusal or self._refusal(said) or self._welcomed(said, connection)
            if refusal is not None:
                self.last_failure = f"{printable(said.get('from'))}: {refusal}"
                write(connection, {"name": self._me.name, "refused": refusal})
                connection.close()
        except (OSError, ValueError, MemoryError, SessionError) as error:
            self.last_failure = f"a caller from {address[0]}: {why(error)}"
            _hang_up(held[-1])
        finally:
            alarm.cancel()
            self._room.release()

    def _tell(self, connection: socket.socket) -> None:
        """The answer to `probe`."""
        write(connection, {"name": self._me.name, "time": time(), "release": VERSION})
        connection.close()

    def _misled(self, said: dict[str, Any], name: str | None) -> str | None:
        """Why a caller should not talk to this member at all."""
        if said.get("protocol") != PROTOCOL:
            return (
                f"protocol {PROTOCOL} here, {printable(said.get('protocol'))} there: members must"
                " run releases of mpctensor that understand each other"
            )
        if name is not None and said.get("from") != name:
            return f"the certificate is for {name!r}, not for {printable(said.get('from'))}"
        if said.get("to") != self._me.name:
            return f"{self._me.name} is here, not {printable(said.get('to'))}"
        return None

    def _refusal(self, said: dict[str, Any]) -> str | None:
        if not _well_formed(said):
            return "the introduction is malformed"
        return self._judge(said["from"], said["topic"])

    def _welcomed(self, said: dict[str, Any], connection: socket.socket) -> str | None:
        """Keep the connection until its other half is here too."""
        name, direction = said["from"], said["direction"]
        key = (name, said["ticket"])
        with self._lock:
            if len(self._halves) > MOST_CALLERS and key not in self._halves:
                return "too many calls wait for their other half"
            half = self._halves.setdefault(key, {})
            if direction in half:
                return "this half of the call is there already"
            half[direction] = connection
            complete = len(half) == 2
            if complete:
                del self._halves[key]
        write(connection, {"name": self._me.name, "welcome": True})
        if complete:
            channel = Channel(name, half["in"], half["out"], self._timeout)
            self._arrived(Caller(name, said["topic"], channel))
        return None


def _well_formed(said: dict[str, Any]) -> bool:
    return (
        isinstance(said.get("from"), str)
        and isinstance(said.get("ticket"), str)
        and said.get("direction") in ("in", "out")
        and isinstance(said.get("topic"), dict)
    )


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _check_reach(me: Identity, address: Address) -> None:
    if me.plain and not is_loopback(address[0]):
        raise SessionError(
            f"plain TCP is for loopback only, and {_at(address)} is not on it: give every member a"
            " certificate (`mpctensor keys init`)"
        )


def _at(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
