"""Sending over one connection, in order, without waiting for what is large."""

from __future__ import annotations

import socket
import threading
from collections import deque
from time import monotonic

PIECE = 1 << 19  # bytes of one call: the timeout is for progress, not for the whole
LAST = 5.0  # seconds for the thread to notice that the connection was cut
MOST_WAITING = 1 << 28  # bytes queued for sending before the caller has to wait


class Departure:
    """How much of a frame has left this process."""

    def __init__(self, change: threading.Condition, pieces: list[memoryview | bytes], head: int):
        self.pieces = pieces
        self.left = 0  # bytes
        self.failed = False
        self._change, self._head = change, head
        self._size = sum(map(len, pieces)) - head

    def wait(self, count: int) -> None:
        """Until the first `count` bytes of the payload may change, or nothing more will leave."""
        if self.left >= self._head + count:
            return
        with self._change:
            while self.left < self._head + count and not self.failed:
                self._change.wait()

    def wait_all(self) -> None:
        """Until all of it has left, or nothing more will."""
        self.wait(self._size)


class Sender:
    """Sends what is queued, in order; a thread of its own once something is too large to wait for.

    Errors are kept, not raised: the receiving side finds out what happened.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._queue: deque[Departure] = deque()
        self._waiting = 0  # bytes
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failed = self._finished = False

    def put(
        self, pieces: list[memoryview | bytes], head: int, size: int, *, inline: bool
    ) -> Departure:
        """Send a frame now or later. head, size: bytes of its header and of its payload."""
        frame = Departure(self._change, pieces, head)
        with self._change:
            while self._waiting > MOST_WAITING and not self._failed:
                self._change.wait()
            if self._finished:
                frame.failed = True
                return frame
            if inline and not self._waiting:
                self._send(frame)
                return frame
            try:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, daemon=True)
                    self._thread.start()
                self._waiting += head + size
                self._queue.append(frame)
            except BaseException:  # no thread to be had, or Ctrl-C: the frame may be missing
                self._failed = True
                raise
            finally:
                self._change.notify_all()
        return frame

    def _send(self, frame: Departure) -> None:
        """Send a frame, telling how far it has come."""
        frame.failed = self._failed
        try:
            for whole in frame.pieces:
                piece = memoryview(whole)
                for start in range(0, len(piece), PIECE):
                    part = piece[start : start + PIECE]
                    if not frame.failed:
                        self._try(frame, part)
                    with self._change:
                        frame.left += len(part)
                        self._change.notify_all()
        except BaseException:  # Ctrl-C: what has left is unknown, so nothing may follow it
            frame.failed = self._failed = True
            raise
        frame.pieces = []  # whoever still holds the frame need not hold the payload

    def _try(self, frame: Departure, part: memoryview) -> None:
        try:
            self._connection.sendall(part)
        except Exception:
            frame.failed = self._failed = True

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._queue:
                    if self._finished:
                        return
                    self._change.wait()
                frame = self._queue.popleft()
            self._send(frame)
            with self._change:
                self._waiting -= frame.left
                self._change.notify_all()
            del frame  # and with it the payload

    def finish(self, words: bytes, patience: float) -> None:
        """Send the last words, and wait until all has left or nothing more can."""
        until = monotonic() + patience
        if not self._change.acquire(timeout=patience):
            return  # a thread sends, and gets nowhere
        try:
            self._connection.settimeout(patience)
            self.put([words], len(words), 0, inline=True)
            self._finished = True
            self._change.notify_all()
            while self._waiting and not self._failed and monotonic() < until:
                self._change.wait(max(0.0, until - monotonic()))
        finally:
            self._change.release()

    def join(self) -> None:
        """Wait until no thread sends any more; the connection has been cut."""
        with self._change:
            self._finished = True
            self._change.notify_all()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(LAST)
