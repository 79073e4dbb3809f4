"""Division, square roots and logarithms over the whole range of numbers.

The argument is brought to t in [1, 16) by its interval (intervals.py), f(t) is a sum of
exponentials from one opening (decays.py), and the power of two of the interval is multiplied back.
1. thresholds on the opened argument                                       (4 rounds)
2. open the powers of two; t = V * normaliser                              (1 round)
3. open t: f(t), before its truncation                                     (1 round)
4. open f(t): its truncation and its product with the power of two         (1 round)
The argument keeps its own scale, however fine, so that small values keep their significant bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isqrt

import torch

from ...encoding import decode
from ...share import Share
from ..bits import bit_mul
from ..linear import constant
from ..product import mul
from ..rectify import absolute, flatten
from ..scales import fit
from ..truncation import truncate
from .decays import decayed, floor_log2, reciprocal_for
from .exponential import result_dtype, result_unit, unit_bits
from .intervals import ONE_BITS, Ladder, Placed, ladder, place
from .tables import LN2, log_of
from .words import open_words, plus, product, scaled_as, shifted, shifted_product, words

LARGEST = 30  # arguments are below 2^30
MOST_BITS = 62  # and below 2^62 as ring elements
FINEST_DIVISOR = 28  # divisors below 2^-28 count as 0
FINEST_RECIPROCAL = 25
QUOTIENT_BITS, NUMERATOR_BITS = 36, 17  # scales of quotients, of numerators and powers of two
SPARE_BITS = 19  # by which a numerator is truncated once it has been normalised
LEVEL_BITS = 18  # and at most before that
ROOT_BITS = 17  # of f(t) at least, for a root
ROUNDED = inf  # a rounded f(t) times a power of two may be shown to its last digit
FINEST = 1 << 48  # numbers at a finer scale are truncated first


def sqrt(x: Share, finest: int | None = None) -> Share:
    """The square root, at unit^2 or finer; 0 where x <= 0.

    0 < x < 2^30. 7 rounds. Relative error 2^-16. finest: whatever is smaller than 2^-finest, or
    than one unit in x's last place, counts as it.
    """
    placed = _placed(x, finest)
    on = placed.ladder
    below = 0 if finest is None else 1 << (ONE_BITS + on.lowest - on.bottom)
    powers = placed.weigh([1 << (2 * j) for j in range(on.count)], min(below, 1))
    base = _root(Fraction(2) ** on.bottom / placed.value.scale)
    return _power(x, placed, powers, "sqrt", base, below)


def rsqrt(x: Share) -> Share:
    """1 / sqrt(x), at unit^2 or finer; 0 where x <= 0.

    0 < x < 2^30. 7 rounds. Relative error 2^-16.
    """
    placed = _placed(x)
    top = placed.ladder.count - 1
    powers = placed.weigh([1 << (2 * (top - j)) for j in range(top + 1)])
    base = _root(placed.value.scale / Fraction(2) ** (placed.ladder.bottom + 4 * top))
    return _power(x, placed, powers, "rsqrt", base)


def log(x: Share) -> Share:
    """The natural logarithm at unit scale; where x <= 0 that of 1 unit in x's last place.

    x < 2^30. 7 rounds. Error: 2^-17 and 1 unit in the last place.
    """
    placed, t = placed_for_log(x)
    return log_of_placed(placed, t, result_unit(x), result_dtype(x), x.shape)


def placed_for_log(x: Share) -> tuple[Placed, Share]:
    """The interval of x, and t in [1, 16), which is 1 where x <= 0; 5 rounds."""
    placed = _placed(x)
    normaliser = placed.normaliser()
    open_words(placed.value, normaliser)
    one_below = placed.weigh([0] * placed.ladder.count, 1 << ONE_BITS)
    return placed, plus(product(placed.value, normaliser), one_below)


def log_of_placed(
    placed: Placed, t: Share, unit: int, dtype: torch.dtype, shape: torch.Size, guard: int = 0
) -> Share:
    """log of a placed and normalised value; 2 rounds, 1 where t is open.

    At unit scale, or finer by `guard` bits.
    """
    total, shift = decayed(t, "log", Fraction(unit))
    scale = unit << shift
    levels = [_log_of_power(floor, placed.value.scale, scale) for floor in placed.ladder.floors]
    raised = plus(total, placed.weigh(levels, _log_of_power(0, placed.value.scale, scale)))
    return truncate(scaled_as(raised, shape, scale, unit, dtype), 1 << (shift - guard))


def reciprocal(x: Share, positive: bool = False) -> Share:
    """1 / x at a scale finer than the unit; 0 where |x| < 2^-25.

    |x| < 2^30. positive: x > 0 is known. 11 rounds, 7 where it is known. Error: 2^-14 of
    the value and 2^-17.
    """
    bit = None
    if not positive:
        x, bit = absolute(x)
    placed = _placed(x, FINEST_RECIPROCAL)
    unit = result_unit(x)
    flat = reciprocal_of_placed(placed, unit, bit)
    return scaled_as(flat, x.shape, quotient_scale(unit), unit, result_dtype(x), ROUNDED)


def reciprocal_of_placed(
    placed: Placed, unit: int, bit: Share | None = None, least: int = 0
) -> Share:
    """1 / V, or -1 / V where the bit is 0, as words at the scale of quotients; 3 rounds.

    least: intervals whose power of two would be below 2^(least - 17) count as infinite.
    """
    scale = placed.value.scale
    exponent = scale.bit_length() - 1
    powers = placed.weigh(_powers_down(placed.ladder, NUMERATOR_BITS + exponent, least))
    factor = Fraction(quotient_scale(unit) * scale, 1 << (NUMERATOR_BITS + exponent))
    quotients, shift = _normalised(placed, reciprocal_for(unit), factor, powers)
    return shifted_product(quotients, shift, _signed(powers, None if bit is None else flatten(bit)))


def divide(
    x: Share, y: Share, positive: bool = False, keep: bool = False, fine: bool = False
) -> Share:
    """x / y, broadcasting, at a scale finer than the unit; 0 where |y| < 2^-28.

    |y| < 2^30, |x / y| < 2^22. Both keep their scales, so that small numbers give accurate
    quotients. positive: y > 0 is known. keep: leave with y what later divisions by it need.
    12 rounds, 7 where y > 0 is known; 5 and 4 where another division kept what it found, and
    1 less where x is open too. Error: 2^-14 of the value and 2^-16; with one
    round more, if `fine`, 2^-14 of the value and 2^-32.
    """
    if y.public is not None:
        return _over_public(x, y)
    x, y = (fit(v) if v.scale > FINEST else v for v in (x, y))
    shape = torch.broadcast_shapes(x.shape, y.shape)
    y = _once(y)
    open_words(x, y)
    divisor = _divisor(y, positive, keep)
    placed = divisor.placed(y)
    unit = max(result_unit(x), result_unit(y))
    ratio = Fraction(y.scale, x.scale)
    exponent = floor_log2(ratio)
    pairs = _numerators(x, placed, NUMERATOR_BITS + SPARE_BITS + exponent)
    open_words(*divisor.waiting(), *(word for pair in pairs for word in pair))
    t = divisor.normalised()
    z = _sum_of_products(pairs, y.shape, shape)
    open_words(t, z)
    factor = quotient_scale(unit) * ratio / Fraction(2) ** (NUMERATOR_BITS + exponent)
    quotients, shift = decayed(t, reciprocal_for(unit), factor)
    sign = divisor.sign_of(y)
    column = _viewed(quotients, y.shape, len(shape))
    high = _signed(shifted(z, SPARE_BITS), sign)
    low = _beyond(high, _signed(z, sign)) if fine else high
    open_words(column, high, low)
    out = shifted_product(column, shift, high)
    if fine:
        out = plus(out, _truncated(shifted_product(column, shift, low), SPARE_BITS))
    dtype = torch.promote_types(result_dtype(x), result_dtype(y))
    return scaled_as(out, shape, quotient_scale(unit), unit, dtype)


def quotient_scale(unit: int) -> int:
    """The scale of quotients: a multiple of the unit, about 2^36."""
    return unit << (QUOTIENT_BITS - unit_bits(unit))


# Division


@dataclass
class _Divisor:
    """What a division finds of its divisor, all flat; never the divisor itself, with which it may
    be kept.

    bit: its sign, None where that is known. t: its normalised value, once it is worked out from
    the magnitude and the normaliser.
    """

    bit: Share | None
    ladder: Ladder
    steps: tuple[Share, ...]
    factors: tuple[Share, Share] | None
    t: Share | None = None

    def placed(self, y: Share) -> Placed:
        """The interval of the divisor."""
        return Placed(flatten(y), self.ladder, self.steps)

    def sign_of(self, y: Share) -> Share | None:
        """The sign, shaped as the divisor."""
        shape = y.shape
        return None if self.bit is None else self.bit.map(lambda part: part.view(shape))

    def waiting(self) -> tuple[Share, ...]:
        """What has to be opened for t."""
        return () if self.factors is None else self.factors

    def normalised(self) -> Share:
        if self.t is None:
            assert self.factors is not None
            self.t, self.factors = product(*self.factors), None
        return self.t


def _divisor(y: Share, positive: bool, keep: bool) -> _Divisor:
    """What an earlier division by y found, or else this one."""
    name = "divisor, positive" if positive else "divisor"
    found: _Divisor | None = y.facts.derived.get(name)
    if found is not None and y.whole:
        return found
    magnitude, bit = (y, None) if positive else absolute(y)
    placed = _placed(magnitude, FINEST_DIVISOR)
    factors = placed.value, placed.normaliser()
    made = _Divisor(None if bit is None else flatten(bit), placed.ladder, placed.steps, factors)
    if keep and y.whole:
        y.facts.derived[name] = made
    return made


def _once(y: Share) -> Share:
    """A contiguous y without repetitions; a copy, if any, is opened once for all that follows."""
    at = tuple(slice(0, 1) if step == 0 else slice(None) for step in y.here.stride())
    return y.map(lambda part: part[at].contiguous())


def _numerators(x: Share, placed: Placed, exponent: int) -> list[tuple[Share, Share]]:
    """Pairs (X, power) whose products add up to X * 2^(exponent - floor of Y's interval).

    Where the power would be a fraction, X is divided by up to 2^LEVEL_BITS first, in a pair of its
    own; in the intervals of the other pairs its power is 0.
    """
    floors = placed.ladder.floors
    pairs, above, lost = [], -1 << 10, 0
    while True:
        reach = exponent + lost
        powers = [1 << (reach - f) if above < f <= reach else 0 for f in floors]
        pairs.append((shifted(x, lost), placed.weigh(powers)))
        if reach >= floors[-1]:
            return pairs
        above, lost = reach, min(lost + LEVEL_BITS, floors[-1] - exponent)


def _sum_of_products(
    pairs: Sequence[tuple[Share, Share]], size: torch.Size, shape: torch.Size
) -> Share:
    """Sum of X * power, with X broadcast and the flat powers viewed as `size`, then broadcast."""
    total: Share | None = None
    for x, power in pairs:
        spread = power.map(lambda part: part.view(size).expand(shape))
        term = product(x.map(lambda part: part.expand(shape)), spread)
        total = term if total is None else plus(total, term)
    assert total is not None
    return total


def _over_public(x: Share, y: Share) -> Share:
    """x / y for a public y; 0 where y is 0."""
    assert y.public is not None
    plain = decode(y.public, y.scale, torch.float64)
    inverse = torch.where(plain == 0, plain, 1 / plain)
    if x.public is None:
        return mul(x, constant(y.session, inverse.to(result_dtype(y))))
    unit = max(result_unit(x), result_unit(y))
    known = decode(x.public, x.scale, torch.float64) * inverse
    out = constant(x.session, known, quotient_scale(unit), unit=unit, saturate=True)
    return Share(x.session, out.parts, torch.promote_types(result_dtype(x), result_dtype(y)))


def _beyond(high: Share, z: Share) -> Share:
    """What a numerator has beside its digits after the truncation, of SPARE_BITS bits."""
    return words(z.session, z.each(lambda p, part: part - (high.parts[p] << SPARE_BITS)))


def _truncated(x: Share, shift: int) -> Share:
    """Words divided by 2^shift by the wrap bit; 1 round."""
    return scaled_as(
        truncate(scaled_as(x, x.shape, 1 << shift, 1, torch.int64), 1 << shift),
        x.shape,
        1,
        1,
        torch.int64,
    )


def _viewed(flat: Share, size: torch.Size, dims: int) -> Share:
    """Flat words shaped as `size` with leading ones up to `dims` dimensions."""
    return flat.map(lambda part: part.view((1,) * (dims - len(size)) + tuple(size)))


# Steps


def _placed(x: Share, finest: int | None = None) -> Placed:
    """x on the ladder of all numbers from 2^-finest (None: from one ring element) to 2^30."""
    if x.scale > FINEST:
        x = fit(x)
    bits = unit_bits(x.scale)
    low = 0 if finest is None else max(0, x.scale.bit_length() - 1 - finest)
    return place(flatten(x), ladder(low, min(MOST_BITS, bits + LARGEST)))


def _normalised(
    placed: Placed, name: str, factor: Fraction, waiting: Share, below: int = 0
) -> tuple[Share, int]:
    """factor * f(t) before its truncation by 2^shift; opens what else is waiting; 2 rounds.

    below: t where x lies in no interval.
    """
    normaliser = placed.normaliser()
    open_words(placed.value, normaliser, waiting)
    t = product(placed.value, normaliser)
    if below:
        t = plus(t, placed.weigh([0] * placed.ladder.count, below))
    return decayed(t, name, factor)


def _power(
    x: Share, placed: Placed, powers: Share, name: str, base: Fraction, below: int = 0
) -> Share:
    """base * f(t) * power of two, at unit^2 or as much finer as keeps ROOT_BITS of f(t)."""
    unit = result_unit(x)
    scale = min(unit**2, quotient_scale(unit) << 4)
    while scale * base < 1 << ROOT_BITS:
        scale *= 2
    roots, shift = _normalised(placed, name, scale * base, powers, below)
    out = shifted_product(roots, shift, powers)
    return scaled_as(out, x.shape, scale, unit, result_dtype(x), ROUNDED)


def _powers_down(on: Ladder, exponent: int, least: int) -> list[int]:
    """2^(exponent - floor) for every interval; 0 where that is below `least`."""
    return [1 << (exponent - f) if exponent >= f + least else 0 for f in on.floors]


def _signed(x: Share, bit: Share | None) -> Share:
    """x where the bit is 1, else -x; None: x itself. Local where x is open."""
    if bit is None:
        return x
    kept = bit_mul(bit, x)
    return words(x.session, x.each(lambda p, part: 2 * kept.parts[p] - part))


def _root(x: Fraction) -> Fraction:
    """sqrt(x), alike at all parties."""
    return Fraction(isqrt((x.numerator << 128) // x.denominator), 1 << 64)


def _log_of_power(floor: int, scale: int, result_scale: int) -> int:
    """log(2^floor / scale) at the result's scale."""
    return round((Fraction(floor * LN2, 1 << 64) - log_of(scale)) * result_scale)
