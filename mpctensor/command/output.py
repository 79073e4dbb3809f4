"""The output of several processes on one terminal: every line with the name of who wrote it.

A line is shown as a terminal would show it in the end: what stands after its last carriage return.
Lines that are not finished yet (progress bars) are shown on a terminal only, the newest at the
bottom; elsewhere they wait for their end.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from typing import IO, TextIO

COLOURS = (36, 33, 35, 32, 34, 31)
MOST_PENDING = 1 << 16  # bytes of a line that does not end
CLEAR = "\r\x1b[K"
COLOUR = re.compile("\x1b\\[[0-9]*m")


class Screen:
    """Where all lines go; whole lines only, from any thread. broken: nobody reads any more."""

    def __init__(self) -> None:
        self.broken = False
        self._lock = threading.Lock()
        self._unfinished = False

    def show(self, stream: TextIO, label: str, line: bytes, *, finished: bool = True) -> None:
        """Write a line, or on a terminal what there is of it so far."""
        text = line.decode(errors="replace")
        with self._lock:
            try:
                if self._unfinished:
                    stream.write(CLEAR)
                stream.write(label + (text + "\n" if finished else _cut(text, label)))
                self._unfinished = not finished
                stream.flush()
            except (OSError, ValueError):
                self.broken = True


def _cut(text: str, label: str) -> str:
    """What fits behind the label on one line of the terminal, so that it can be cleared."""
    taken = len(COLOUR.sub("", label)) + 1
    return text[: max(0, shutil.get_terminal_size().columns - taken)]


def label(name: str, width: int, place: int, stream: TextIO) -> str:
    """What a line of this process begins with; coloured on a terminal."""
    text = f"{name:<{width}} | "
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{COLOURS[place % len(COLOURS)]}m{text}\x1b[0m"


class Reader(threading.Thread):
    """Shows what comes out of a pipe until it ends."""

    def __init__(self, pipe: IO[bytes], screen: Screen, stream: TextIO, label: str) -> None:
        super().__init__(daemon=True)
        self._pipe, self._screen, self._stream, self._label = pipe, screen, stream, label
        self._live = stream.isatty()

    def run(self) -> None:
        pending = b""
        while piece := os.read(self._pipe.fileno(), 1 << 16):
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                self._screen.show(self._stream, self._label, last_state(line))
            if len(pending) > MOST_PENDING:
                pending = self._relieved(pending)
            if self._live and pending:
                state = last_state(pending)
                self._screen.show(self._stream, self._label, state, finished=False)
        if pending:
            self._screen.show(self._stream, self._label, last_state(pending))

    def _relieved(self, pending: bytes) -> bytes:
        """What must be kept of a line that grows and grows: its newest state, if that is short."""
        state = last_state(pending)
        if len(state) <= MOST_PENDING // 2:
            return state
        self._screen.show(self._stream, self._label, state)
        return b""


def last_state(line: bytes) -> bytes:
    """A line without what was overwritten after carriage returns."""
    states = [state for state in line.split(b"\r") if state.strip()]
    return states[-1] if states else b""
