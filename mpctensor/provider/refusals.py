"""What the provider's log says of callers that were refused: a few lines a minute, however many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

MOST = 20  # lines within any SPAN
SPAN = 60.0  # seconds


class Refusals:
    """Passes lines on to a log, and counts what is too much for it. Threads may share it.

    A count is told, in a line of its own, as soon as there is room for one.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._times: deque[float] = deque(maxlen=MOST)  # when the last lines were told
        self._untold = 0
        self._alarm: threading.Timer | None = None  # set while there is a count to tell
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """A line about one caller, told or counted."""
        with self._lock:
            wait = self._wait()
            if self._alarm is None and wait <= 0:
                return self._tell(line)
            self._untold += 1
            if self._alarm is None:
                self._alarm = threading.Timer(wait, self.settle)
                self._alarm.daemon = True
                self._alarm.start()

    def settle(self) -> None:
        """Tell at once how many were counted."""
        with self._lock:
            if self._alarm is not None:
                self._alarm.cancel()
                self._tell(f"{self._untold} more")
                self._alarm, self._untold = None, 0

    def _wait(self) -> float:
        """Seconds until the log takes another line."""
        return self._times[0] + SPAN - monotonic() if len(self._times) == MOST else 0.0

    def _tell(self, line: str) -> None:
        self._times.append(monotonic())
        self._log(f"refused {line}")
