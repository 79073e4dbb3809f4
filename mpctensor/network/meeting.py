"""How two members find each other: dial and listen, prove names, agree on what the call is about.

A call is two connections, one for each direction. On each the dialler introduces itself in a few
bytes of JSON and the listener answers "welcome" or why not. Strangers, garbage and slow callers
cost a thread for at most `PATIENCE` seconds and never reach a session.
"""

from __future__ import annotations

import json
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from ..errors import PeerError, SessionError
from .channel import Channel
from .identity import Identity, is_loopback, why

PROTOCOL = 1  # changes whenever members of different releases would not understand each other
PATIENCE = 10.0  # seconds for an introduction
MOST_CALLERS = 64  # introductions at once
MOST_BYTES = 4096
LENGTH = struct.Struct("<I")

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
    connections = []
    for direction in ("out", "in"):
        said = {"to": peer, "ticket": ticket, "direction": direction, "topic": topic}
        connections.append(_introduced(me, address, peer, said, until))
    return Channel(peer, connections[0], connections[1], timeout)


def _introduced(
    me: Identity, address: Address, peer: str, said: dict[str, Any], until: float
) -> socket.socket:
    raw = _connected(address, peer, until)
    try:
        raw.settimeout(PATIENCE)
        connection, name = me.wrap(raw, server=False)
        if name is not None and name != peer:
            raise PeerError(f"{_at(address)} answers as {name!r}, not as {peer!r}")
        _write(connection, {"protocol": PROTOCOL, "from": me.name, **said})
        answer = _read(connection)
    except (OSError, ValueError) as error:
        raw.close()
        raise PeerError(f"{peer} at {_at(address)} cannot be used: {why(error)}") from error
    if answer.get("name") != peer:
        raise PeerError(f"{_at(address)} answers as {answer.get('name')!r}, not as {peer!r}")
    if "refused" in answer:
        raise PeerError(f"{peer} refused the call of {me.name}: {_printable(answer['refused'])}")
    return connection


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
        alarm = threading.Timer(PATIENCE, _hang_up, (raw,))
        alarm.daemon = True
        alarm.start()
        try:
            raw.settimeout(PATIENCE)
            connection, name = self._me.wrap(raw, server=True)
            said = _read(connection)
            refusal = self._refusal(said, name)
            alarm.cancel()
            if refusal is None:
                refusal = self._welcomed(said, connection)
            if refusal is not None:
                self.last_failure = f"{_printable(said.get('from'))}: {refusal}"
                _write(connection, {"name": self._me.name, "refused": refusal})
                connection.close()
        except (OSError, ValueError, MemoryError) as error:
            self.last_failure = f"a caller from {address[0]}: {why(error)}"
            _hang_up(raw)
        finally:
            alarm.cancel()
            self._room.release()

    def _refusal(self, said: dict[str, Any], name: str | None) -> str | None:
        if said.get("protocol") != PROTOCOL:
            return (
                f"protocol {PROTOCOL} here, {_printable(said.get('protocol'))} there: members must"
                " run releases of mpctensor that understand each other"
            )
        if name is not None and said.get("from") != name:
            return f"the certificate is for {name!r}, not for {_printable(said.get('from'))}"
        if said.get("to") != self._me.name:
            return f"{self._me.name} is here, not {_printable(said.get('to'))}"
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
        _write(connection, {"name": self._me.name, "welcome": True})
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


def _write(connection: socket.socket, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    connection.sendall(LENGTH.pack(len(text)) + text)


def _read(connection: socket.socket) -> dict[str, Any]:
    (size,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if size > MOST_BYTES:
        raise ValueError(f"an introduction of {size} bytes; at most {MOST_BYTES}")
    try:
        value = json.loads(_exactly(connection, size))
    except (ValueError, RecursionError) as error:
        raise ValueError("an introduction that is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("an introduction that is not an object")
    return value


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = connection.recv(size - len(got))
        if not piece:
            raise ConnectionError("hung up during the introduction")
        got += piece
    return bytes(got)


def _check_reach(me: Identity, address: Address) -> None:
    if me.plain and not is_loopback(address[0]):
        raise SessionError(
            f"plain TCP is for loopback only, and {_at(address)} is not on it: give every member a"
            " certificate (`mpctensor keys init`)"
        )


def _at(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _printable(value: Any) -> str:
    """What a stranger said, fit for a message."""
    return "".join(c for c in str(value)[:200] if c.isprintable())
