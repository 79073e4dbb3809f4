"""TLS over a TCP connection that moves many records with one call to the system.

ssl.SSLSocket writes each record of 16 KiB with one call and reads it with two. Here the records
pass through memory, and the system sees pieces as large as they come.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from io import BufferedReader
from typing import Any, NoReturn, cast

FIRST_ROOM, MOST_ROOM = 1 << 14, 1 << 19  # bytes read at once: a stranger's room stays small


class TlsSocket(socket.socket):
    """A connected socket, taken over from `raw`, on which all that is sent is encrypted.

    One thread at a time. A socket's other ways to send and receive are refused: they would pass TLS
    by. Raises what ssl.SSLSocket raises.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        timeout = raw.gettimeout()
        super().__init__(raw.family, raw.type, raw.proto, fileno=raw.detach())
        self.settimeout(timeout)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.protocol == ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=server)
        self._room = memoryview(bytearray(FIRST_ROOM))

    def do_handshake(self) -> None:
        """Agree on keys, and check the peer's certificate."""
        try:
            while True:
                try:
                    return self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    self._fill()
        finally:  # of a failure, the alert that says why
            with suppress(OSError):
                self._flush()

    def getpeercert(self) -> Any:
        """The peer's certificate (see ssl.SSLSocket.getpeercert)."""
        return self._tls.getpeercert()

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data)
        while view.nbytes:
            view = view[self._tls.write(view) :]
        self._flush()

    def readinto(self, view: memoryview) -> int:
        """Fill the view, as io.BufferedReader does; less where the peer has closed."""
        got, size, read = 0, len(view), self._tls.read
        if size and not self._tls.pending() and not self._arrived.pending:
            self._fill()  # what will be wanted: to ask first would cost an exception
        while got < size:
            try:
                got += read(size - got, view[got:])  # type: ignore[operator]
            except ssl.SSLWantReadError:
                self._fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                break
        return got

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        got = self.readinto(memoryview(data))
        return bytes(data[:got])

    @property
    def closed(self) -> bool:
        return self.fileno() < 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("use sendall, recv, read or readinto: this would pass TLS by")

    send = sendto = sendmsg = sendfile = _refused
    recv_into = recvfrom = recvfrom_into = recvmsg = recvmsg_into = _refused

    def _flush(self) -> None:
        records = self._leaving.read()
        if records:
            super().sendall(records)

    def _fill(self) -> None:
        size = super().recv_into(self._room)
        if size == 0:
            return self._arrived.write_eof()
        self._arrived.write(self._room[:size])
        if size == len(self._room) < MOST_ROOM:
            self._room = memoryview(bytearray(2 * size))


def reader(connection: socket.socket) -> TlsSocket | BufferedReader:
    """What reads a connection in few calls to the system, however small the parts asked for."""
    if isinstance(connection, TlsSocket):
        return connection
    return cast(BufferedReader, connection.makefile("rb", buffering=1 << 14))
