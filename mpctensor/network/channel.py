"""A channel: frames both ways between this process and one other, a connection for each direction.

One connection a direction keeps full duplex simple: OpenSSL allows one thread at a time on a
connection, so a large frame is sent by a thread of its own while the caller receives. A frame is a
fixed header and a payload whose size the receiver knows beforehand; what a header claims is
compared with that, never believed.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BufferedReader, BytesIO
from time import monotonic
from typing import Any

from torch import Tensor

from ..errors import PeerError, SessionError
from .connection import Connection, Heed
from .identity import why
from .parting import cut, hung_up, spill
from .sending import Departure, Sender
from .tls import TlsSocket, reader

HEADER = struct.Struct("<4sBxHQ16s")  # magic, kind, length of text, of payload, digest
MAGIC = b"mpc1"
EMPTY = bytes(16)
INLINE = 1 << 15  # bytes that fit every socket buffer: sent by the caller itself
LARGE = 1 << 20  # bytes of a payload that is worth a thread
MOST_TEXT = 1 << 12
MOST_JSON = 1 << 14
MOST_LEFT = 1 << 28  # bytes that connections may hold of a peer that has hung up
LONG = 1e6  # seconds
BRIEF = 1.0  # seconds for last words to a peer that is lost


class Kind(IntEnum):
    """What a frame is."""

    MEETING = 1  # JSON of the introductions
    OPENING = 2  # messages of one round
    REQUESTS = 3  # to the provider
    CORRECTIONS = 4  # from it
    ABORT = 5  # the sender's session broke; the text says why
    BYE = 6  # the sender's session has ended


_KINDS = {int(kind): kind for kind in Kind}


@dataclass(slots=True)
class Frame:
    """A frame's header. text: what the sender is doing. size: bytes of the payload."""

    kind: Kind
    text: str
    size: int
    digest: bytes


def bytes_of(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor as bytes; the view keeps the tensor alive."""
    size = tensor.numel() * tensor.element_size()
    if size == 0:
        return memoryview(bytearray())
    memory = (ctypes.c_char * size).from_address(tensor.data_ptr())
    memory.owner = tensor  # type: ignore[attr-defined]
    return memoryview(memory).cast("B")


class Channel:
    """Frames to and from one peer. sent, received: bytes so far, headers included."""

    def __init__(
        self, peer: str, outgoing: socket.socket, incoming: socket.socket, timeout: float
    ) -> None:
        self.peer = peer
        self.sent = self.received = 0
        self.outgoing, self.incoming = Connection.of(outgoing), Connection.of(incoming)
        self._reader: BufferedReader | TlsSocket | BytesIO = reader(
            self.incoming, self._before_waiting
        )
        self.meanwhile: Callable[[Channel], None] | None = None  # what to do before waiting
        self.patience, self._setting = timeout, "timeout"
        self._sender = Sender(self.outgoing)
        self._ended: SessionError | None = None
        self._reading = threading.Lock()
        self._closing, self._closed = threading.RLock(), False
        for connection in (self.outgoing, self.incoming):
            _prepare(connection, timeout)
        _OPEN.add(self)

    def wait_forever(self) -> None:
        """Silence from this peer is normal: it speaks when it is asked (keep-alives go on)."""
        self.incoming.wait_for(None)

    def look_around(self, heed: Heed) -> None:
        """Whoever waits for this peer from now on calls `heed` every `LOOK` seconds."""
        self.incoming.wait_for(self.patience, heed)

    def never_hurry(self) -> None:
        """A peer that takes nothing may be busy with another; one that sends nothing is lost."""
        self.outgoing.wait_for(LONG)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # it would end a connection that has no room
            self.outgoing.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)

    # Sending

    def send(
        self,
        kind: Kind,
        payload: Sequence[memoryview | bytes] = (),
        *,
        text: str = "",
        digest: bytes = EMPTY,
        pushed: bool = False,
    ) -> Departure:
        """Send a frame; its payload must not change before it has left, which may be later.

        pushed: what is neither small nor worth a thread leaves when `push` is called, while
        `leaving` says so. A peer that is gone is noticed by `receive`, which also finds the reason
        that it may have given.
        """
        size = sum(len(piece) for piece in payload)
        head = self._packed(kind, text, size, digest)
        self.sent += len(head) + size
        if len(head) + size <= INLINE:
            return self._sender.send(b"".join((head, *payload)), len(head))
        later = self._sender.begin if pushed and size <= LARGE else self._sender.put
        return later([head, *payload], len(head))

    @property
    def leaving(self) -> bool:
        """Whether something is left for `push`."""
        return self._sender.begun

    def push(self) -> bool:
        """Send what the connection takes at once; False where it takes nothing."""
        return self._sender.push()

    @staticmethod
    def _packed(kind: Kind, text: str, size: int = 0, digest: bytes = EMPTY) -> bytes:
        words = text.encode()[:MOST_TEXT]
        return HEADER.pack(MAGIC, kind, len(words), size, digest) + words

    # Receiving

    def receive(self, *kinds: Kind) -> Frame:
        """The next header, of one of these kinds.

        Raises PeerError where the peer is gone, silent for too long or says that it lost someone,
        SessionError where it has ended its session or speaks out of turn.
        """
        frame = self._next()
        if frame.kind in kinds:
            return frame
        raise self._end(self._unexpected(frame))

    def heed(self) -> None:
        """Raise what `receive` would in the end, where the peer has hung up without a goodbye.

        For one that waits for somebody else meanwhile. It costs one look at the connection to a
        peer that is there. What a peer sent before it said goodbye may still be received.
        """
        if self._ended is not None:
            raise self._ended
        rest = self._left_behind()
        if rest is None:
            return
        received = self.received
        frame = self._next()
        while frame.kind not in (Kind.ABORT, Kind.BYE):
            self._skip(frame.size)
            frame = self._next()
        if frame.kind is Kind.ABORT:
            raise self._end(self._unexpected(frame))
        rest.seek(0)
        self.received = received

    def _left_behind(self) -> BytesIO | None:
        """All that a peer has left that has just hung up, to be read from here.

        None where it has not, or a thread that reads from it will notice.
        """
        if self._closed or not self._reading.acquire(blocking=False):
            return None
        try:
            if isinstance(self._reader, BytesIO) or not hung_up(self.outgoing):
                return None
            self._reader = rest = BytesIO(self._rest())
            return rest
        finally:
            self._reading.release()

    def _rest(self) -> bytes:
        """What is still on the connection."""
        rest = bytearray()
        try:
            while piece := self._reader.read(INLINE):
                rest += piece
                if len(rest) > MOST_LEFT:
                    raise self._end(PeerError(f"{self.peer} has hung up and goes on sending"))
        except OSError as error:
            raise self._end(self._lost(error)) from error
        return bytes(rest)

    def _next(self) -> Frame:
        magic, kind, words, size, digest = HEADER.unpack(self._take(HEADER.size))
        if magic != MAGIC or words > MOST_TEXT or kind not in _KINDS:
            raise self._end(SessionError(f"{self.peer} sent what is no message of a session"))
        text = self._take(words).decode(errors="replace")
        return Frame(_KINDS[kind], text, size, digest)

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._take(min(size, INLINE)))

    def receive_into(self, buffer: memoryview) -> None:
        """Fill the buffer from the connection."""
        self._counted(self._read(self._reader.readinto, buffer), len(buffer))

    def _take(self, size: int) -> bytes:
        """A few bytes from the connection."""
        data: bytes = self._read(self._reader.read, size)
        self._counted(len(data), size)
        return data

    def _read(self, how: Callable[[Any], Any], what: Any) -> Any:
        if self._ended is not None:
            raise self._ended
        with self._reading:
            if self._reader.closed:
                raise self._end(SessionError(f"the channel to {self.peer} is closed"))
            try:
                return how(what)
            except OSError as error:
                raise self._end(self._lost(error)) from error

    def _counted(self, got: int, wanted: int) -> None:
        self.received += got
        if got < wanted:
            raise self._end(PeerError(f"{self.peer} is gone: the connection was closed"))

    def payload(self, frame: Frame, most: int) -> bytes:
        """The payload of a frame whose size is not known beforehand; at most `most` bytes."""
        if frame.size > most:
            raise self._end(
                SessionError(
                    f"{self.peer} announced a message of {frame.size} bytes; at most {most} here"
                )
            )
        payload = bytearray(frame.size)
        self.receive_into(memoryview(payload))
        return bytes(payload)

    def send_json(self, value: dict[str, Any]) -> None:
        """A message of the introductions."""
        self.send(Kind.MEETING, [json.dumps(value).encode()])

    def receive_json(self, until: float | None = None, heed: Heed | None = None) -> dict[str, Any]:
        """Its counterpart; SessionError for anything else.

        until: the time (of `monotonic`) to wait for it, where that is not the timeout. heed: called
        every `LOOK` seconds meanwhile; what it raises ends the wait.
        """
        usual = self.patience, "timeout", self.incoming.heed
        if until is not None:
            self._wait_for(max(0.1, until - monotonic()), "startup", heed)
        try:
            value = json.loads(self.payload(self.receive(Kind.MEETING), MOST_JSON))
        except (ValueError, RecursionError):
            value = None
        self._wait_for(*usual)
        if not isinstance(value, dict):
            raise self._end(SessionError(f"{self.peer} introduced itself in no way known here"))
        return value

    def _before_waiting(self) -> None:
        if self.meanwhile is not None:
            self.meanwhile(self)

    def _wait_for(self, seconds: float, setting: str, heed: Heed | None) -> None:
        self.patience, self._setting = seconds, setting
        self.incoming.wait_for(seconds, heed)

    def _lost(self, error: OSError) -> PeerError:
        if isinstance(error, TimeoutError):
            return self.silent("sent")
        return PeerError(f"{self.peer} is gone: {why(error)}")

    def silent(self, verb: str) -> PeerError:
        """What a peer is told of that has not `verb` anything within the timeout."""
        return PeerError(
            f"{self.peer} {verb} nothing for {self.patience:.3g} s; `{self._setting}` sets how"
            " long to wait"
        )

    def _unexpected(self, frame: Frame) -> SessionError:
        if frame.kind is Kind.ABORT:
            return PeerError(f"{self.peer} gave up: {frame.text}")
        if frame.kind is Kind.BYE:
            return PeerError(f"{self.peer} has ended its session; nothing more comes from there")
        return SessionError(f"{self.peer} sent {frame.kind.name.lower()} out of turn")

    def _end(self, error: SessionError) -> SessionError:
        self._ended = error
        return error

    # The end

    def close(self, kind: Kind = Kind.BYE, text: str = "", patience: float = 5.0) -> None:
        """Say goodbye (or why not), wait until it has left, and close.

        Safe to call from several threads, and again: the first one's words count. Threads that
        send or receive meanwhile are woken.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            _OPEN.discard(self)
            try:
                left = patience if self._ended is None else min(patience, BRIEF)
                self._sender.finish(self._packed(kind, text), left, self._spill)
            finally:
                for connection in (self.outgoing, self.incoming):
                    cut(connection)
                self._sender.join()
                with self._reading:  # the thread that reads has noticed
                    self._reader.close()
                for connection in (self.outgoing, self.incoming):
                    connection.close()

    def _spill(self) -> None:
        """Nobody here reads any more; a peer that sends before it reads gets on."""
        if self._reading.acquire(blocking=False):
            try:
                spill(self.incoming)
            finally:
                self._reading.release()

    def forget(self) -> None:
        """Let go of the connections without a word: another process goes on with them."""
        self._closed = True
        for connection in (self.outgoing, self.incoming):
            os.close(connection.detach())


def _prepare(connection: Connection, timeout: float) -> None:
    """No delay for small messages; a machine that vanished is noticed within the timeout."""
    connection.wait_for(timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", max(1, int(timeout // 4))),
        ("TCP_KEEPINTVL", max(1, int(timeout // 8))),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", max(1000, int(timeout * 1000))),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


_OPEN: weakref.WeakSet[Channel] = weakref.WeakSet()


def _forget_in_child() -> None:
    """A forked child holds copies of the connections, and would keep them open for the peers."""
    for channel in list(_OPEN):
        channel.forget()
    _OPEN.clear()


os.register_at_fork(after_in_child=_forget_in_child)
