"""What optimizers make of arithmetic: a sum with a product, with a quotient, with a part of both.

Squares that are added up stay finer than other values, so that those of small gradients count.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .creation import write
from .lineage import nonnegative
from .operands import as_dtype, result_dtype, shares_of
from .pointwise import add, div, mul, scaled, sub
from .registry import implements

aten = torch.ops.aten


@implements(aten.addcmul.default)
def addcmul(x: Any, y: Any, z: Any, *, value: float = 1) -> Share:
    """x + value y z; squares times a value, as optimizers average them, as in `addcmul_`."""
    if value != 1 and _is_square(y, z):
        return _with_squares(x, y, value)
    dtype = result_dtype(x, y, z)
    value = as_dtype(value, dtype)
    if not shares_of(y, z):
        return add(x, y.to(dtype) * z * value)
    return add(x, scaled(mul(y, z), value))


@implements(aten.addcmul_.default)
def addcmul_(x: Share, y: Any, z: Any, *, value: float = 1) -> Share:
    """x += value y z; squares that are added up in place are kept finer than other values."""
    squares = _is_square(y, z)
    return write(x, _with_squares(x, y, value) if squares else addcmul(x, y, z, value=value))


def _with_squares(x: Any, y: Share, value: float) -> Share:
    squares = nonnegative(mpc.fine_square(y))
    return add(x, scaled(squares, Fraction(value).limit_denominator(10**6)))


def _is_square(y: Any, z: Any) -> bool:
    """Whether y z is the square of a secret that is no integer."""
    return isinstance(y, Share) and y.unit > 1 and _alike(y, z)


def _alike(y: Share, z: Any) -> bool:
    """Whether two operands are the same view of the same storage."""
    return isinstance(z, Share) and (y is z or y.here.is_set_to(z.here))


@implements(aten.addcdiv.default)
def addcdiv(x: Any, y: Any, z: Any, *, value: float = 1) -> Share:
    """x + value y / z; a zero y adds nothing, whatever z is."""
    if not shares_of(y, z):
        return add(x, y / z * value)
    return add(x, scaled(div(y, z), value))


@implements(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(x: Any, end: Any, weight: Any) -> Share:
    """x + weight (end - x)."""
    if not shares_of(x, end):
        return add(x, mul(end - x, weight))
    return add(x, mul(sub(end, x), weight))
