"""Which power of 16 a secret value lies at, as secret bits, and the value brought to [1, 16).

Thresholds V >= 2^(bottom + 4 j) on one opening of V. Everything that depends on the interval, such
as the power of two that normalises V, is a public linear function of these bits. A value below the
lowest threshold (zero, a negative rounding error) lies in no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...share import Share
from ..bits import bit_of
from ..comparison import compare
from ..scales import wrapped
from .coefficients import RADIX_BITS
from .words import at_parties, public_words

ONE_BITS = 59  # t = 1 is the ring element 2^59, so that the circle of 2^64 is 32


@dataclass(frozen=True)
class Ladder:
    """`count` intervals of ring elements: [2^(bottom + 4 j), 2^(bottom + 4 j + 4)).

    The lowest one begins at 2^lowest.
    """

    bottom: int
    count: int
    lowest: int

    @property
    def floors(self) -> list[int]:
        """log2 of the powers of 16 that the intervals belong to."""
        return [self.bottom + RADIX_BITS * j for j in range(self.count)]

    @property
    def thresholds(self) -> list[int]:
        """The lower ends."""
        return [1 << max(self.lowest, floor) for floor in self.floors]


def ladder(low: int, high: int) -> Ladder:
    """The fewest intervals that cover [2^low, 2^high), from the top down; 0 <= low, high <= 62."""
    count = -(-(high - low) // RADIX_BITS)
    return Ladder(high - RADIX_BITS * count, count, low)


@dataclass(frozen=True)
class Placed:
    """A flat value and its place on a ladder.

    steps: [V >= threshold] for every threshold, but for the lowest where that is known.
    """

    value: Share
    ladder: Ladder
    steps: tuple[Share, ...]

    def weigh(self, weights: Sequence[int], otherwise: int = 0) -> Share:
        """The weight of the value's interval, `otherwise` below the ladder; words, local."""
        changes = [b - a for a, b in zip([otherwise, *weights], weights, strict=False)]
        start = otherwise
        if len(self.steps) < len(changes):
            start += changes.pop(0)
        if not changes:
            return public_words(self.value.session, torch.full_like(self.value.here, start))
        first = self.value.session.first

        def weighed(p: int) -> Tensor:
            total = torch.full_like(self.value.here, wrapped(start) if p == first else 0)
            for step, change in zip(self.steps, changes, strict=True):
                total.add_(step.parts[p], alpha=wrapped(change))
            return total

        return at_parties(self.value, weighed)

    def normaliser(self, otherwise: int = 0) -> Share:
        """The power of two that brings V to t * 2^59 with 1 <= t < 16."""
        return self.weigh([1 << (ONE_BITS - floor) for floor in self.ladder.floors], otherwise)


def place(flat: Share, on: Ladder, certain: bool = False) -> Placed:
    """Find the interval of each element. certain: V is known to reach the lowest threshold.

    4 rounds (3 where the value is open); 34 bits sent and 160 dealt a threshold, 232 dealt once.
    """
    thresholds = on.thresholds[1:] if certain else on.thresholds
    if not thresholds:
        return Placed(flat, on, ())
    outcome = compare(flat, thresholds, "bit")
    steps = tuple(bit_of(outcome, i, flat.shape) for i in range(len(thresholds)))
    return Placed(flat, on, steps)
