"""A TCP connection: one that waits on it looks around, at what else may have happened."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

LOOK = 0.2  # seconds without a byte after which we look around, and between two looks
Heed = Callable[[], None]  # raises what ends the wait


def nothing() -> None:
    """Nobody to heed, and nothing to do."""


class Connection(socket.socket):
    """A socket whose waits, to connect and to receive, are shared with what else goes on."""

    patience: float | None = None
    heed: Heed | None = None

    @classmethod
    def of(cls, raw: socket.socket) -> Connection:
        """The same connection; `raw` is empty from now on, unless it is one already."""
        if isinstance(raw, Connection):
            return raw
        patience = raw.gettimeout()
        made = cls(raw.family, raw.type, raw.proto, fileno=raw.detach())
        made.wait_for(patience)
        return made

    def wait_for(self, patience: float | None, heed: Heed | None = None) -> None:
        """How many seconds without a byte are a TimeoutError (None: never).

        heed: called every `LOOK` seconds meanwhile.
        """
        self.patience, self.heed = patience, heed
        self.settimeout(_sooner(LOOK, patience) if heed else patience)

    def waits_like(self, other: socket.socket) -> None:
        """Take over how another connection waits."""
        if isinstance(other, Connection):
            self.wait_for(other.patience, other.heed)
        else:
            self.wait_for(other.gettimeout())

    def connect(self, address: Any) -> None:
        try:
            return super().connect(address)
        except TimeoutError:
            pass
        self._look_around(select.POLLOUT)
        failure = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))

    def recv(self, *arguments: Any) -> bytes:
        try:
            return super().recv(*arguments)
        except TimeoutError:
            pass
        self._look_around(select.POLLIN)
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        try:
            return super().recv_into(*arguments)
        except TimeoutError:
            pass
        self._look_around(select.POLLIN)
        return super().recv_into(*arguments)

    def _look_around(self, event: int) -> None:
        """What is awaited has not come within `LOOK` seconds; raises TimeoutError in the end."""
        left = None if self.patience is None else self.patience - LOOK
        watch = select.poll()
        watch.register(self, event)
        if self.heed is not None:
            self.heed()
            if ready(watch, left, self.heed):
                return
        raise TimeoutError("timed out")


def ready(watch: select.poll, patience: float | None, heed: Heed | None) -> list[tuple[int, int]]:
    """What is seen (see poll) within so many seconds, None being any number; [] if nothing is.

    heed: called every `LOOK` seconds meanwhile.
    """
    until = None if patience is None else monotonic() + patience
    left = patience
    while True:
        now = left if heed is None else _sooner(LOOK, left)
        seen = watch.poll(None if now is None else 1000 * max(0.0, now))
        left = None if until is None else until - monotonic()
        if seen or (left is not None and left <= 0):
            return seen
        if heed is not None:
            heed()


def _sooner(one: float, other: float | None) -> float:
    return one if other is None else min(one, other)


def reach(address: tuple[str, int], until: float, heed: Heed | None) -> Connection:
    """A connection to the address, made by the time `until` (of `monotonic`) or in 0.1 s.

    Raises OSError, as socket.create_connection does, or what `heed` raises.
    """
    failure = OSError("the name stands for no address")
    for family, kind, protocol, _, target in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        connection = Connection(family, kind, protocol)
        try:
            connection.wait_for(max(0.1, until - monotonic()), heed)
            connection.connect(target)
            return connection
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure
