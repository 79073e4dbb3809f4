"""Running maxima by a tree of prefixes; the comparisons' bits serve backward.

Source: Sklansky, "Conditional-sum addition logic", IRE Transactions on Electronic Computers, 1960
[Skl60]: in level d = 1, 2, 4, ... the upper half of each run of 2 d places takes in the last place
of the lower half. ceil(log2 n) levels of n / 2 comparisons at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..share import Share
from .bits import bit_mul
from .linear import concatenate, constant, neg, sub
from .rectify import selected


@dataclass(frozen=True)
class Level:
    """upper: places that look at the places `last`. stays: bits (upper, *rest) [theirs wins]."""

    upper: Tensor
    last: Tensor
    stays: Share

    def forward(self, x: Share) -> Share:
        """x with x[last] where it wins, along dim 0."""
        by = ahead(x, self.upper, self.last)
        return _lowered(x, self.upper, sub(by, bit_mul(self.stays, by)))

    def backward(self, g: Share) -> Share:
        """The transpose of `forward`."""
        upper, last = self.upper, self.last
        own = g.map(lambda part: part[upper])
        leaves = sub(own, bit_mul(self.stays, own))

        def moved(parts: Sequence[Tensor]) -> Tensor:
            gradient, leaving = parts
            return gradient.index_add(0, upper, leaving, alpha=-1).index_add_(0, last, leaving)

        return concatenate(moved, [g, leaves])


@dataclass(frozen=True)
class Prefixes:
    """Which element is the running maximum at each of n places; as `order.Selection`."""

    levels: tuple[Level, ...]
    like: Share

    def pick(self, x: Share) -> Share:
        """One round a level."""
        x = x.map(lambda part: part.movedim(-1, 0).contiguous())
        for level in self.levels:
            x = level.forward(x)
        return x.map(lambda part: part.movedim(0, -1))

    def route(self, g: Share) -> Share:
        """One round a level."""
        g = g.map(lambda part: part.movedim(-1, 0).contiguous())
        for level in reversed(self.levels):
            g = level.backward(g)
        return g.map(lambda part: part.movedim(0, -1))

    def index(self) -> Share:
        """Positions, int64; a round less than there are levels."""
        shape = self.like.shape
        positions = torch.arange(shape[-1]).expand(shape).contiguous()
        return self.pick(constant(self.like.session, positions))


def running(x: Share, smallest: bool = False) -> tuple[Share, Prefixes]:
    """(running maximum or minimum along the last dimension, which element each is).

    A tie goes to the later element, as in torch. 4 rounds a level, one comparison a pair; right
    where |differences| < 2^63.
    """
    state = x.map(lambda part: part.movedim(-1, 0).contiguous())
    state = neg(state) if smallest else state.clone()
    levels = []
    for upper, last in _levels(x.shape[-1]):
        by = ahead(state, upper, last)
        zero = torch.zeros(by.here.numel(), dtype=torch.int64)
        (stays,), (gain,) = selected(by, [zero])
        levels.append(Level(upper, last, stays))
        state = _lowered(state, upper, sub(by, gain))
    value = (neg(state) if smallest else state).map(lambda part: part.movedim(0, -1))
    return value, Prefixes(tuple(levels), value)


def _levels(n: int) -> Iterator[tuple[Tensor, Tensor]]:
    places, d = torch.arange(n), 1
    while d < n:
        upper = places[places // d % 2 == 1]
        yield upper, upper // d * d - 1
        d *= 2


def ahead(x: Share, upper: Tensor, last: Tensor) -> Share:
    """How much more the upper places hold than the last ones, along dim 0."""
    return x.map(lambda part: part.index_select(0, upper).sub_(part.index_select(0, last)))


def _lowered(x: Share, places: Tensor, by: Share) -> Share:
    return concatenate(lambda parts: parts[0].index_add(0, places, parts[1], alpha=-1), [x, by])
