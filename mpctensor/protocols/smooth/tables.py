"""Exponentials and circular functions of public ring elements, in integers alike at all parties.

A public c, times a public multiplier, is read as a phase: the fraction c / 2^64 of a circle. Tables
of 2^12 entries for the upper and the lower twelve of 24 bits are made in exact integers, never in
floats, whose last place may differ between machines.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from ...provider.smooth import RATE_BITS, Term

LN2 = 12_786_308_645_202_655_660  # ln 2 at scale 2^64
PI = 57_952_155_664_616_982_739  # pi at scale 2^64
INDEX_BITS = 12
ROWS = 1 << INDEX_BITS
FINE_BITS = 22  # scale of the lower table of a ramp
TOP_BITS = 40  # largest entry of its upper table
UNIT_BITS = 30  # scale of sines and cosines
_WORK = 128  # scale at which tables are computed


# Ramps: exp(rate * (c - beginning of c's segment))


def segment_of(phase: Tensor, segment_bits: int) -> Tensor:
    """Which of the 2^segment_bits segments of the circle a phase lies in."""
    return (phase >> (64 - segment_bits)) & ((1 << segment_bits) - 1)


def ramp(phase: Tensor, term: Term, bits: int) -> Tensor:
    """exp(rate * u) at scale 2^bits, where u is how far the phase is into its segment.

    Relative error below 2^-21 while the result has more bits than that.
    """
    upper, lower, shift = _ramp_tables(term.rate, term.segment_bits, bits)
    index = ((phase << term.segment_bits) >> (64 - 2 * INDEX_BITS)) & (ROWS * ROWS - 1)
    product = upper[index >> INDEX_BITS] * lower[index & (ROWS - 1)]
    return (product + (1 << (shift - 1))) >> shift


@lru_cache(maxsize=128)
def _ramp_tables(rate: int, segment_bits: int, bits: int) -> tuple[Tensor, Tensor, int]:
    """Upper table, lower table, and the shift that brings their product to 2^bits."""
    gain = Fraction(rate, 1 << (RATE_BITS + segment_bits))
    rise = max(0, -(-(gain * (1 << 64)) // LN2))
    top = TOP_BITS - int(rise)
    upper = _powers(Fraction(0), gain / ROWS, top)
    lower = _powers(gain / (2 * ROWS * ROWS), gain / (ROWS * ROWS), FINE_BITS)
    return upper, lower, top + FINE_BITS - bits


def _powers(start: Fraction, step: Fraction, bits: int) -> Tensor:
    """exp(start + i * step) at scale 2^bits for every row i."""
    value, ratio = _small_exp(start), _small_exp(step)
    rows = []
    for _ in range(ROWS):
        rows.append(_rounded(value, _WORK - bits))
        value = value * ratio >> _WORK
    return torch.tensor(rows)


def _small_exp(x: Fraction) -> int:
    """exp(x) for |x| < 1, by its series, at the working scale."""
    value = term = 1 << _WORK
    for i in range(1, 40):
        term = term * x.numerator // (x.denominator * i)
        value += term
    return value


def power_of_two(sixteenths: int, scale: int) -> int:
    """2^(sixteenths / 16) at an integer scale."""
    whole, rest = divmod(sixteenths, 16)
    return _small_exp(Fraction(rest * LN2, 16 << 64)) * scale << whole >> _WORK


@lru_cache(maxsize=64)
def log_of(number: int) -> Fraction:
    """The natural logarithm of a positive integer; `Decimal.ln` is correctly rounded everywhere."""
    return Fraction(Decimal(number).ln(Context(prec=40)))


@lru_cache(maxsize=64)
def octave(base: Fraction) -> int:
    """By how much x has to rise for base^x to double, at scale 2^64; base > 1."""
    context = Context(prec=60)
    number = context.divide(Decimal(base.numerator), Decimal(base.denominator))
    return round(Fraction(LN2) / Fraction(number.ln(context)))


def _rounded(value: int, shift: int) -> int:
    return (value + (1 << (shift - 1))) >> shift


# Circular functions


def harmonics(phase: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(cos, sin) of j times the phase's angle for j = 1 .. count, at scale 2^30."""
    cos_high, sin_high, cos_low, sin_low = _circle_tables()
    index = (phase >> (64 - 2 * INDEX_BITS)) & (ROWS * ROWS - 1)
    high, low = index >> INDEX_BITS, index & (ROWS - 1)
    first = _rotated(cos_high[high], sin_high[high], cos_low[low], sin_low[low])
    cos, sin = first
    for _ in range(count - 1):
        yield cos, sin
        cos, sin = _rotated(cos, sin, *first)
    yield cos, sin


def _rotated(cos: Tensor, sin: Tensor, by_cos: Tensor, by_sin: Tensor) -> tuple[Tensor, Tensor]:
    half = 1 << (UNIT_BITS - 1)
    return (
        (cos * by_cos - sin * by_sin + half) >> UNIT_BITS,
        (sin * by_cos + cos * by_sin + half) >> UNIT_BITS,
    )


@lru_cache(maxsize=1)
def _circle_tables() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    turn = Fraction(2 * PI, 1 << 64)
    return *_turns(Fraction(0), turn / ROWS), *_turns(
        turn / (2 * ROWS * ROWS), turn / (ROWS * ROWS)
    )


def _turns(start: Fraction, step: Fraction) -> tuple[Tensor, Tensor]:
    """(cos, sin) of start + i * step for every row i, at scale 2^30."""
    (cos, sin), (by_cos, by_sin) = _small_turn(start), _small_turn(step)
    rows = []
    for _ in range(ROWS):
        rows.append([_rounded(v, _WORK - UNIT_BITS) for v in (cos, sin)])
        cos, sin = (cos * by_cos - sin * by_sin) >> _WORK, (sin * by_cos + cos * by_sin) >> _WORK
    table = torch.tensor(rows)
    return table[:, 0].contiguous(), table[:, 1].contiguous()


def _small_turn(x: Fraction) -> tuple[int, int]:
    """(cos x, sin x) for |x| < 1, by their series, at the working scale."""
    sums, term = [1 << _WORK, 0], 1 << _WORK
    for i in range(1, 40):
        term = term * x.numerator // (x.denominator * i)
        sums[i % 2] += -term if i % 4 in (2, 3) else term
    return sums[0], sums[1]
