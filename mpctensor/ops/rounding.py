"""Rounding: exact."""

from __future__ import annotations

from fractions import Fraction

import torch

from .. import protocols as mpc
from ..share import Share
from .operands import converted, retag
from .pointwise import sub
from .registry import implements

aten = torch.ops.aten
prims = torch.ops.prims


@implements(aten.floor.default, prims.floor.default)
def floor(x: Share) -> Share:
    return converted(mpc.floor(x), x.dtype)


@implements(aten.ceil.default, prims.ceil.default)
def ceil(x: Share) -> Share:
    return converted(mpc.ceil(x), x.dtype)


@implements(aten.trunc.default, aten.fix.default, prims.trunc.default)
def trunc(x: Share) -> Share:
    return converted(mpc.trunc(x), x.dtype)


@implements(aten.round.default, prims.round.default)
def nearest(x: Share) -> Share:
    """Halves go to the even neighbour."""
    return converted(mpc.nearest(x), x.dtype)


@implements(aten.round.decimals)
def nearest_decimals(x: Share, *, decimals: int) -> Share:
    """On the grid of 10^-decimals, which a fixed point only comes near to."""
    if not x.dtype.is_floating_point:
        raise NotImplementedError("decimals of whole numbers; leave `decimals` out")
    grid = Fraction(10) ** decimals
    return retag(mpc.scaled(nearest(mpc.scaled(x, grid)), 1 / grid), x.dtype)


@implements(aten.frac.default)
def frac(x: Share) -> Share:
    return sub(x, trunc(x))
