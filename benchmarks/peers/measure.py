"""Measuring a row on all systems, a repetition of each in turn: all see the same machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import numpy as np

from .members import Failure
from .plain import reference
from .systems import System
from .works import Row, inputs

SHORT = 0.3  # seconds
BURST = 3


@dataclass
class Effort:
    """repeats: turns of each system at a row, fewer where they take `enough` seconds before.

    What is SHORT runs BURST times in a turn, after once that does not count: the caches are cold.
    limit: seconds of everything for one system and row, after which it counts as failed.
    """

    repeats: int = 5
    enough: float = 15.0
    limit: float = 240.0


class Attempt:
    """A system at a row."""

    def __init__(self, system: System, row: Row, files: Path, effort: Effort) -> None:
        self._system, self._row, self._files, self._effort = system, row, files, effort
        self._left = effort.limit
        self._seconds: list[float] = []
        self._cpu: list[float] = []
        self._counts: dict[str, float] = {}
        self._error: float | None = None
        self._failed: str | None = None

    def start(self) -> None:
        """Share the inputs, and count the costs; which warms it up."""
        self._try("load", row=self._row.name, inputs=str(self._files / "inputs.npz"))
        self._counts = max(self._try("count"), key=lambda counts: counts.get("sent", 0), default={})

    def turn(self) -> None:
        """One repetition, or some where they are short."""
        if sum(self._seconds) < self._effort.enough:
            first = self._repetition()
            times = BURST if first and first[0] < SHORT else 0
            taken = [self._repetition() for _ in range(times)] or [first]
            for seconds, cpu in filter(None, taken):
                self._seconds.append(seconds)
                self._cpu.append(cpu)

    def _repetition(self) -> tuple[float, float] | None:
        """Seconds of the slowest party, and CPU seconds of everybody."""
        self._try("prepare")
        before = self._cpu_so_far()
        replies = self._try("run")
        if not replies:
            return None
        return max(reply["seconds"] for reply in replies), self._cpu_so_far() - before

    def compare(self, expected: dict[str, Any]) -> None:
        """The largest error of the last repetition."""
        path = self._files / f"{self._system.name}.npz"
        self._try("outputs", path=str(path))
        if self._failed is None:
            with np.load(path) as made:
                self._error = largest_error(dict(made), expected)

    def cell(self) -> dict[str, Any]:
        """What the table has of it."""
        if self._failed is not None:
            return {"failed": self._failed}
        return {
            "seconds": median(self._seconds),
            "cpu": median(self._cpu),
            "repeats": len(self._seconds),
            "error": self._error,
            **self._counts,
        }

    def _cpu_so_far(self) -> float:
        return self._system.members().cpu() if self._failed is None else 0.0

    def _try(self, do: str, **arguments: str) -> list[dict[str, Any]]:
        """The replies; none if it has failed, which ends the system's processes."""
        if self._failed is not None:
            return []
        try:
            members = self._system.members()
            started = monotonic()
            replies = members.ask(self._left, do=do, **arguments)
            self._left -= monotonic() - started
            return replies
        except Failure as failure:
            self._failed = f"{do}: {failure}"
            self._system.end()
            return []


def largest_error(made: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest absolute difference over all outputs, which have the same names."""
    if set(made) != set(expected):
        raise ValueError(f"outputs {sorted(made)}, expected {sorted(expected)}")
    errors = [np.abs(made[name].astype(np.float64) - value) for name, value in expected.items()]
    return float(np.max([error.max() for error in errors]))  # NaN where there is one


def measured(row: Row, systems: Sequence[System], effort: Effort) -> dict[str, dict[str, Any]]:
    """A cell for each system: figures, or why there are none."""
    arrays = inputs(row)
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        files = Path(folder)
        np.savez(files / "inputs.npz", **arrays)
        attempts = [Attempt(system, row, files, effort) for system in systems]
        for attempt in attempts:
            attempt.start()
        for _ in range(effort.repeats):
            for attempt in attempts:
                attempt.turn()
        expected = reference(row, arrays)
        for attempt in attempts:
            attempt.compare(expected)
    return {system.name: attempt.cell() for system, attempt in zip(systems, attempts, strict=True)}
