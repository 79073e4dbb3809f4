"""Exact rounding to whole numbers.

A truncation is the floor or one more, at random (divided by no power of two, one less to two more);
what it leaves over is compared with all bounds that may correct it, on one opening. Costs the
truncation, the opening and the comparison: 5 rounds.
"""

from __future__ import annotations

import torch

from ..share import Share
from .bits import both
from .buckets import levels_reached
from .linear import add, add_scalar, neg, relabelled, sub
from .rectify import negative, positive
from .scales import rescale


def floor(x: Share) -> Share:
    """The largest integer that is not above x, as an integer share.

    1. q = x truncated: floor - below .. floor + above
    2. q - above + the number of whole bounds that x - q reaches, from 1 - above to below
    """
    if x.scale == 1:
        return relabelled(x, torch.int64, 1)
    below, above = _off(x.scale)
    q = rescale(x, 1)
    rest = sub(x, q)
    reached = levels_reached(rest, [k * rest.scale for k in range(1 - above, below + 1)])
    return add_scalar(relabelled(add(q, reached), torch.int64, 1), -above)


def _off(scale: int) -> tuple[int, int]:
    """How far a truncation by this number may lie below and above the floor."""
    return (1, 2) if scale & (scale - 1) else (0, 1)


def nearest(x: Share) -> Share:
    """The integer next to x, the even one of two, as an integer share.

    1. q = (x + 1/2) / 2 truncated: x - 2q lies from -1/2 - 2 above to 3/2 + 2 below
    2. 2q - 2 above + the number of halves k - 1/2 that x - 2q reaches; where k is odd, exceeds
    """
    if x.scale == 1:
        return relabelled(x, torch.int64, 1)
    raised = add_scalar(x, 0.5)
    halved = Share.make(x.session, raised.parts, x.dtype, 2 * raised.scale, x.unit)
    below, above = _off(halved.scale)
    q = rescale(halved, 1)
    twice = add(q, q)
    rest = sub(x, twice)
    halves = [(2 * k - 1, k % 2) for k in range(1 - 2 * above, 2 * below + 2)]
    levels = [(n * rest.scale) // 2 + 1 if odd else -(-n * rest.scale // 2) for n, odd in halves]
    reached = levels_reached(rest, levels)
    return add_scalar(relabelled(add(twice, reached), torch.int64, 1), -2 * above)


def ceil(x: Share) -> Share:
    """The smallest integer that is not below x."""
    return neg(floor(neg(x)))


def trunc(x: Share) -> Share:
    """x without its fraction: the floor, and one more where x is negative and has a fraction."""
    down = floor(x)
    fraction = positive(sub(x, down))
    return relabelled(add(down, both(negative(x), fraction)), torch.int64, 1)
