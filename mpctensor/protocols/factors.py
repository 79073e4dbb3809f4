"""Public factors: kept exact by the scale (x / 3 is x at three times the scale).

One truncation settles many factors at once, when the ring has no room for more.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import frexp, gcd, inf

import torch

from ..encoding import RANGE_BITS, describe_bound, describe_scale
from ..errors import EncodingError
from ..share import Facts, Share
from .linear import sub
from .scales import (
    HEADROOM_BITS,
    at_scale,
    fit,
    multiplied,
    rescale,
    resting,
    with_headroom,
    wrapped,
)

MANTISSA_BITS = 16  # significant bits of a public factor that is no short fraction
SHORT_BITS = 20  # of the numerator of a short fraction, which is exact


def scaled(x: Share, factor: float | Fraction) -> Share:
    """x times a public number, exactly where the number is a short fraction, without a round.

    The scale takes the denominator; once it outgrows the ring's room it is truncated (1 round).
    Raises EncodingError for a factor that leaves no room for any value but 0.
    """
    facts = x.facts
    if facts.filled:
        return _with_fills(x, factor)
    exact = rationalise(factor, MANTISSA_BITS, SHORT_BITS)
    common = _cancelling(facts, exact)
    crowded = abs(exact.numerator) // common * facts.scale > 1 << RANGE_BITS - HEADROOM_BITS
    if facts.fine or crowded:
        kept = _at_its_scale(x, factor)
        if kept is not None:
            return kept
    if crowded:
        x, exact = _making_room(x, factor)
        facts = x.facts
        common = _cancelling(facts, exact)
    if exact.denominator > 1 << RANGE_BITS:  # finer than anything that the ring can hold
        exact = Fraction(0)
    dtype, unit = x.dtype, facts.unit
    if not isinstance(factor, int):
        dtype = torch.promote_types(dtype, torch.float32) if not dtype.is_floating_point else dtype
        unit = max(unit, x.session.unit if unit == 1 else 1)
    if exact.numerator == exact.denominator:
        return Share(x.session, x.map(lambda part: part.clone()).parts, dtype)
    scale = facts.scale // common * exact.denominator
    whole = exact.numerator // common
    public = None if facts.public is None else multiplied(x.view_of(facts.public), whole)
    numerator = wrapped(whole)
    parts = x.each(lambda _, part: part * numerator)
    shown = _shown_after(facts, exact, unit)
    return with_headroom(
        Share.make(x.session, parts, dtype, scale, unit, public, shown, facts.fine)
    )


def _with_fills(x: Share, factor: float | Fraction) -> Share:
    """x times a factor where some of x may be a fill near the end of the range.

    Factors do not pile up there: x is truncated before, and the product at once.
    """
    x = fit(x)
    exact = rationalise(factor, MANTISSA_BITS)
    scale = x.scale * exact.denominator
    return fit(at_scale(x, exact.numerator, scale))


def _at_its_scale(x: Share, factor: float | Fraction) -> Share | None:
    """x times a factor from 1/2 to 1, such as a decay: x minus a small part of it (1 round).

    The ring elements never grow, and 1 - 1e-5 keeps all its digits. A mean of squares may have any
    larger factor: its scale becomes coarser by as much, and so does its last place. Else None.
    """
    exact = Fraction(repr(factor)) if isinstance(factor, float) else Fraction(factor)
    bits = RANGE_BITS - HEADROOM_BITS - x.scale.bit_length() + 1
    if Fraction(1, 2) < exact < 1 and bits >= 2:
        rest = rationalise(1 - exact, bits)
        if rest.denominator > 1 << RANGE_BITS - HEADROOM_BITS:
            return None
        return sub(x, rescale(at_scale(x, rest.numerator, x.scale * rest.denominator), x.scale))
    if exact <= 1 or not x.fine or x.scale < exact * x.unit:
        return None
    parts, scale = x.each(lambda _, part: part.clone()), round(x.scale / exact)
    shown = _shown_after(x.facts, exact, x.unit)
    return Share.make(x.session, parts, x.dtype, scale, x.unit, x.public, shown, fine=True)


def _cancelling(facts: Facts, factor: Fraction) -> int:
    """What the scale beyond the unit and the factor have in common: x / 3 * 3 is x again."""
    spare, odd = divmod(facts.scale, facts.unit)
    return 1 if odd or factor.numerator == 0 else gcd(spare, factor.numerator)


def _making_room(x: Share, factor: float | Fraction) -> tuple[Share, Fraction]:
    """x truncated for a factor that leaves no headroom, and the factor with as many bits as fit."""
    exact = rationalise(factor, _mantissa_bits(x))
    for scale in (x.unit**2, x.unit):
        if x.scale > scale and abs(exact.numerator) * x.scale > 1 << RANGE_BITS - HEADROOM_BITS:
            x = fit(x) if scale == x.unit else rescale(x, min(scale, resting(x)))
            exact = rationalise(factor, _mantissa_bits(x))
    if abs(exact.numerator) * x.scale >= 1 << RANGE_BITS:
        unit = max(x.unit, x.session.unit if x.dtype.is_floating_point else 1)
        raise EncodingError(
            f"a secret cannot be multiplied with {float(factor):.6g}; with {describe_scale(unit)}"
            f" a factor must be below {describe_bound(unit)}"
        )
    return x, exact


def _shown_after(facts: Facts, factor: Fraction, unit: int) -> float:
    """What may be shown of a value times a public factor: the digits that could be shown of it."""
    if facts.shown == inf or factor.numerator == 0:
        return inf
    return max(unit, int(facts.shown) * factor.denominator // abs(factor.numerator))


def _mantissa_bits(x: Share) -> int:
    """Significant bits for a public factor: what is left beside the value and its scale."""
    return min(MANTISSA_BITS, max(12, 62 - HEADROOM_BITS - x.scale.bit_length() + 1))


@lru_cache(maxsize=4096, typed=True)
def rationalise(factor: float | Fraction, bits: int, short: int = 0) -> Fraction:
    """A fraction with a numerator of at most `bits` bits: exact for short decimals and ratios.

    short: numerators of so many bits are short, if that is more than `bits`.
    """
    short = max(bits, short)
    if isinstance(factor, (int, Fraction)):
        exact = Fraction(factor)
        if isinstance(factor, int) or _short(exact, short):
            return exact
    else:
        for exact in (Fraction(repr(factor)), Fraction(factor).limit_denominator(10**6)):
            if float(exact) == factor and _short(exact, short):
                return exact
    if factor == 0:
        return Fraction(0)
    shift = bits - frexp(float(factor))[1]
    power = Fraction(2) ** shift
    return Fraction(round(Fraction(factor) * power)) / power


def _short(exact: Fraction, bits: int) -> bool:
    return abs(exact.numerator) < 1 << bits and exact.denominator < 1 << 40
