"""Maximum along a dimension by a tree of comparisons; the winners' path serves backward.

Neighbours are compared pairwise, the later one wins only if it is strictly larger, so a tie gives
the first index, as in torch. ceil(log2 K) levels of one ReLU each (K - 1 comparisons an output).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..session import Session
from ..share import Share
from .bits import bit_mul, select
from .linear import add, concatenate, constant, neg, sub
from .rectify import relu


@dataclass(frozen=True)
class Path:
    """Which of K candidates won: per level of the tree, the bits [right > left] (K' / 2, *rest).

    dim: the dimension of the input that was reduced. size: K. rest: the reduced shape.
    """

    session: Session
    levels: tuple[Share, ...]
    dim: int
    size: int
    rest: torch.Size

    def route(self, g: Share) -> Share:
        """Spread g (the reduced shape, without dim) to the winners; zeros elsewhere.

        One round and one opening a level.
        """
        current = g.map(lambda part: part.unsqueeze(0))
        for level, count in zip(reversed(self.levels), reversed(self._counts()), strict=True):
            current = _split(current, level, count)
        dim = self.dim
        return current.map(lambda part: part.movedim(0, dim))

    def index(self) -> Share:
        """The winners' positions along dim (int64, the reduced shape)."""
        rest = self.rest
        positions = torch.arange(self.size).view(-1, *[1] * len(rest)).expand(self.size, *rest)
        return self._choose(positions)

    def choose(self, values: torch.Tensor) -> Share:
        """What public integers, shaped like the input, are at the winners (the reduced shape)."""
        return self._choose(values.movedim(self.dim, 0))

    def pick(self, x: Share) -> Share:
        """The elements of x, shaped like the input, at the winners: the transpose of `route`."""
        dim = self.dim
        return self._down(x.map(lambda part: part.movedim(dim, 0).contiguous()))

    def _choose(self, candidates: torch.Tensor) -> Share:
        return self._down(constant(self.session, candidates.contiguous()))

    def _down(self, current: Share) -> Share:
        for level in self.levels:
            current = _merge(current, level)
        return current.map(lambda part: part.squeeze(0))

    def _counts(self) -> list[int]:
        counts, k = [], self.size
        for _ in self.levels:
            counts.append(k)
            k = (k + 1) // 2
        return counts


def max_along(x: Share, dim: int) -> tuple[Share, Path]:
    """(maximum over dim, path); the scale stays, so a pending truncation may follow."""
    dim = dim % x.here.dim()
    size = x.shape[dim]
    current = x.map(lambda part: part.movedim(dim, 0).contiguous())
    if size == 1:
        current = current.clone()  # never an alias of x
    levels = []
    while current.shape[0] > 1:
        left, right, rest = _pairs(current)
        more, bit = relu(sub(right, left), fuse=False)
        levels.append(bit)
        current = _append(add(left, more), rest)
    value = current.map(lambda part: part.squeeze(0))
    return value, Path(x.session, tuple(levels), dim, size, value.shape)


def min_along(x: Share, dim: int) -> tuple[Share, Path]:
    """(minimum over dim, path); ties give the first index."""
    value, path = max_along(neg(x), dim)
    return neg(value), path


def _pairs(x: Share) -> tuple[Share, Share, Share | None]:
    """Neighbours (0, 1), (2, 3), ... along dim 0, and the odd one out."""
    k = x.shape[0]
    even = k - k % 2
    left = x.map(lambda part: part[0:even:2])
    right = x.map(lambda part: part[1:even:2])
    return left, right, x.map(lambda part: part[even:]) if k % 2 else None


def _append(x: Share, rest: Share | None) -> Share:
    return x if rest is None else concatenate(lambda parts: torch.cat(list(parts)), [x, rest])


def _merge(x: Share, bit: Share) -> Share:
    """One level of the tree on values that go with the compared ones."""
    left, right, rest = _pairs(x)
    return _append(select(bit, right, left), rest)


def _split(g: Share, bit: Share, count: int) -> Share:
    """The reverse of one level: g goes to the right neighbour where its bit is 1, else left."""
    pairs = count // 2
    head = g.map(lambda part: part[:pairs])
    right = bit_mul(bit, head)
    left = sub(head, right)
    both = concatenate(lambda parts: torch.stack(tuple(parts), 1).flatten(0, 1), [left, right])
    return _append(both, g.map(lambda part: part[pairs:]) if count % 2 else None)
