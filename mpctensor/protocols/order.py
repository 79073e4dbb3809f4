"""The smallest or largest elements along the last dimension, in order; ties keep theirs.

Nothing is shuffled and nothing of the order is opened. Which way is taken follows from the sizes:
* all pairs are compared, which gives every element its rank and a one-hot row: few rounds;
* the first few of many: those of every block by all pairs, then those of what is left;
* everything else by a sorting network over (value, position).
Each gives the values and what chose them, from which gradients are routed without a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from ..share import Share
from .bits import bit_mul, bit_of, both
from .comparison import compare
from .linear import add, concatenate, constant, neg, sub
from .one_hot import OneHot, one_hot
from .rectify import flatten, positive
from .running import ahead
from .smooth.words import words

SHORT = 64  # up to this many candidates all pairs are compared, unless there are too many rows
FEW_PAIRS, MANY_PAIRS = 1 << 17, 1 << 24  # of all rows together: for long ones, for short ones
BLOCK, FEW = 32, 32  # candidates of a block, and how many of the first are taken block by block


class Selection(Protocol):
    """Which of n candidates stand at k places, (*, n) to (*, k): a linear map nobody can see."""

    def pick(self, x: Share) -> Share:
        """The elements of x that were chosen."""
        ...

    def route(self, g: Share) -> Share:
        """The transpose of `pick`: each g to where its element came from, zeros elsewhere."""
        ...

    def index(self) -> Share:
        """Positions of the chosen, (*, k), int64."""
        ...


def ordered(x: Share, start: int, stop: int, largest: bool = False) -> tuple[Share, Selection]:
    """(elements of ranks start .. stop - 1, what chose them); rank 0 is the smallest or largest.

    x: (*, n), not empty. Rounds: 6 by all pairs; 6 for each fourfold reduction of a long dimension
    to its first few; 5 a stage of the network, which has log2(n) (log2(n) + 1) / 2 stages.
    """
    n = x.shape[-1]
    if prod(x.shape) * (n - 1) // 2 <= (MANY_PAIRS if n <= SHORT else FEW_PAIRS):
        return _by_pairs(x, start, stop, largest)
    if stop <= FEW and n >= 2 * _block(stop):
        return _by_blocks(x, start, stop, largest)
    return _by_network(x, start, stop, largest)


# All pairs


def _by_pairs(x: Share, start: int, stop: int, largest: bool) -> tuple[Share, OneHot]:
    """Right where |differences| < 2^63.

    1. compare the n (n - 1) / 2 pairs of a row; an element's rank is how many go before it
    2. the ranks as one-hot rows
    3. multiply with the elements
    6 rounds. Sent: 98 bits a pair, 128 an element, 64 for each of the n (stop - start) row entries.
    """
    n = x.shape[-1]
    rows = one_hot(_ranks(x, largest), n, start, stop)
    chosen = OneHot(rows.map(lambda part: part.transpose(-1, -2)))
    return chosen.pick(x), chosen


def _ranks(x: Share, largest: bool) -> Share:
    """How many elements go before each: those that are smaller, and equal ones further ahead."""
    n = x.shape[-1]
    first = constant(x.session, torch.arange(n).expand(x.shape).contiguous())
    if n < 2:
        return first
    one, other = torch.triu_indices(n, n, 1)
    more, less = (other, one) if largest else (one, other)
    difference = x.map(lambda part: part.index_select(-1, more).sub_(part.index_select(-1, less)))
    overtakes = positive(difference)  # the later one of a pair goes first
    return add(first, overtakes.map(lambda part: _balance(part, one * n + other, n), torch.int64))


def _balance(pairs: Tensor, places: Tensor, n: int) -> Tensor:
    """For each element: pairs in which it is overtaken, less those in which it overtakes."""
    table = torch.zeros(*pairs.shape[:-1], n * n, dtype=torch.int64)
    table = table.index_copy_(-1, places, pairs).unflatten(-1, (n, n))
    return table.sum(-1) - table.sum(-2)


# The first few of many


@dataclass(frozen=True)
class Heats:
    """The leaders of every block and whatever filled none, then the chosen ones among them.

    shape: of the candidates.
    """

    leaders: OneHot
    final: Selection
    shape: torch.Size
    block: int

    def pick(self, x: Share) -> Share:
        blocks, rest = _cut(x, self.shape[-1] // self.block, self.block)
        return self.final.pick(_joined(self.leaders.pick(blocks), rest))

    def route(self, g: Share) -> Share:
        count, kept = self.leaders.rows.shape[-3:-1]
        blocks, rest = _cut(self.final.route(g), count, kept)
        return _joined(self.leaders.route(blocks), rest)

    def index(self) -> Share:
        positions = torch.arange(self.shape[-1]).expand(self.shape).contiguous()
        return self.pick(constant(self.leaders.rows.session, positions))


def _by_blocks(x: Share, start: int, stop: int, largest: bool) -> tuple[Share, Heats]:
    """The first `stop` of every block go on."""
    block = _block(stop)
    blocks, rest = _cut(x, x.shape[-1] // block, block)
    best, leaders = _by_pairs(blocks, 0, stop, largest)
    value, final = ordered(_joined(best, rest), start, stop, largest)
    return value, Heats(leaders, final, x.shape, block)


def _block(stop: int) -> int:
    """Candidates of a block: at least four times as many as go on."""
    return max(BLOCK, 4 * stop)


def _cut(x: Share, count: int, block: int) -> tuple[Share, Share]:
    """So many blocks (*, count, block), and the rest (*, m)."""
    many = count * block
    blocks = x.map(lambda part: part[..., :many].reshape(*part.shape[:-1], count, block))
    return blocks, x.map(lambda part: part[..., many:])


def _joined(blocks: Share, rest: Share) -> Share:
    """The inverse of `_cut`."""
    flat = blocks.map(lambda part: part.flatten(-2))
    return concatenate(lambda parts: torch.cat(list(parts), -1), [flat, rest])


# A sorting network


@dataclass(frozen=True)
class Stage:
    """Disjoint pairs of places, and secret bits (pairs, *rest): which of them are exchanged."""

    low: Tensor
    high: Tensor
    swap: Share

    def apply(self, x: Share) -> Share:
        """x with the pairs exchanged along dim 0; its own transpose and inverse."""
        low, high = self.low, self.high
        moved = bit_mul(self.swap, ahead(x, low, high))
        return _exchanged(x, low, high, moved)


@dataclass(frozen=True)
class Network:
    """The stages that sorted n candidates, of which places start .. stop - 1 are shown.

    positions: where the shown ones came from.
    """

    stages: tuple[Stage, ...]
    positions: Share
    size: int
    start: int

    def pick(self, x: Share) -> Share:
        """One round a stage."""
        x = x.map(lambda part: part.movedim(-1, 0).contiguous())
        for stage in self.stages:
            x = stage.apply(x)
        return self._shown(x)

    def route(self, g: Share) -> Share:
        """One round a stage."""
        before, after = self.start, self.size - self.start - g.shape[-1]
        g = g.map(
            lambda part: torch.nn.functional.pad(part, (before, after)).movedim(-1, 0).contiguous()
        )
        for stage in reversed(self.stages):
            g = stage.apply(g)
        return g.map(lambda part: part.movedim(0, -1))

    def index(self) -> Share:
        return self.positions

    def _shown(self, x: Share) -> Share:
        stop = self.start + self.positions.shape[-1]
        return x.map(lambda part: part[self.start : stop].movedim(0, -1).contiguous())


def _by_network(x: Share, start: int, stop: int, largest: bool) -> tuple[Share, Network]:
    """Batcher's merge exchange; a pair is in order if its values are, or are equal and positions
    are, so that the outcome is that of a stable sort. Right where |differences| < 2^63.

    1. the differences of a stage's pairs, of values and of positions, compared in one batch
    2. swap = [values descend] or ([values do not ascend] and [positions descend])
    3. swap times both differences, from the opening that was compared
    5 rounds a stage; 328 bits sent a pair, 1360 dealt.
    Source: Batcher, "Sorting networks and their applications", AFIPS 1968 [Bat68]; in this form
    for any n: Knuth, The Art of Computer Programming 3, algorithm 5.2.2M.
    """
    n = x.shape[-1]
    oriented = neg(x) if largest else x
    state, stages = _numbered(oriented), []
    for low, high in merge_exchange(n):
        difference = ahead(state, low, high)
        swap = _out_of_order(difference)
        stages.append(Stage(low, high, swap))
        spread = swap.map(lambda part: part.unsqueeze(1))
        state = _exchanged(state, low, high, bit_mul(spread, difference))
    places = state.map(lambda part: part[start:stop, 1].movedim(0, -1).contiguous())
    value = state.each(lambda _, part: part[start:stop, 0].movedim(0, -1).contiguous())
    out = Share.make(x.session, value, x.dtype, x.scale, x.unit, shown=x.shown)
    return neg(out) if largest else out, Network(tuple(stages), places, n, start)


def _numbered(x: Share) -> Share:
    """(n, 2, *rest) words: the elements, and their positions."""
    n, session = x.shape[-1], x.session
    column = torch.arange(n).view(-1, *[1] * (x.here.dim() - 1))

    def state(p: int, part: Tensor) -> Tensor:
        values = part.movedim(-1, 0)
        own = column if p == session.first else torch.zeros_like(column)
        return torch.stack([values, own.expand(values.shape)], 1)

    return words(session, x.each(state))


def _out_of_order(difference: Share) -> Share:
    """(pairs, *rest): [values > 0] or ([values >= 0] and [positions > 0])."""
    outcome = compare(flatten(difference), [1, 0], "bit")
    above, at_least = (bit_of(outcome, t, difference.shape) for t in (0, 1))
    more, same_or_more = (bit.map(lambda part: part[:, 0]) for bit in (above, at_least))
    later = above.map(lambda part: part[:, 1])
    return add(more, sub(both(later, same_or_more), both(later, more)))


def _exchanged(x: Share, low: Tensor, high: Tensor, moved: Share) -> Share:
    """x - moved at the low places, x + moved at the high ones, along dim 0."""

    def write(parts: list[Tensor]) -> Tensor:
        return parts[0].index_add(0, low, parts[1], alpha=-1).index_add_(0, high, parts[1])

    return concatenate(lambda parts: write(list(parts)), [x, moved])


def merge_exchange(n: int) -> list[tuple[Tensor, Tensor]]:
    """The stages of the network for n: (low places, high places)."""
    stages = []
    lows = torch.arange(n)
    p = 1
    while p < n:
        k = p
        while k >= 1:
            i = lows[k % p : n - k]
            meets = ((i - k % p) // k % 2 == 0) & (i // (2 * p) == (i + k) // (2 * p))
            if bool(meets.any()):
                stages.append((i[meets], i[meets] + k))
            k //= 2
        p *= 2
    return stages
