"""Rounding, and division with remainder: exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .operands import as_float, converted, exact, result_dtype, retag, scalar, shares_of, term
from .pointwise import add, div, mul, sub
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


def _number(x: Any, y: Any) -> float | None:
    """The public number that a secret is divided by; None where x or y is something else."""
    number = None if isinstance(y, Share) else scalar(y)
    if number == 0 or (isinstance(y, Tensor) and bool((y == 0).any())):
        raise EncodingError("division of a secret by zero")
    return number if isinstance(x, Share) else None


@implements(aten.floor_divide.default, aten.floor_divide.Scalar)
def floor_divide(x: Any, y: Any) -> Share:
    number = _number(x, y)
    if number is None:
        return converted(_divided(x, y).quotient, result_dtype(x, y))
    return converted(mpc.floor(mpc.scaled(x, 1 / exact(number))), result_dtype(x, y))


def _truncated(x: Any, y: Any) -> Share:
    number = _number(x, y)
    if number is None:
        return converted(_divided(x, y, toward_zero=True).quotient, result_dtype(x, y))
    return converted(mpc.trunc(mpc.scaled(x, 1 / exact(number))), result_dtype(x, y))


@implements(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(x: Any, y: Any, *, rounding_mode: str | None = None) -> Share:
    modes = {None: div, "floor": floor_divide, "trunc": _truncated}
    return modes[rounding_mode](x, y)


@implements(aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor)
def remainder(x: Any, y: Any) -> Share:
    """x - y floor(x / y): with the sign of y."""
    number = _number(x, y)
    if number is None:
        return retag(_divided(x, y).remainder, result_dtype(x, y))
    return retag(sub(x, mpc.scaled(floor_divide(x, number), number)), result_dtype(x, y))


@implements(aten.fmod.Tensor, aten.fmod.Scalar, prims.fmod.default)
def fmod(x: Any, y: Any) -> Share:
    """x - y trunc(x / y): with the sign of x."""
    number = _number(x, y)
    if number is None:
        return retag(_divided(x, y, toward_zero=True).remainder, result_dtype(x, y))
    return retag(sub(x, mpc.scaled(_truncated(x, number), number)), result_dtype(x, y))


class _Division(NamedTuple):
    quotient: Share
    remainder: Share


DIVISOR = 1 << 30  # the scale of public floats that are divided by


def _divided(x: Any, y: Any, toward_zero: bool = False) -> _Division:
    """x over the elements of y, secret or public: the rounded quotient is put right by its rest.

    1. s = sign(y), q = floor(s x / |y|), off by one at most
    2. r = s x - q |y|; q + [r >= 0] + [r >= |y|] - 1; toward zero one more where s x < 0 < r
    3. r once more, times s
    Exact for quotients below 2^13 by secrets, 2^20 by public numbers; by a secret 0 there is no
    remainder.
    """
    like = shares_of(x, y)[0]
    size, sign = mpc.magnitude(y) if isinstance(y, Share) else _public_parts(like, y)
    x = mul(term(like, x), sign)
    q = mpc.floor(mpc.divide(as_float(x), as_float(size), positive=True))
    if size.public is not None:  # its inverse has few digits
        rest = as_float(sub(x, mul(size, q)))
        q = add(q, mpc.floor(mpc.divide(rest, as_float(size))))
    rest = sub(x, mul(size, q))
    around = mpc.concatenate(lambda parts: torch.stack(tuple(parts)), [rest, sub(rest, size)])
    step = sub(mpc.total(mpc.nonnegative(around), [0]), 1)
    q, rest = add(q, step), sub(rest, mul(size, step))
    if toward_zero:
        up = retag(mpc.both(mpc.negative(x), mpc.positive(rest)), torch.int64)
        q, rest = add(q, up), sub(rest, mul(size, up))
    return _Division(q, mul(rest, sign))


def _public_parts(like: Share, y: Any) -> tuple[Share, Share]:
    """(|y|, its sign) of a plain tensor."""
    y = torch.as_tensor(y)
    sign = mpc.constant(like.session, y.sign().to(torch.int64))
    if not y.is_floating_point():
        return mpc.constant(like.session, y.abs()), sign
    unit = max(like.unit, like.session.unit if like.unit == 1 else 1)
    return mpc.constant(like.session, y.abs().to(torch.float64), DIVISOR, unit=unit), sign
