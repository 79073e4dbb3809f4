"""Arithmetic element by element: + - * / on secrets, plain tensors and numbers.

Numbers stay exact for as long as the ring has room (x / 3 costs no round); plain tensors are
encoded as finely as a product allows; only products and quotients of two secrets ask for a
protocol.
"""

from __future__ import annotations

from fractions import Fraction
from math import copysign, frexp, inf, isfinite
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..encoding import check_room
from ..errors import EncodingError
from ..share import Share
from .lineage import (
    as_fine_as,
    fine_digits,
    has_fine_digits,
    inherit,
    is_nonnegative,
    lineage_of,
    nonnegative,
    quotient,
    quotient_of,
)
from .operands import (
    INFINITE,
    LARGE_FILL,
    as_float,
    exact,
    factor,
    filled,
    float_dtype,
    public,
    result_dtype,
    retag,
    room_for_fill,
    scalar,
    term,
)
from .registry import implements

aten = torch.ops.aten
prims = torch.ops.prims


def _terms(x: Any, y: Any) -> tuple[Share, Share]:
    like = x if isinstance(x, Share) else y
    return term(like, x), term(like, y)


def _no_bools(name: str, *operands: Any) -> None:
    if all(getattr(value, "dtype", None) is torch.bool for value in operands):
        raise RuntimeError(
            f"`{name}` of two boolean tensors is not supported; use `^`, `|`, `&` or logical_not()"
        )


@implements(aten.add.Tensor, aten.add.Scalar, prims.add.default)
def add(x: Any, y: Any, alpha: float = 1) -> Share:
    if alpha == 1 and type(x) is type(y) is Share and x.dtype is y.dtype is not torch.bool:
        return mpc.add(x, y)
    dtype, number = result_dtype(x, y), scalar(y)
    if isinstance(x, Share) and number is not None and dtype is not torch.bool:
        return retag(_raised(x, number * alpha), dtype)
    x, y = _terms(x, y)
    if dtype is torch.bool:
        return mpc.either(x, y)
    return retag(mpc.add(x, y if alpha == 1 else mpc.scaled(y, alpha)), dtype)


def _raised(x: Share, number: float) -> Share:
    """x + a public number."""
    if number == 0 and quotient_of(x) is not None:
        return inherit(x.clone(), lineage_of(x))
    if x.dtype is torch.bool or not _is_small(x, number):
        out = mpc.add(*_terms(x, number))
    else:
        out = mpc.add_scalar(x, number, finer=_is_tiny(x, number))
    return nonnegative(out) if number >= 0 and is_nonnegative(x) else out


def _is_small(x: Share, number: float) -> bool:
    """Whether a summand is no fill, and fits at the scale of x."""
    return abs(number) < LARGE_FILL and abs(number) * x.scale < 2.0**61


TINY = 16  # units in the last place: a smaller summand, such as an eps, makes the sum finer


def _is_tiny(x: Share, number: float) -> bool:
    facts = x.facts
    unit = facts.unit if facts.unit > 1 else x.session.unit
    return 0 < abs(number) * unit < TINY and 1 <= facts.scale <= unit


@implements(aten.sub.Tensor, aten.sub.Scalar, prims.sub.default)
def sub(x: Any, y: Any, alpha: float = 1) -> Share:
    _no_bools("-", x, y)
    if alpha == 1 and type(x) is type(y) is Share and x.dtype is y.dtype:
        return mpc.sub(x, y)
    dtype, number = result_dtype(x, y), scalar(y)
    if isinstance(x, Share) and number is not None:
        return retag(_raised(x, -number * alpha), dtype)
    number = None if isinstance(x, Share) else scalar(x)
    if number is not None and alpha == 1 and y.dtype is not torch.bool and _is_small(y, number):
        return retag(mpc.add_scalar(y, number, _is_tiny(y, number), negated=True), dtype)
    x, y = _terms(x, y)
    return retag(mpc.sub(x, y if alpha == 1 else mpc.scaled(y, alpha)), dtype)


@implements(aten.rsub.Tensor, aten.rsub.Scalar)
def rsub(x: Any, y: Any, alpha: float = 1) -> Share:
    return sub(y, x, alpha) if alpha == 1 else sub(y, mul(x, alpha))


@implements(aten.neg.default, prims.neg.default)
def neg(x: Share) -> Share:
    _no_bools("neg", x)
    return as_fine_as(mpc.neg(x), x)


@implements(aten.mul.Tensor, aten.mul.Scalar, prims.mul.default)
def mul(x: Any, y: Any) -> Share:
    dtype = result_dtype(x, y)
    if not isinstance(x, Share):
        x, y = y, x
    number = scalar(y)
    if number is not None:
        huge = isinstance(number, float) and LARGEST <= abs(number) < inf
        return retag(_turned_into_fills(x, number) if huge else scaled(x, number, y), dtype)
    if isinstance(y, Share):
        for value, other in ((x, y), (y, x)):
            noted = quotient_of(other) if value.scale > value.unit else None
            if noted is not None:
                return retag(_over(value, *noted), dtype)
            if has_fine_digits(other) and value.unit > 1:
                return fine_digits(retag(mpc.mul_finely(value, other), dtype))
    return retag(product(x, factor(x, y)), dtype)


LARGEST = torch.finfo(torch.bfloat16).max  # finfo.max of wider dtypes is larger


def _turned_into_fills(x: Share, number: float) -> Share:
    """x times finfo.min or finfo.max, which stand for infinity: 1 becomes a fill, 0 stays.

    So masks of 0 and 1 become what is added to scores.
    """
    room = room_for_fill(max(x.unit, x.session.unit))
    out = mpc.scaled(x, copysign(room, number))
    out.facts.filled = True
    return out


def scaled(x: Share, number: float | Fraction, given: Any = 0) -> Share:
    """x times a public number; bools count as 0 and 1. given: the operand, for its dimensions."""
    if isinstance(number, float) and not isfinite(number):
        raise EncodingError(
            f"a secret cannot be multiplied with {number}; bound it with clamp first"
        )
    if isinstance(number, bool):
        number = int(number)
    out = as_fine_as(mpc.scaled(x, number), x)
    noted = quotient_of(x)
    if noted is not None and number:
        quotient(out, noted[0] * exact(number), noted[1])
    return nonnegative(out) if number > 0 and is_nonnegative(x) else out


def product(x: Share, y: Share) -> Share:
    """The element-wise product; a bit of a comparison is multiplied without being opened."""
    if x.dtype is torch.bool:
        return mpc.both(x, y) if y.dtype is torch.bool else mpc.bit_mul(x, y)
    if y.dtype is torch.bool:
        return mpc.bit_mul(y, x)
    return mpc.square(x) if x is y else mpc.mul(x, y)


@implements(aten.div.Tensor, aten.div.Scalar, aten.true_divide.Tensor, prims.div.default)
def div(x: Any, y: Any) -> Share:
    dtype = result_dtype(x, y)
    dtype = dtype if dtype.is_floating_point else torch.get_default_dtype()
    if isinstance(y, Share):
        return retag(_quotient(x, y), dtype)
    number = scalar(y)
    if number is not None:
        return retag(divided(x, number), dtype)
    inverse = y.to(torch.float64).reciprocal()
    if not bool(inverse.isfinite().all()):
        raise EncodingError("division by a plain tensor that holds zeros")
    return retag(mpc.mul(as_float(x), public(as_float(x), inverse)), dtype)


def divided(x: Share, number: float) -> Share:
    """x over a public number; what is never negative becomes infinite over 0."""
    if number == 0 and is_nonnegative(x):
        return filled(x, x.shape, INFINITE, float_dtype(x))
    if number == 0:
        raise EncodingError("division of a secret by zero")
    if isinstance(number, float) and not isfinite(number):
        return mpc.scaled(x, 0.0)
    try:
        return scaled(as_float(x), 1 / exact(number))
    except EncodingError as error:
        raise EncodingError(f"division of a secret by {number:.6g}: {error}") from None


def _quotient(x: Any, y: Share) -> Share:
    """x / y for a secret y."""
    y = as_float(y)
    number = None if isinstance(x, Share) else scalar(x)
    if number is not None:
        return _inverse(y, number)
    if isinstance(x, Tensor) and bool((x.double().abs() >= LARGE_NUMERATOR).any()):
        return _of_large(x, y)
    keep, fine = torch.is_grad_enabled(), _in_backward()  # torch's gradient divides by y again
    out = mpc.divide(as_float(factor(y, x)), y, is_nonnegative(y), keep, fine)
    return fine_digits(out) if fine else out


LARGE_NUMERATOR = 1 << 14  # below it is room for a y of 2^-8, as x / y stays below 2^22


def _of_large(x: Tensor, y: Share) -> Share:
    """x / y for a plain x: the powers of two that make it small are multiplied in again."""
    check_room(x.abs().max().item(), y.unit)
    _, exponents = torch.frexp(x.double() / LARGE_NUMERATOR)
    powers = torch.exp2(exponents.clamp(min=0).double())
    return product(_quotient(x / powers, y), public(y, powers))


def _in_backward() -> bool:
    """Whether autograd is running: what it divides, it multiplies with other values."""
    return torch._C._current_graph_task_id() != -1


def _inverse(y: Share, number: float) -> Share:
    """number / y. What it is multiplied with may be small (RAdam): then it is divided by y anew."""
    if LARGE_NUMERATOR <= abs(number) < inf:
        power = 1 << frexp(number)[1] - LARGE_NUMERATOR.bit_length() + 1
        return scaled(_inverse(y, number / power), power)
    if y.public is not None:
        return mpc.divide(filled(y, (), number, y.dtype), y)
    positive = is_nonnegative(y)
    if _in_backward():
        one = filled(y, (), number, y.dtype)
        return fine_digits(mpc.divide(one, y, positive, fine=True))
    out = scaled(mpc.reciprocal(y, positive), number)
    return quotient(out, number, y) if positive else out


def _over(x: Share, number: Fraction, y: Share) -> Share:
    """x number / y for a y that is never negative; a number below 1 makes the error smaller."""
    if abs(number) > 1:
        return mpc.divide(scaled(x, number), y, True)
    return scaled(mpc.divide(x, y, True), number)


@implements(aten.reciprocal.default, prims.reciprocal.default)
def reciprocal(x: Share) -> Share:
    return retag(_inverse(as_float(x), 1), float_dtype(x))
