"""How a member is called: who may come in, and how long the others may take.

Strangers, garbage and slow callers cost a thread for at most `PATIENCE` seconds and never reach a
session. Where there are many of them, the oldest makes room, so they keep no member out.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep, time
from typing import Any

from ..errors import SessionError
from ..release import VERSION
from .channel import Channel
from .identity import Identity, begin_tls, proved_name, why
from .introduction import MOST_NOTED, printable, read, write
from .meeting import PATIENCE, PAUSE, PROTOCOL, Address, Topic, at, check_reach
from .parting import cut, part

MOST_GUESTS = 64
BACKLOG = 512  # connections that the system keeps until they are taken
HINTS = {  # why an address may not be had
    errno.EADDRINUSE: "; is another process already {me} here?",
    errno.EADDRNOTAVAIL: "; it is none of this machine's addresses: in your own parties.toml, give"
    " the address to listen at (0.0.0.0:PORT for any)",
    errno.EACCES: "; ports below 1024 need special rights: choose a higher one",
}
OPPOSITE = {"in": "out", "out": "in"}


@dataclass(frozen=True)
class Caller:
    """A member that called and was welcomed. topic: what it said the call is about."""

    name: str
    topic: Topic
    channel: Channel


@dataclass(eq=False)
class _Guest:
    """A connection that belongs to no session yet, for as long as `until`.

    proved: its certificate was accepted. half: what it waits under for the call's other half; then
    no thread waits with it. dismissed: why it had to go.
    """

    connection: socket.socket
    address: str
    until: float
    proved: bool = False
    half: tuple[str, str, str] | None = None
    dismissed: str = ""


class Listener:
    """Takes calls at an address, in threads of its own, until closed.

    judge: gets (name, topic) of a caller that has proved its name, and says why it may not come
    in, or None. arrived: gets every caller that was welcomed; refused: a line about every other,
    without a control character, but not without limit; tells: what a probe by a member is answered
    beside time and release. Raises SessionError where the
    address cannot be had or the identity's files cannot be used. port: the one listened on (an
    address may leave it to the system by 0).
    """

    def __init__(
        self,
        me: Identity,
        address: Address,
        judge: Callable[[str, Topic], str | None],
        arrived: Callable[[Caller], None],
        timeout: float,
        refused: Callable[[str], None] = lambda line: None,
        tells: Callable[[str], dict[str, Any]] = lambda name: {},
    ) -> None:
        check_reach(me, address)
        self._me, self._context = me, me.context(server=True)
        self._judge, self._arrived, self._refused = judge, arrived, refused
        self._tells = tells
        self._timeout = timeout
        self._guests: list[_Guest] = []  # in the order in which they came
        self._halves: dict[tuple[str, str, str], _Guest] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.last_failure = ""  # of an introduction, for messages
        try:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._socket = socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            hint = HINTS.get(error.errno or 0, "").format(me=me.name)
            raise SessionError(
                f"{me.name} cannot listen at {at(address)}: {why(error)}{hint}"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more calls; those welcomed go on."""
        with self._lock:
            self._closed = True
            for guest in list(self._guests):
                self._dismiss(guest, "nobody listens any more")
        cut(self._socket)
        self._thread.join(1.0)
        self._socket.close()

    # Guests

    def _accept(self) -> None:
        while not self._closed:
            try:
                self._socket.settimeout(self._next_end())
                raw, address = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:  # closed, or for the moment no connection can be had
                sleep(0 if self._closed else PAUSE)
                continue
            guest = _Guest(raw, str(address[0]), monotonic() + PATIENCE)
            with self._lock:
                if len(self._guests) >= MOST_GUESTS:
                    oldest = min(self._guests, key=lambda guest: (guest.proved, guest.until))
                    self._dismiss(oldest, "it made room for others")
                self._guests.append(guest)
            threading.Thread(target=self._meet, args=(guest,), daemon=True).start()

    def _next_end(self) -> float | None:
        """Dismiss those whose time is over; seconds until the next one's is."""
        with self._lock:
            now = monotonic()
            for guest in [guest for guest in self._guests if guest.until <= now]:
                late = "it" if guest.half is None else "the other half"
                self._dismiss(guest, f"{late} took longer than {PATIENCE:g} s")
            return min((guest.until - now for guest in self._guests), default=None)

    def _dismiss(self, guest: _Guest, reason: str) -> None:
        """Make a guest leave. The lock is held."""
        guest.dismissed = reason
        self._guests.remove(guest)
        if guest.half is not None:
            del self._halves[guest.half]
        cut(guest.connection)
        if guest.half is not None:
            guest.connection.close()
            self._note(f"{guest.half[0]}: half of its call came, but {reason}")

    def _release(self, guest: _Guest) -> None:
        with self._lock:
            if guest in self._guests:
                self._guests.remove(guest)

    # Introductions

    def _meet(self, guest: _Guest) -> None:
        """One introduction."""
        try:
            guest.connection.settimeout(PATIENCE)
            with self._lock:  # `_dismiss` must find the connection where it is
                guest.connection = begin_tls(guest.connection, self._context)
            name = proved_name(guest.connection)
            guest.proved = name is not None
            said = read(guest.connection)
            if self._answered(guest, name, said):
                return
        except (OSError, ValueError, MemoryError, SessionError) as error:
            reason = guest.dismissed or why(error)
            self._note(f"a caller from {guest.address}: {reason}")
        part(guest.connection)
        self._release(guest)

    def _answered(self, guest: _Guest, name: str | None, said: dict[str, Any]) -> bool:
        """Answer an introduction; whether the connection is kept."""
        refusal = self._misled(said, name)
        if refusal is None and said.get("direction") == "probe":
            known = self._tells(printable(said.get("from")))
            self._say(guest, time=time(), release=VERSION, **known)
            return False
        refusal = refusal or self._refusal(said)
        if refusal is not None:
            self._note(f"{printable(said.get('from'))}: {refusal}")
            self._say(guest, refused=refusal)
            return False
        self._say(guest, welcome=True)
        self._keep(guest, said)
        return True

    def _note(self, failure: str) -> None:
        self.last_failure = printable(failure, MOST_NOTED)
        if not self._closed:
            self._refused(self.last_failure)

    def _say(self, guest: _Guest, **answer: Any) -> None:
        write(guest.connection, {"name": self._me.name, **answer})

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

    def _keep(self, guest: _Guest, said: dict[str, Any]) -> None:
        """Keep a connection until the call's other half is here too."""
        name, ticket, direction = said["from"], said["ticket"], said["direction"]
        with self._lock:
            if guest.dismissed or (name, ticket, direction) in self._halves:
                raise ValueError("this half of the call is there already")
            other = self._halves.pop((name, ticket, OPPOSITE[direction]), None)
            if other is None:
                guest.half = (name, ticket, direction)
                guest.until = monotonic() + PATIENCE
                self._halves[guest.half] = guest
                return
            self._guests.remove(guest)
            self._guests.remove(other)
        halves = {direction: guest.connection, OPPOSITE[direction]: other.connection}
        channel = Channel(name, halves["in"], halves["out"], self._timeout)
        self._arrived(Caller(name, said["topic"], channel))


def _well_formed(said: dict[str, Any]) -> bool:
    return (
        isinstance(said.get("from"), str)
        and isinstance(said.get("ticket"), str)
        and said.get("direction") in tuple(OPPOSITE)  # which looks at what has no hash, too
        and isinstance(said.get("topic"), dict)
    )
