"""Between which bounds a value lies: how many of them it reaches, by one comparison for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..share import Share
from .bits import bit_of
from .comparison import compare
from .linear import concatenate, sub, total
from .rectify import flatten, nonnegative, positive
from .scales import align

TOGETHER = 64  # thresholds of one comparison


def count_reached(x: Share, bounds: Share, right: bool) -> Share:
    """How many bounds lie below x (right: below or at x), int64, shaped as x.

    bounds: (m,) for all x, or (*, m) for an x of (*, k). Public ones for all x are thresholds on
    one opening of x: 4 rounds, 3 more for each further 64 of them; 34 bits sent and 160 dealt for
    one. Any others cost a comparison of differences each: 4 rounds.
    """
    if bounds.public is not None and bounds.here.dim() == 1 and bounds.shape[0]:
        return _thresholds(x, bounds, right)
    column = x.map(lambda part: part.unsqueeze(-1))
    row = bounds if bounds.here.dim() == 1 else bounds.map(lambda part: part.unsqueeze(-2))
    reached = nonnegative if right else positive
    return total(reached(sub(column, row)), [-1])


def _thresholds(x: Share, bounds: Share, right: bool) -> Share:
    x, bounds = align(x, bounds)
    known = bounds.public
    assert known is not None
    return levels_reached(x, (known if right else known + 1).tolist())


def levels_reached(x: Share, levels: Sequence[int]) -> Share:
    """How many public ring elements x reaches, int64, shaped as x: 64 of them on one opening."""
    flat, counts = flatten(x), []
    for first in range(0, len(levels), TOGETHER):
        outcome = compare(flat, levels[first : first + TOGETHER], "bit")
        counts += [bit_of(outcome, t, x.shape) for t in range(len(outcome.planes))]
    summed = concatenate(lambda parts: torch.stack(tuple(parts)).sum(0), counts)
    return Share(summed.session, summed.parts, torch.int64)
