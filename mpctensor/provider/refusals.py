"""What the provider's log says of callers that were refused: a few lines a minute, however many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

MOST = 20  # lines in a span
SPAN = 60.0  # seconds


class Refusals:
    """Passes lines on to a log, and counts what is too much for it. Threads may share it."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._begun = monotonic()
        self._said = self._unsaid = 0
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """A line about one caller, told or counted."""
        with self._lock:
            if monotonic() - self._begun >= SPAN:
                self._settle()
            self._said += 1
            if self._said <= MOST:
                self._log(f"refused {line}")
            else:
                self._unsaid += 1

    def close(self) -> None:
        """Tell how many were counted since."""
        with self._lock:
            self._settle()

    def _settle(self) -> None:
        if self._unsaid:
            self._log(f"refused {self._unsaid} more callers")
        self._begun, self._said, self._unsaid = monotonic(), 0, 0
