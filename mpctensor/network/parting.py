"""How a connection ends: at once, whoever uses it, or after its last words have arrived.

Both work on the TCP connection beneath TLS. A TLS object is for one thread at a time, and Python's
forgets its keys when it is shut down: what another thread still sends would leave unencrypted.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from time import monotonic

LINGER = 1.0  # seconds for last words
SPILL = 1 << 16, 64  # bytes of one call, calls


def cut(connection: socket.socket) -> None:
    """End a connection that another thread may be using; that thread notices and closes it."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def hung_up(connection: socket.socket) -> bool:
    """Whether the peer has ended a connection on which it never sends; another thread may send."""
    watch = select.poll()
    watch.register(connection, select.POLLIN)
    if not watch.poll(0):
        return False
    try:
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK)
    except OSError:
        return True


def spill(connection: socket.socket) -> None:
    """Throw away some of what has arrived: a peer that sends before it reads gets on."""
    watch = select.poll()
    watch.register(connection, select.POLLIN)
    size, calls = SPILL
    with suppress(OSError):
        for _ in range(calls):
            if not watch.poll(0) or not socket.socket.recv(connection, size):
                return


def part(connection: socket.socket) -> None:
    """Close a connection so that what was said last arrives.

    Closed with bytes unread, a connection is reset, and the peer loses what it has not read yet:
    of a failed handshake, why.
    """
    until = monotonic() + LINGER
    with connection, suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_WR)
        while (left := until - monotonic()) > 0:
            connection.settimeout(left)
            if not socket.socket.recv(connection, 1 << 14):
                return
