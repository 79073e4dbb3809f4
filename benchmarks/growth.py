"""What grows in `bench_growth`: works, their figures at one size, and what these say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

WORD = 8  # bytes of an element's share


@dataclass(frozen=True)
class Work:
    """An operation on `operands` alike tensors. sizes: elements of a vector, or rows of a square.

    power: the slope of its time over elements, if each step of it took the same time.
    """

    operands: int
    sizes: tuple[int, ...]
    square: bool = False

    @property
    def power(self) -> float:
        return 1.5 if self.square else 1.0

    def shape(self, size: int) -> tuple[int, ...]:
        return (size, size) if self.square else (size,)

    def elements(self, size: int) -> int:
        """Of one operand."""
        return size**2 if self.square else size


POWERS_OF_TEN = tuple(10**power for power in range(3, 8))
WORKS = {
    "mul": Work(2, POWERS_OF_TEN),
    "relu": Work(1, POWERS_OF_TEN),
    "matmul": Work(2, tuple(2**power for power in range(5, 12)), square=True),
}


@dataclass(frozen=True)
class Figures:
    """A work at a size. memory: bytes at most beyond what was there, of the process that took most.

    sent: bytes of a party. dealt: bytes of the provider. shares: bytes of the operands' shares in
    one such process.
    """

    elements: int
    shares: int
    seconds: float
    memory: int
    rounds: int
    sent: int
    dealt: int

    @property
    def multiple(self) -> float:
        """The memory as a multiple of the operands."""
        return self.memory / self.shares


def slopes(series: Sequence[Figures]) -> list[float]:
    """Of log seconds over log elements, between successive sizes."""
    return [log(b.seconds / a.seconds) / log(b.elements / a.elements) for a, b in pairwise(series)]


HEAD = (
    "elements", "ms", "ns per element", "slope", "extra memory, MB", "multiple of the operands",
    "rounds", "MB sent", "MB dealt",
)  # fmt: skip


def rows(series: Sequence[Figures]) -> Iterator[tuple[str, ...]]:
    """A row of the table for each size. A slope stands in the row where it ends."""
    for figures, slope in zip(series, ("", *map("{:.2f}".format, slopes(series))), strict=True):
        yield (
            f"{figures.elements:,}",
            f"{1e3 * figures.seconds:.2f}",
            f"{1e9 * figures.seconds / figures.elements:.1f}",
            slope,
            f"{figures.memory / 1e6:.1f}",
            f"{figures.multiple:.1f}",
            str(figures.rounds),
            f"{figures.sent / 1e6:.3f}",
            f"{figures.dealt / 1e6:.3f}",
        )


def table(series: Sequence[Figures]) -> str:
    """The rows in markdown."""
    lines = [HEAD, ("---:",) * len(HEAD), *rows(series)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
