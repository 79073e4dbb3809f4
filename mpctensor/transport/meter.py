"""Counting rounds and bytes, and `mpctensor.cost()`, which shows them per operation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

MOST_NOTED = 16  # of what was done since the last round


@dataclass
class OpCost:
    """What one kind of operation cost: a row of the table."""

    name: str
    calls: int = 0
    rounds: int = 0
    sent: list[int] = field(default_factory=list)
    provider_bytes: int = 0
    seconds: float = 0.0

    @property
    def bytes_sent(self) -> int:
        """Bytes sent by one party (the largest)."""
        return max(self.sent, default=0)

    def add_sent(self, sent: Sequence[int]) -> None:
        if len(self.sent) < len(sent):
            self.sent.extend([0] * (len(sent) - len(self.sent)))
        for party, count in enumerate(sent):
            self.sent[party] += count


class Cost:
    """Rounds, bytes and seconds of the code inside `with mpctensor.cost() as c:`.

    rounds: messages that wait for one another. bytes_sent: by one party to all its peers (the
    largest). provider_bytes: from the provider to the parties. ops: a row per operation.
    """

    def __init__(self) -> None:
        self.total = OpCost("total")
        self._rows: dict[str, OpCost] = {}
        self._started = perf_counter()

    rounds = property(lambda self: self.total.rounds)
    bytes_sent = property(lambda self: self.total.bytes_sent)
    provider_bytes = property(lambda self: self.total.provider_bytes)
    seconds = property(lambda self: self.total.seconds)

    @property
    def ops(self) -> list[OpCost]:
        return list(self._rows.values())

    def row(self, name: str) -> OpCost:
        return self._rows.setdefault(name, OpCost(name))

    def stop(self) -> None:
        self.total.seconds = perf_counter() - self._started

    def __str__(self) -> str:
        head = ("operation", "calls", "rounds", "bytes sent", "provider bytes", "seconds")
        rows = sorted(self.ops, key=lambda row: -row.seconds)
        table = [head] + [_cells(row) for row in rows] + [_cells(self.total)]
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        return "\n".join(
            line[0].ljust(widths[0])
            + "".join("  " + cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))
            for line in table
        )


def _cells(row: OpCost) -> tuple[str, ...]:
    counts = (row.calls or "", row.rounds, row.bytes_sent, row.provider_bytes)
    return (row.name, *(f"{c:,}" if c != "" else "" for c in counts), f"{row.seconds:.4f}")


_active: list[Cost] = []


@contextmanager
def cost() -> Iterator[Cost]:
    """Count what the enclosed code costs, over all sessions; may nest."""
    record = Cost()
    _active.append(record)
    try:
        yield record
    finally:
        record.stop()
        _active.remove(record)


class Meter:
    """A session's counter; counts are kept where a `cost()` is active only.

    doing: the user's operation that runs now, for messages.
    """

    def __init__(self) -> None:
        self._operation: str | None = None
        self._lately: deque[str] = deque(maxlen=MOST_NOTED)

    @property
    def doing(self) -> str:
        return self._operation or "other"

    def note(self, what: str) -> None:
        """That something was done without a round which parties have to do alike."""
        self._lately.append(what)

    def lately(self) -> str:
        """The last of what was noted since this was asked, in words that follow."""
        if not self._lately:
            return ""
        words = ", after " + ", ".join(self._lately)
        self._lately.clear()
        return words

    def _rows(self) -> Iterator[OpCost]:
        for record in _active:
            yield record.total
            yield record.row(self.doing)

    def count_round(self, sent: Sequence[int]) -> None:
        """One round in which party p sent `sent[p]` bytes in all."""
        for row in self._rows():
            row.rounds += 1
            row.add_sent(sent)

    def count_provider(self, size: int) -> None:
        for row in self._rows():
            row.provider_bytes += size

    def start(self, name: str) -> float | None:
        """Book what follows under the user's operation `name`; None inside of another one."""
        if self._operation is not None:
            return None
        self._operation = name
        return perf_counter()

    def finish(self, started: float | None) -> None:
        """The end of what `start` began; started: what it gave."""
        if started is not None:
            name, self._operation = self.doing, None
            if _active:
                self._book(name, perf_counter() - started)

    def _book(self, name: str, spent: float) -> None:
        for record in _active:
            row = record.row(name)
            row.calls += 1
            row.seconds += spent
            record.total.calls += 1
