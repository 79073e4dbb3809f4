"""The log of refused callers: never more lines than a span allows, every caller told or counted."""

import random
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from mpctensor.provider import refusals
from mpctensor.provider.refusals import MOST, SPAN, Refusals
from tests.provider.test_service import await_true


class Clock:
    """Time as a test wants it, with the alarms that are set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self._alarm: tuple[float, Callable[[], None]] | None = None
        patch.setattr(refusals, "monotonic", lambda: self.now)
        patch.setattr(refusals.threading, "Timer", self._timer)

    def _timer(self, wait: float, call: Callable[[], None]) -> SimpleNamespace:
        def start() -> None:
            assert self._alarm is None, "one is enough"
            self._alarm = (self.now + wait, call)

        def cancel() -> None:
            self._alarm = None

        return SimpleNamespace(start=start, cancel=cancel)

    def move(self, to: float) -> None:
        while self._alarm is not None and self._alarm[0] <= to:
            self.now, call = self._alarm
            call()
        self.now = to


@pytest.mark.parametrize("pause", [0.001, 0.1, 2.5, 3.5, 30.0])
def test_no_span_has_more_lines_and_nobody_is_lost(
    monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    clock, draw = Clock(monkeypatch), random.Random(0)
    lines: list[tuple[float, str]] = []
    log = Refusals(lambda line: lines.append((clock.now, line)))
    for i in range(3000):
        clock.move(clock.now + draw.expovariate(1 / pause))
        log.say(f"caller {i}")
    end = clock.now
    clock.move(end + SPAN)
    times = [when for when, _ in lines]
    assert all(b - a > SPAN - 1e-6 for a, b in zip(times, times[MOST:], strict=False))
    counts = [int(line.split()[1]) for _, line in lines if line.endswith(" more")]
    assert sum(counts) + len(lines) - len(counts) == 3000
    assert bool(counts) == (pause < 30)


def test_callers_that_are_few_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    lines: list[str] = []
    log = Refusals(lines.append)
    for i in range(100):
        clock.move(i * SPAN / MOST)
        log.say(f"caller {i}")
        assert lines[-1] == f"refused caller {i}"
    log.settle()
    assert len(lines) == 100, "there is no count to tell"


def test_a_count_waits_neither_for_another_caller_nor_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "SPAN", 2.0)
    lines: list[str] = []
    log = Refusals(lines.append)
    for i in range(1000):
        log.say(f"caller {i}")
    assert lines[:MOST] == [f"refused caller {i}" for i in range(MOST)]
    await_true(lambda: lines[-1].endswith(" more"))
    log.say("late")
    assert lines[-1] == "refused late", "there is room again"


def test_the_end_tells_the_count() -> None:
    lines: list[str] = []
    log = Refusals(lines.append)
    for i in range(MOST + 3):
        log.say(f"caller {i}")
    log.settle()
    log.settle()
    assert lines[MOST:] == ["refused 3 more"]
