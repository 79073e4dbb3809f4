"""Sending over one connection, in order, without waiting for what is large."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from .tls import sealed

PIECE = 1 << 18  # bytes of one call: the timeout is for progress, not for the whole
GLANCE = 0.05  # seconds between two looks at what holds up the last words
LAST = 5.0  # seconds for the thread to notice that the connection was cut
MOST_WAITING = 1 << 28  # bytes queued for sending before the caller has to wait


class Departure:
    """How much of a frame has left its memory: it is sealed, if not sent yet."""

    def __init__(self, change: threading.Condition, pieces: list[memoryview | bytes], head: int):
        self.pieces = pieces
        self.left = 0  # bytes
        self.failed = False
        self.head, self.size = head, sum(map(len, pieces))  # bytes: of the header, of all
        self._change = change

    def wait(self, count: int) -> None:
        """Until the first `count` bytes of the payload may change, or nothing more will leave."""
        if self.left >= self.head + count:
            return
        with self._change:
            while self.left < self.head + count and not self.failed:
                self._change.wait()

    def wait_all(self) -> None:
        """Until all of it has left, or nothing more will."""
        self.wait(self.size - self.head)


def parts(pieces: list[memoryview | bytes]) -> Iterator[list[memoryview | bytes]]:
    """The pieces in parts for one call each, the first one (a header) with what follows it."""
    some: list[memoryview | bytes] = []
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            some.append(piece[start : start + PIECE])
            if sum(map(len, some)) >= PIECE:
                yield some
                some = []
    if some:
        yield some


class Sender:
    """Sends what is queued, in order.

    What is too large to wait for is sent by a thread of its own (`put`), or bit by bit by whoever
    has begun it, between other things (`begin`, `push`). Errors are kept, not raised: the receiving
    side finds out what happened.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._queue: deque[Departure] = deque()
        self._waiting = 0  # bytes
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failed = self._finished = False
        self._begun: Departure | None = None
        self._parts: Iterator[list[memoryview | bytes]] = iter(())  # of it, to be sealed
        self._sealed = memoryview(b"")  # what is left to send of the part that is leaving

    def send(self, whole: bytes, head: int) -> Departure:
        """Send a small frame now, or after what waits. head: bytes of its header."""
        with self._change:
            if self._waiting or self._begun is not None:
                return self.put([whole], head)
            frame = self._new([whole], head)
            self._try(frame, socket.socket.sendall, self._try(frame, sealed, frame.pieces))
            frame.left = frame.size
            return frame

    def put(self, pieces: list[memoryview | bytes], head: int) -> Departure:
        """Have a thread send a frame."""
        with self._change:
            while self._waiting > MOST_WAITING and not self._failed:
                self._change.wait()
            frame = self._new(pieces, head)
            if frame.failed:
                return frame
            try:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, daemon=True)
                    self._thread.start()
                self._waiting += frame.size
                self._queue.append(frame)
            except BaseException:  # no thread to be had, or Ctrl-C: the frame may be missing
                self._failed = True
                raise
            finally:
                self._change.notify_all()
        return frame

    def _new(self, pieces: list[memoryview | bytes], head: int) -> Departure:
        frame = Departure(self._change, pieces, head)
        frame.failed = self._finished or self._failed
        return frame

    def _send(self, frame: Departure) -> None:
        """Send a frame, telling how far it has come.

        A part counts before it is sent: two peers that each wait for the start of what leaves,
        before they read on, must not need room on the connection for the rest of its part.
        """
        frame.failed = self._failed
        for some in parts(frame.pieces):
            records = self._try(frame, sealed, some)
            with self._change:
                frame.left += sum(map(len, some))
                self._change.notify_all()
            self._try(frame, socket.socket.sendall, records)
        frame.pieces = []  # whoever still holds the frame need not hold the payload

    def _try(self, frame: Departure, how: Callable[[socket.socket, Any], Any], what: Any) -> Any:
        """Do something with the connection, unless an earlier try has failed."""
        if frame.failed:
            return None
        try:
            return how(self._connection, what)
        except Exception:
            frame.failed = self._failed = True
            return None
        except BaseException:  # Ctrl-C: what has left is unknown, so nothing may follow it
            frame.failed = self._failed = True
            raise

    def begin(self, pieces: list[memoryview | bytes], head: int) -> Departure:
        """A frame that `push` sends."""
        with self._change:
            if self._waiting or self._begun is not None:
                return self.put(pieces, head)
            frame = self._new(pieces, head)
            if not frame.failed:
                self._begun, self._parts = frame, parts(pieces)
            return frame

    @property
    def begun(self) -> bool:
        """Whether `push` has something to send."""
        return self._begun is not None

    def push(self) -> bool:
        """Send what the connection takes at once of the frame that was begun; False: nothing."""
        with self._change:
            frame = self._begun
            if frame is None or self._finished:
                return False
            try:
                return self._advance(frame)
            except Exception:
                self._drop(frame)
                return True
            except BaseException:  # Ctrl-C: what has left is unknown, so nothing may follow it
                self._drop(frame)
                raise

    def _advance(self, frame: Departure) -> bool:
        if not self._sealed:
            some = next(self._parts)
            self._sealed = memoryview(sealed(self._connection, some))
            frame.left += sum(map(len, some))  # see `_send`
        try:
            sent = os.write(self._connection.fileno(), self._sealed)
        except BlockingIOError:
            return False
        self._sealed = self._sealed[sent:]
        if not self._sealed and frame.left == frame.size:
            self._done(frame)
        return True

    def _drop(self, frame: Departure) -> None:
        frame.failed = self._failed = True
        self._done(frame)

    def _done(self, frame: Departure) -> None:
        frame.pieces, self._parts, self._sealed = [], iter(()), memoryview(b"")
        self._begun = None
        self._change.notify_all()

    def _push_all(self, until: float, hurry: Callable[[], None]) -> None:
        """Send the rest of the frame that was begun, or give it up."""
        watch = select.poll()
        watch.register(self._connection, select.POLLOUT)
        while self._begun is not None and (self.push() or monotonic() < until):
            watch.poll(1000 * max(0.0, min(GLANCE, until - monotonic())))
            hurry()
        if self._begun is not None:
            self._drop(self._begun)

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._queue or self._begun is not None:
                    if self._finished and not self._queue:
                        return
                    self._change.wait()
                frame = self._queue.popleft()
            self._send(frame)
            with self._change:
                self._waiting -= frame.left
                self._change.notify_all()
            del frame  # and with it the payload

    def finish(self, words: bytes, patience: float, hurry: Callable[[], None]) -> None:
        """Send the last words, and wait until all has left or nothing more can.

        hurry: called now and then meanwhile, to make a peer take what waits.
        """
        until = monotonic() + patience
        if not self._change.acquire(timeout=patience):
            return  # a thread sends, and gets nowhere
        try:
            self._push_all(until, hurry)
            self._connection.settimeout(patience)
            self.send(words, len(words))
            self._finished = True
            self._change.notify_all()
            while self._waiting and not self._failed and monotonic() < until:
                self._change.wait(max(0.0, min(GLANCE, until - monotonic())))
                hurry()
        finally:
            self._change.release()

    def join(self) -> None:
        """Wait until no thread sends any more; the connection has been cut."""
        with self._change:
            self._finished = True
            self._change.notify_all()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(LAST)
