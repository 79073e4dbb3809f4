"""Smooth functions of one or two secrets, element by element; mostly a verb each."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .lineage import fine_digits, nonnegative
from .operands import (
    as_float,
    factor,
    filled,
    float_dtype,
    result_dtype,
    retag,
    shares_of,
    term,
)
from .pointwise import add, mul, rsub, scaled, sub
from .registry import implements

aten = torch.ops.aten
prims = torch.ops.prims


VERBS: dict[Any, Callable[[Share], Share]] = {
    aten.exp: mpc.exp,
    aten.log: mpc.log,
    aten.sin: mpc.sin,
    aten.cos: mpc.cos,
    aten.tan: mpc.tan,
    aten.asin: mpc.arcsin,
    aten.acos: mpc.arccos,
    aten.atan: mpc.arctan,
    aten.sinh: mpc.sinh,
    aten.cosh: mpc.cosh,
    aten.tanh: mpc.tanh,
    aten.sigmoid: mpc.sigmoid,
    aten.erf: mpc.erf,
    prims.exp: mpc.exp,
    prims.log: mpc.log,
}


def _elementwise(verb: Callable[[Share], Share]) -> Callable[[Share], Share]:
    def handler(x: Share) -> Share:
        return retag(verb(as_float(x)), float_dtype(x))

    return handler


for _packet, _verb in VERBS.items():
    implements(_packet.default)(_elementwise(_verb))


@implements(aten.sqrt.default, prims.sqrt.default)
def sqrt(x: Share) -> Share:
    """The square root; of a value finer than its unit, that of unit^-2 at least.

    An optimizer's second moment that was rounded to 0 thus never divides a first moment by the
    optimizer's eps alone: Adam's eps of 1e-8 lies far below the unit. Means of squares are finer:
    there one unit in the last place is the least.
    """
    finest = None
    if x.scale > x.unit > 1:
        finest = ((x.scale if x.fine else x.unit**2) - 1).bit_length()
    return nonnegative(retag(mpc.sqrt(as_float(x), finest), float_dtype(x)))


@implements(aten.rsqrt.default, prims.rsqrt.default)
def rsqrt(x: Share) -> Share:
    return fine_digits(retag(mpc.rsqrt(as_float(x)), float_dtype(x)))


@implements(aten.log1p.default)
def log1p(x: Share) -> Share:
    return retag(mpc.log(add(as_float(x), 1)), float_dtype(x))


@implements(aten.expm1.default)
def expm1(x: Share) -> Share:
    return retag(sub(mpc.exp(as_float(x)), 1), float_dtype(x))


@implements(aten.log2.default)
def log2(x: Share) -> Share:
    return retag(scaled(mpc.log(as_float(x)), 1.4426950408889634), float_dtype(x))


@implements(aten.log10.default)
def log10(x: Share) -> Share:
    return retag(scaled(mpc.log(as_float(x)), 0.4342944819032518), float_dtype(x))


@implements(aten.exp2.default)
def exp2(x: Share) -> Share:
    return retag(mpc.exp(as_float(x), mpc.octave(Fraction(2))), float_dtype(x))


@implements(aten.erfc.default)
def erfc(x: Share) -> Share:
    """1 - erf(x): exactly 0 from 3.25 on."""
    return rsub(retag(mpc.erf(as_float(x)), float_dtype(x)), 1)


def _log_ratio(x: Share, y: Share) -> Share:
    """log(x / y), by one call of the logarithm for both."""
    logs = mpc.log(mpc.concatenate(lambda parts: torch.stack(tuple(parts)), [x, y]))
    return mpc.sub(*(logs.map(lambda part: part[i]) for i in (0, 1)))


@implements(aten.logit.default)
def logit(x: Share, eps: float | None = None) -> Share:
    """log(x / (1 - x)) of an x held between eps and 1 - eps; both logarithms rest as log does."""
    held = as_float(x)
    if eps is not None:
        held = mpc.clamp(held, term(held, eps), term(held, 1 - eps))[0]
    return retag(_log_ratio(held, rsub(held, 1)), float_dtype(x))


@implements(aten.logit_backward.default)
def logit_backward(gradient: Any, x: Share, eps: float | None = None) -> Share:
    """g / (x (1 - x)), 0 beyond eps; without eps a gradient for 0 <= x <= 1 only."""
    slope = mpc.reciprocal(mpc.sub(x, mpc.square(x)))
    if eps is not None:
        slope = mpc.bit_mul(mpc.clamp(x, term(x, eps), term(x, 1 - eps))[1], slope)
    return retag(mul(slope, gradient), x.dtype)


@implements(aten.asinh.default)
def asinh(x: Share) -> Share:
    """sign(x) log(|x| + sqrt(x^2 + 1))."""
    size, signs = mpc.magnitude(as_float(x))
    root = mpc.sqrt(add(mpc.square(size), 1))
    return retag(mpc.mul(mpc.log(mpc.add(size, root)), signs), float_dtype(x))


@implements(aten.acosh.default)
def acosh(x: Share) -> Share:
    """log(x + sqrt(x^2 - 1))."""
    x = as_float(x)
    root = mpc.sqrt(sub(mpc.square(x), 1))
    return retag(mpc.log(mpc.add(x, root)), x.dtype)


@implements(aten.atanh.default)
def atanh(x: Share) -> Share:
    """log((1 + x) / (1 - x)) / 2."""
    held = as_float(x)
    return retag(scaled(_log_ratio(add(held, 1), rsub(held, 1)), 0.5), float_dtype(x))


@implements(aten.atan2.default)
def atan2(y: Any, x: Any) -> Share:
    like = shares_of(y, x)[0]
    out = mpc.arctan2(as_float(term(like, y)), as_float(term(like, x)))
    return retag(out, _float_result(y, x))


@implements(aten.hypot.default)
def hypot(x: Any, y: Any) -> Share:
    """sqrt(x^2 + y^2)."""
    like = shares_of(x, y)[0]
    squares = (mpc.square(as_float(term(like, v))) for v in (x, y))
    return retag(mpc.sqrt(mpc.add(*squares)), _float_result(x, y))


def _float_result(x: Any, y: Any) -> torch.dtype:
    dtype = result_dtype(x, y)
    return dtype if dtype.is_floating_point else torch.get_default_dtype()


# Gradients that torch takes from the result


@implements(aten.sigmoid_backward.default)
def sigmoid_backward(gradient: Any, y: Share) -> Share:
    """g y (1 - y)."""
    return mpc.mul(factor(y, gradient), mpc.sub(y, mpc.square(y)))


@implements(aten.tanh_backward.default)
def tanh_backward(gradient: Any, y: Share) -> Share:
    """g (1 - y^2)."""
    one = filled(y, (), 1, y.dtype)
    return mpc.mul(factor(y, gradient), mpc.sub(one, mpc.square(y)))


@implements(aten.xlogy.Tensor, aten.xlogy.Scalar_Self, aten.xlogy.Scalar_Other)
def xlogy(x: Any, y: Any) -> Share:
    """x log(y), 0 where x is; the logarithm of 0 rests at that of the smallest unit."""
    return _times_log(x, y, 0)


@implements(
    aten.special_xlog1py.default,
    aten.special_xlog1py.self_scalar,
    aten.special_xlog1py.other_scalar,
)
def xlog1py(x: Any, y: Any) -> Share:
    """x log(1 + y), 0 where x is."""
    return _times_log(x, y, 1)


def _times_log(x: Any, y: Any, beside: int) -> Share:
    """x log(beside + y)."""
    like = shares_of(x, y)[0]
    if isinstance(y, Share):
        y = as_float(y)
        return retag(mul(mpc.log(add(y, beside) if beside else y), x), _float_result(x, y))
    over = torch.as_tensor(y, dtype=torch.float64) + (beside - 1)  # what lies above 1
    least = 1 / max(like.unit, like.session.unit)
    logs = torch.log1p(torch.where(over > -1, over, least - 1))
    return retag(mul(as_float(x), logs), _float_result(x, y))
