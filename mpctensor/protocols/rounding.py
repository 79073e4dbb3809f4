"""Exact rounding to whole numbers.

A truncation is the floor or one more, at random; comparing what it leaves over corrects it. Costs
the truncation, one opening and a comparison (three where the scale is no power of two).
"""

from __future__ import annotations

import torch

from ..share import Share
from .bits import both
from .linear import add, add_scalar, neg, relabelled, rescale, sub
from .rectify import negative, nonnegative, positive


def floor(x: Share) -> Share:
    """The largest integer that is not above x, as an integer share.

    1. q = x truncated: floor or floor + 1; divided by no power of two, floor - 1 .. floor + 2
    2. rest = x - q; q - [rest < 0], and + [rest >= 1] - [rest < -1] in the second case
    """
    if x.scale == 1:
        return relabelled(x, torch.int64, 1)
    q = rescale(x, 1)
    rest = sub(x, q)
    out = sub(q, negative(rest))
    if x.scale & (x.scale - 1):
        out = add(out, nonnegative(add_scalar(rest, -1)))
        out = sub(out, negative(add_scalar(rest, 1)))
    return relabelled(out, torch.int64, 1)


def ceil(x: Share) -> Share:
    """The smallest integer that is not below x."""
    return neg(floor(neg(x)))


def trunc(x: Share) -> Share:
    """x without its fraction: the floor, and one more where x is negative and has a fraction."""
    down = floor(x)
    fraction = positive(sub(x, down))
    return relabelled(add(down, both(negative(x), fraction)), torch.int64, 1)
