"""Arithmetic element by element: + - * / ** and what optimizers make of them.

Numbers stay exact for as long as the ring has room (x / 3 costs no round); plain tensors are
encoded as finely as a product allows; only products and quotients of two secrets ask for a
protocol.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from math import sqrt as sqrt_of
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .operands import (
    as_float,
    exact,
    factor,
    filled,
    float_dtype,
    is_nonnegative,
    nonnegative,
    public,
    result_dtype,
    retag,
    scalar,
    shares_of,
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
    dtype = result_dtype(x, y)
    number = scalar(y)
    raised = (
        isinstance(x, Share) and is_nonnegative(x) and number is not None and number * alpha >= 0
    )
    if isinstance(x, Share) and number is not None and _is_tiny(x, number * alpha):
        out = retag(mpc.add_scalar(x, number * alpha), dtype)
        return nonnegative(out) if raised else out
    x, y = _terms(x, y)
    if dtype is torch.bool:
        return mpc.either(x, y)
    out = retag(mpc.add(x, y if alpha == 1 else mpc.scaled(y, alpha)), dtype)
    return nonnegative(out) if raised else out


TINY = 16  # units in the last place: a smaller summand, such as an eps, makes the sum finer


def _is_tiny(x: Share, number: float) -> bool:
    unit = x.unit if x.unit > 1 else x.session.unit
    return 0 < abs(number) * unit < TINY and 1 <= x.scale <= unit


@implements(aten.sub.Tensor, aten.sub.Scalar, prims.sub.default)
def sub(x: Any, y: Any, alpha: float = 1) -> Share:
    _no_bools("-", x, y)
    dtype = result_dtype(x, y)
    x, y = _terms(x, y)
    return retag(mpc.sub(x, y if alpha == 1 else mpc.scaled(y, alpha)), dtype)


@implements(aten.rsub.Tensor, aten.rsub.Scalar)
def rsub(x: Any, y: Any, alpha: float = 1) -> Share:
    return sub(y, x, alpha) if alpha == 1 else sub(y, mul(x, alpha))


@implements(aten.neg.default, prims.neg.default)
def neg(x: Share) -> Share:
    _no_bools("neg", x)
    return mpc.neg(x)


@implements(aten.mul.Tensor, aten.mul.Scalar, prims.mul.default)
def mul(x: Any, y: Any) -> Share:
    dtype = result_dtype(x, y)
    if not isinstance(x, Share):
        x, y = y, x
    number = scalar(y)
    if number is not None:
        return retag(scaled(x, number, y), dtype)
    return retag(product(x, factor(x, y)), dtype)


def scaled(x: Share, number: float | Fraction, given: Any = 0) -> Share:
    """x times a public number; bools count as 0 and 1. given: the operand, for its dimensions."""
    if isinstance(number, float) and not isfinite(number):
        raise EncodingError(
            f"a secret cannot be multiplied with {number}; bound it with clamp first"
        )
    if isinstance(number, bool):
        number = int(number)
    out = mpc.scaled(x, number)
    if x.scale > x.unit and not -1 <= number <= 1:
        out.facts.derived[GRAIN] = _grain(x) * abs(exact(number))
    return nonnegative(out) if number > 0 and is_nonnegative(x) else out


GRAIN = "grain"  # how finely a value was rounded before a public factor made it coarser


def _grain(x: Share) -> Fraction:
    """The last place of x, as far as it means something."""
    grain: Fraction = x.facts.derived.get(GRAIN) or Fraction(1, x.scale)
    return grain


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
    """x over a public number."""
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
        return scaled(mpc.reciprocal(y), number)
    return mpc.divide(as_float(factor(y, x)), y, is_nonnegative(y))


@implements(aten.reciprocal.default, prims.reciprocal.default)
def reciprocal(x: Share) -> Share:
    return retag(mpc.reciprocal(as_float(x)), float_dtype(x))


@implements(aten.pow.Tensor_Scalar)
def power(x: Share, exponent: Any) -> Share:
    """x ** n by repeated squaring, roots and inverses where the exponent asks for them."""
    dtype = result_dtype(x, exponent)
    number = float(scalar(exponent))  # type: ignore[arg-type]
    if number == int(number) and abs(number) <= 64:
        out = _whole_power(x, abs(int(number)))
        return retag(mpc.reciprocal(as_float(out)) if number < 0 else out, dtype)
    if abs(number) % 1 == 0.5 and abs(number) <= 64:
        half = mpc.sqrt(as_float(x)) if number > 0 else mpc.rsqrt(as_float(x))
        whole = _whole_power(as_float(x), int(abs(number)))
        if number < 0 and int(abs(number)):
            whole = mpc.reciprocal(whole)
        return retag(half if int(abs(number)) == 0 else product(whole, half), dtype)
    return retag(mpc.exp(mpc.scaled(mpc.log(as_float(x)), number)), dtype)


def _whole_power(x: Share, n: int) -> Share:
    if n == 0:
        return filled(x, x.shape, 1, x.dtype)
    if n == 1:
        return x.clone()
    half = _whole_power(x, n // 2) if n > 3 else x
    out = mpc.square(half)
    return mpc.mul(out, x) if n % 2 else out


@implements(aten.pow.Tensor_Tensor)
def power_secret(x: Any, y: Any) -> Share:
    if not isinstance(y, Share):
        number = scalar(y)
        if number is not None:
            return power(x, number)
        return _power_table(x, y)
    return retag(mpc.exp(product(mpc.log(as_float(factor(y, x))), as_float(y))), result_dtype(x, y))


def _power_table(x: Share, exponents: Tensor) -> Share:
    """x ** plain tensor: the few powers that occur, each where it is asked for."""
    x = x.map(lambda part: part.expand(torch.broadcast_shapes(part.shape, exponents.shape)))
    out: Share | None = None
    for number in exponents.unique().tolist():
        chosen = mpc.mul(
            power(x, number), mpc.constant(x.session, (exponents == number).to(torch.int64))
        )
        out = chosen if out is None else mpc.add(out, chosen)
    assert out is not None
    return retag(out, result_dtype(x, exponents))


@implements(aten.pow.Scalar)
def power_of_number(base: Any, y: Share) -> Share:
    number = float(scalar(base))  # type: ignore[arg-type]
    if number <= 0:
        raise NotImplementedError(f"{number} ** secret: the base has to be positive")
    log = float(torch.tensor(number, dtype=torch.float64).log())
    return retag(mpc.exp(mpc.scaled(as_float(y), log)), result_dtype(base, y))


# Smooth functions


@implements(aten.exp.default, prims.exp.default)
def exp(x: Share) -> Share:
    return retag(mpc.exp(as_float(x)), float_dtype(x))


@implements(aten.log.default, prims.log.default)
def log(x: Share) -> Share:
    return retag(mpc.log(as_float(x)), float_dtype(x))


@implements(aten.sqrt.default, prims.sqrt.default)
def sqrt(x: Share) -> Share:
    """The square root; of a value finer than its unit one unit in the last place more.

    An optimizer's second moment that was rounded to 0 thus never divides a first moment by the
    optimizer's eps alone: Adam's eps of 1e-8 lies far below the unit. A correction of the moment
    before the root (NAdam) magnifies its last place, and then the root of that is added.
    """
    root = mpc.sqrt(as_float(x))
    if x.scale > x.unit > 1:
        magnified = x.facts.derived.get(GRAIN, 0)
        root = mpc.add_scalar(root, max(1 / x.unit, sqrt_of(magnified)))
    return nonnegative(retag(root, float_dtype(x)))


@implements(aten.rsqrt.default, prims.rsqrt.default)
def rsqrt(x: Share) -> Share:
    return retag(mpc.rsqrt(as_float(x)), float_dtype(x))


@implements(aten.log1p.default)
def log1p(x: Share) -> Share:
    return log(add(as_float(x), 1))


@implements(aten.expm1.default)
def expm1(x: Share) -> Share:
    return sub(exp(x), 1)


@implements(aten.log2.default)
def log2(x: Share) -> Share:
    return scaled(log(x), 1.4426950408889634)


@implements(aten.log10.default)
def log10(x: Share) -> Share:
    return scaled(log(x), 0.4342944819032518)


# Combinations that optimizers use


@implements(aten.addcmul.default)
def addcmul(x: Any, y: Any, z: Any, *, value: float = 1) -> Share:
    """x + value y z."""
    return add(x, scaled(_product_of_any(y, z, x), value))


@implements(aten.addcdiv.default)
def addcdiv(x: Any, y: Any, z: Any, *, value: float = 1) -> Share:
    """x + value y / z; a zero y adds nothing, whatever z is."""
    like = shares_of(x, y, z)[0]
    quotient = div(y, z) if shares_of(y, z) else public(like, y / z)
    return add(x, scaled(quotient, value))


def _product_of_any(y: Any, z: Any, like: Any) -> Share:
    if isinstance(y, Share) or isinstance(z, Share):
        return mul(y, z)
    return public(like, y * z)


@implements(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(x: Any, end: Any, weight: Any) -> Share:
    """x + weight (end - x)."""
    if not shares_of(x, end):
        return add(x, mul(end - x, weight))
    return add(x, mul(sub(end, x), weight))
