"""Division with remainder: exact.

By short fractions through the scale; else a quotient is put right by the rest that it leaves, for
as long as that is large.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, frexp, isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .operands import (
    as_float,
    converted,
    exact,
    plain_dtype,
    result_dtype,
    retag,
    scalar,
    shares_of,
    term,
)
from .pointwise import add, div, mul, sub
from .registry import implements

aten = torch.ops.aten
prims = torch.ops.prims

SHORT = 1 << 20  # numerators and denominators below it are exact factors


def _short(x: Any, y: Any) -> Fraction | None:
    """The public number that a secret is divided by, where it is a short fraction; else None."""
    number = None if isinstance(y, Share) else scalar(y)
    if number == 0 or (isinstance(y, Tensor) and bool((y == 0).any())):
        raise EncodingError("division of a secret by zero")
    if number is None or not isinstance(x, Share) or not isfinite(number):
        return None
    fraction = exact(number)
    return fraction if max(abs(fraction.numerator), fraction.denominator) < SHORT else None


@implements(aten.floor_divide.default, aten.floor_divide.Scalar)
def floor_divide(x: Any, y: Any) -> Share:
    number = _short(x, y)
    if number is None:
        return converted(divided(x, y).quotient, result_dtype(x, y))
    return converted(mpc.floor(mpc.scaled(x, 1 / number)), result_dtype(x, y))


def _truncated(x: Any, y: Any) -> Share:
    number = _short(x, y)
    if number is None:
        return converted(divided(x, y, toward_zero=True).quotient, result_dtype(x, y))
    return converted(mpc.trunc(mpc.scaled(x, 1 / number)), result_dtype(x, y))


@implements(aten.div.Tensor_mode, aten.div.Scalar_mode)
def div_mode(x: Any, y: Any, *, rounding_mode: str | None = None) -> Share:
    modes = {None: div, "floor": floor_divide, "trunc": _truncated}
    return modes[rounding_mode](x, y)


@implements(aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor)
def remainder(x: Any, y: Any) -> Share:
    """x - y floor(x / y): with the sign of y."""
    number = _short(x, y)
    if number is None:
        return retag(divided(x, y).remainder, result_dtype(x, y))
    return retag(sub(x, mpc.scaled(floor_divide(x, y), number)), result_dtype(x, y))


@implements(aten.fmod.Tensor, aten.fmod.Scalar, prims.fmod.default)
def fmod(x: Any, y: Any) -> Share:
    """x - y trunc(x / y): with the sign of x."""
    number = _short(x, y)
    if number is None:
        return retag(divided(x, y, toward_zero=True).remainder, result_dtype(x, y))
    return retag(sub(x, mpc.scaled(_truncated(x, y), number)), result_dtype(x, y))


class Division(NamedTuple):
    quotient: Share
    remainder: Share


def divided(x: Any, y: Any, toward_zero: bool = False) -> Division:
    """x over y, of which one is a secret and the other may be public.

    1. s = sign(y), r = s x, q = 0
    2. some times: q + about r / |y|, r less so much of |y|
    3. the same once more with r / |y| truncated, which is off by two at most
    4. q + [r >= -|y|] + [r >= 0] + [r >= |y|] - 2; toward zero one more where s x < 0 < r
    5. the remainder is what is left of r, times s
    Exact for |x| < 2^30 (whole numbers: 2^46) and 2^-16 <= |y| < 2^30. Over a secret 0 the quotient
    is 1 and the remainder 0.
    """
    like = shares_of(x, y)[0]
    size, sign = mpc.magnitude(y) if isinstance(y, Share) else _public_parts(like, y)
    x = rest = mul(term(like, x), sign)
    q = None
    for estimate in _by_secret(size) if size.public is None else _by_public(size):
        step = estimate(rest)
        q = step if q is None else add(q, step)
        rest = sub(rest, mul(size, step))
    step = _put_right(rest, size)
    q, rest = add(q, step), sub(rest, mul(size, step))
    if toward_zero:
        up = retag(mpc.both(mpc.negative(x), mpc.positive(rest)), torch.int64)
        q, rest = add(q, up), sub(rest, mul(size, up))
    return Division(q, mul(rest, sign))


Estimate = Callable[[Share], Share]


def _put_right(rest: Share, size: Share) -> Share:
    """The largest multiple of |y| below the rest, which lies from -2 |y| (base 10: -3) to 3 |y|."""
    most = 1 if size.session.unit & (size.session.unit - 1) == 0 else 2
    levels = [sub(rest, mul(size, k)) for k in range(-most, most + 1)]
    around = mpc.concatenate(lambda parts: torch.stack(tuple(parts)), levels)
    return sub(mpc.total(mpc.nonnegative(around), [0]), most + 1)


FINEST = 1 << 48  # numbers at a finer scale are not divided as they are


def _by_secret(size: Share) -> list[Estimate]:
    """Whole numbers about r / |y|: each leaves 2^-14 of it, and 2 of what it is found in.

    A quotient below 2^46 is found from r over 2^24, in multiples of 2^8, the next from r over 2^16.
    """
    y = as_float(size)
    spare = 8 if y.unit <= 1 << 20 else 0

    def about(spare: int) -> Estimate:
        def step(rest: Share) -> Share:
            r = as_float(rest)
            r = mpc.fit(r) if r.scale * y.unit << spare > FINEST else r
            out = mpc.divide(mpc.at_scale(r, 1, r.scale * y.unit << spare), y, True, True)
            whole = mpc.at_scale(mpc.rescale(out, y.unit), 1, 1)
            return mul(mpc.relabelled(whole, torch.int64, 1), 1 << spare)

        return step

    def last(rest: Share) -> Share:
        return retag(mpc.rescale(mpc.divide(as_float(rest), y, True, True), 1), torch.int64)

    return [about(spare), about(0), about(0), last]


DIVISOR_BITS = 30  # of the scale of public floats that are divided by, at most
SMALLEST = 2.0**-16
QUOTIENT_BITS = 46
FEWEST_BITS = 6  # of inverses


def _public_parts(like: Share, y: Any) -> tuple[Share, Share]:
    """(|y|, its sign) of a plain tensor or number.

    Numbers of very different sizes go on as secrets do: one scale is too coarse for some inverse.
    """
    number = scalar(y)
    y = y if number is None else torch.tensor(number, dtype=plain_dtype(number))
    if y.numel() and y.abs().min() < SMALLEST:
        raise EncodingError(
            f"division with remainder by {y.abs().min().item():.6g}; the divisor must be 2**-16 or"
            " more in magnitude: multiply both sides by a power of two"
        )
    sign = mpc.constant(like.session, y.sign().to(torch.int64))
    if y.is_floating_point():
        unit = max(like.unit, like.session.unit if like.unit == 1 else 1)
        scale = min(unit**2, unit << max(0, DIVISOR_BITS + 1 - unit.bit_length()))
        size = mpc.constant(like.session, y.abs().to(torch.float64), scale, unit=unit)
    else:
        size = mpc.constant(like.session, y.abs())
    if _inverse_bits(size) < FEWEST_BITS:
        size = Share.make(size.session, size.parts, size.dtype, size.scale, size.unit)
    return size, sign


def _inverse_bits(size: Share) -> int:
    """The bits that the smallest of public inverses has."""
    known = size.public
    assert known is not None
    ratio = (known.max() / known.min()).item() if known.numel() else 1.0
    return _most_bits(size) + 1 - frexp(ratio)[1]


def _most_bits(size: Share) -> int:
    """The bits that the largest of public inverses has: a product has room for them."""
    return min(16, as_float(size).unit.bit_length() - 1)


def _by_public(size: Share) -> list[Estimate]:
    """As `_by_secret`, by inverses; each leaves 2^-bits of the quotient."""
    known, bits = size.public, _inverse_bits(size)
    assert known is not None
    inverse = size.scale / known.to(torch.float64)
    top = frexp(inverse.max().item())[1] if inverse.numel() else 0
    scale = 1 << max(0, _most_bits(size) - top)
    y = mpc.constant(size.session, inverse, scale, unit=as_float(size).unit)

    def step(rest: Share) -> Share:
        return retag(mpc.rescale(mpc.mul(as_float(rest), y), 1), torch.int64)

    return [step] * ceil((QUOTIENT_BITS + 1) / bits)
