"""Powers: of a secret by a public number or table, of a public number by a secret, of secrets."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .lineage import fine_digits
from .operands import (
    as_float,
    exact,
    factor,
    filled,
    result_dtype,
    retag,
    scalar,
)
from .pointwise import product, scaled
from .registry import implements

aten = torch.ops.aten

MOST_SQUARED = 16  # exponents up to this are products, which keep large results
MOST_EXPONENT = 1 << 24
MOST_OUTSIDE = 4  # a factor outside multiplies the rounding, one in the exponent takes range
MOST_INTEGER = 64  # of integers, whose products are exact


@implements(aten.pow.Tensor_Scalar)
def power(x: Share, exponent: Any) -> Share:
    """x ** a public number: by products, by a root, or by the exponential of a logarithm."""
    return multiple_of_power(x, exponent, Fraction(1))


def multiple_of_power(x: Share, exponent: Any, factor: Fraction) -> Share:
    """factor x ** exponent, as right as a power itself where the factor is large (a derivative)."""
    dtype = result_dtype(x, exponent)
    number = float(scalar(exponent))  # type: ignore[arg-type]
    whole = number.is_integer()
    most = MOST_SQUARED if dtype.is_floating_point else MOST_INTEGER
    if whole and 0 <= number <= most and factor <= most:  # beyond it would show their rounding
        return retag(_times(_whole_power(x, int(number)), factor), dtype)
    x = as_float(x)
    if number in ROOTS:
        return retag(_times(ROOTS[number](x), factor), dtype)
    if not abs(number) < MOST_EXPONENT:
        raise EncodingError(
            f"a secret cannot be raised to the power {number}; exponents stay below 2^24 in size"
        )
    inside = max(Fraction(1), abs(factor) / MOST_OUTSIDE)
    out = _of_any_sign(x, int(number), inside) if whole else mpc.power(x, exact(number), inside)
    return retag(_times(out, factor / inside), dtype)


def _times(x: Share, factor: Fraction) -> Share:
    return x if factor == 1 else scaled(x, factor)


ROOTS: dict[float, Callable[[Share], Share]] = {
    0.5: mpc.sqrt,
    1.5: lambda x: mpc.mul(x, mpc.sqrt(x)),
    -0.5: lambda x: fine_digits(mpc.rsqrt(x)),
    -1.0: mpc.reciprocal,
}


def _of_any_sign(x: Share, exponent: int, factor: Fraction) -> Share:
    """factor |x| ** exponent, with the sign of x where the exponent is odd; factor > 0."""
    size, bit = mpc.absolute(x)
    out = mpc.power(size, Fraction(exponent), factor)
    if exponent % 2 == 0:
        return out
    positive = mpc.bit_mul(bit, out)
    return mpc.sub(mpc.add(positive, positive), out)


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
    out = filled(x, x.shape, 1, x.dtype) if out is None else out
    return retag(out, result_dtype(x, exponents))


@implements(aten.pow.Scalar)
def power_of_number(base: Any, y: Share) -> Share:
    number = float(scalar(base))  # type: ignore[arg-type]
    if number <= 0 or not isfinite(number):
        raise NotImplementedError(f"{number} ** secret: the base has to be positive")
    base_of = exact(number)
    y, dtype = as_float(y), result_dtype(base, y)
    if base_of == 1:
        return filled(y, y.shape, 1, dtype)
    rising = y if base_of > 1 else mpc.neg(y)
    return retag(mpc.exp(rising, mpc.octave(max(base_of, 1 / base_of))), dtype)
