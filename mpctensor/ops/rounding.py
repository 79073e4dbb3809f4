"""Rounding, and division with remainder by public numbers: exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .operands import converted, exact, result_dtype, retag, scalar
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


def _quotient(x: Any, y: Any) -> tuple[Share, float]:
    """(x / y, y) for a public number y."""
    number = None if isinstance(y, Share) else scalar(y)
    if number is None or not isinstance(x, Share):
        raise NotImplementedError("whole division by anything but one public number; use /")
    if number == 0:
        raise EncodingError("division of a secret by zero")
    return mpc.scaled(x, 1 / exact(number)), number


@implements(aten.floor_divide.default, aten.floor_divide.Scalar)
def floor_divide(x: Any, y: Any) -> Share:
    return converted(mpc.floor(_quotient(x, y)[0]), result_dtype(x, y))


@implements(aten.remainder.Tensor, aten.remainder.Scalar)
def remainder(x: Any, y: Any) -> Share:
    """x - y floor(x / y): with the sign of y."""
    quotient, number = _quotient(x, y)
    return retag(sub(x, mpc.scaled(mpc.floor(quotient), number)), result_dtype(x, y))


@implements(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(x: Any, y: Any, *, rounding_mode: str | None = None) -> Share:
    if rounding_mode == "floor":
        return floor_divide(x, y)
    return converted(mpc.trunc(_quotient(x, y)[0]), result_dtype(x, y))
