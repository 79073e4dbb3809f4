"""TLS over a TCP connection that moves many records with one call to the system.

ssl.SSLSocket writes each record of 16 KiB with one call and reads it with two. Here the records
pass through memory, and the system sees pieces as large as they come.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from .connection import Connection, nothing

RECORD = 1 << 14  # bytes that a record carries at most
FIRST_ROOM, MOST_ROOM = 1 << 14, 1 << 19  # bytes read at once: a stranger's room stays small


class TlsSocket(Connection):
    """A connected socket, taken over from `raw`, on which all that is sent is encrypted.

    One thread at a time. A socket's other ways to send and receive are refused: they would pass TLS
    by. Raises what ssl.SSLSocket raises.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(raw.family, raw.type, raw.proto, fileno=raw.detach())
        self.waits_like(raw)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=server)
        self._room = memoryview(bytearray(FIRST_ROOM))
        self._ahead = memoryview(b"")  # read, and not asked for yet
        self.meanwhile: Callable[[], None] = nothing

    def do_handshake(self) -> None:
        """Agree on keys, and check the peer's certificate."""
        try:
            while not self._shaken():
                self._flush()
                self._fill()
        finally:  # of a failure, the alert that says why
            with suppress(OSError):
                self._flush()

    def _shaken(self) -> bool:
        """Whether the handshake is done; it goes as far as what has arrived lets it."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def getpeercert(self) -> Any:
        """The peer's certificate (see ssl.SSLSocket.getpeercert)."""
        return self._tls.getpeercert()

    def sendall(self, data: Any, flags: int = 0) -> None:
        super().sendall(self.seal([data]))

    def seal(self, parts: Sequence[memoryview | bytes]) -> bytes:
        """The records that carry the parts; whoever takes them must send them next."""
        for part in parts:
            view = memoryview(part)
            while view.nbytes:
                view = view[self._tls.write(view) :]
        return self._leaving.read()

    def readinto(self, view: memoryview) -> int:
        """Fill the view, as io.BufferedReader does; less where the peer has closed."""
        size, read = len(view), self._tls.read
        got = self._take_ahead(view)
        if got < size and not self._tls.pending() and not self._arrived.pending:
            self._fill()  # what will be wanted: to ask first would cost an exception
        while got < size:
            try:
                got += read(size - got, view[got:])  # type: ignore[operator]
                continue
            except ssl.SSLWantReadError:
                pass  # what ends the wait for more is no consequence of this
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                break
            self._fill()
        return got

    def read(self, size: int) -> bytes:
        """A few bytes; less where the peer has closed. What comes with them is kept."""
        if size and not self._ahead:
            self._ahead = memoryview(self._record())
        if size > len(self._ahead):
            room = bytearray(size)
            return bytes(room[: self.readinto(memoryview(room))])
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return bytes(data)

    def _take_ahead(self, view: memoryview) -> int:
        size = min(len(view), len(self._ahead))
        view[:size], self._ahead = self._ahead[:size], self._ahead[size:]
        return size

    @property
    def closed(self) -> bool:
        return self.fileno() < 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self.read(min(size, len(self._ahead))) if self._ahead else self._record(size)

    def _record(self, size: int = RECORD) -> bytes:
        """What one record brings, or b"" where the peer has closed."""
        if not self._tls.pending() and not self._arrived.pending:
            self._fill()
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""
            self._fill()

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("use sendall, recv, read or readinto: this would pass TLS by")

    send = sendto = sendmsg = sendfile = _refused
    recv_into = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refused

    def _flush(self) -> None:
        records = self._leaving.read()
        if records:
            super().sendall(records)

    def _fill(self) -> None:
        self.meanwhile()
        size = super().recv_into(self._room)
        if size == 0:
            return self._arrived.write_eof()
        self._arrived.write(self._room[:size])
        if size == len(self._room) < MOST_ROOM:
            self._room = memoryview(bytearray(2 * size))


def sealed(connection: socket.socket, parts: Sequence[memoryview | bytes]) -> bytes:
    """The parts as they go over the connection: a copy, so their memory may change."""
    return connection.seal(parts) if isinstance(connection, TlsSocket) else b"".join(parts)


class _Raw(io.RawIOBase):
    """Reads a connection."""

    def __init__(self, connection: socket.socket, meanwhile: Callable[[], None]) -> None:
        self._connection, self._meanwhile = connection, meanwhile

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        self._meanwhile()
        return self._connection.recv_into(room)


def reader(
    connection: socket.socket, meanwhile: Callable[[], None] = nothing
) -> TlsSocket | io.BufferedReader:
    """What reads a connection in few calls to the system, however small the parts asked for.

    meanwhile: called before it may have to wait for the peer.
    """
    if isinstance(connection, TlsSocket):
        connection.meanwhile = meanwhile
        return connection
    return io.BufferedReader(_Raw(connection, meanwhile), RECORD)
