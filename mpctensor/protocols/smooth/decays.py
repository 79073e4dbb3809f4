"""1/t, 1/sqrt(t), sqrt(t), log(t) for 1 <= t < 16, from one opening of t.

Each is a constant and four to six exponentials (coefficients.py), and with c = t + r public
exp(-a t) = exp(-a c) exp(a r): the second factor is dealt, one word for each segment of the circle
in which c can lie; no powers are computed and nothing is iterated.
Source: exponential sums, Braess and Hackbusch, IMA J. Numer. Anal. 2005 [BH05].
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from ...provider.smooth import RATE_BITS, Term
from ...share import Share
from ..opening import masked, masks
from .coefficients import DECAYS, EXPONENT_BITS, WEIGHT_BITS
from .intervals import ONE_BITS
from .tables import LN2, TOP_BITS, ramp, segment_of
from .words import at_parties

CIRCLE_BITS = 64 - ONE_BITS  # the circle is 2^5 wide in t
START = 7 << (ONE_BITS - 3)  # t may be 1/8 below 1 and 7/8 above 16
MOST_RISE = 26  # bits by which an exponential may vary within a segment
RESULT_BITS = {"reciprocal": 60, "fine reciprocal": 60, "rsqrt": 60, "sqrt": 58, "log": 54}
COARSE_UNIT = 1 << 16  # up to which 2^-15 of a reciprocal is as much as its rounding


def decayed(t: Share, name: str, factor: Fraction, multiplier: int = 1) -> tuple[Share, int]:
    """(words, shift): factor * f(t) is words / 2^shift, yet to be truncated; 1 round.

    t: t * multiplier is the ring element 2^59 at t = 1. 64 bits sent an element; dealt: 896 for
    sqrt, 2176 for a fine reciprocal, else 1152. The factor is below 2^40.
    Error: 2^-19 beside the fit's.
    """
    function = DECAYS[name]
    exponent = floor_log2(factor)
    bits = RESULT_BITS[name]
    mantissa = factor / Fraction(2) ** exponent
    terms, ramps = [], []
    for decay, weight in zip(function.exponents, function.weights, strict=True):
        term, ramp_bits = _term(decay, weight, mantissa, bits)
        terms.append(term)
        ramps.append(ramp_bits)
    params = [multiplier, START, 1 << ONE_BITS, [term.params for term in terms]]
    dealt = t.session.deal("exponentials", masks(t), params)
    (m,) = masked(t)
    phase = m.c.reshape(-1) * multiplier
    segments = [segment_of(phase, term.segment_bits) for term in terms]
    factors = [ramp(phase, term, b) for term, b in zip(terms, ramps, strict=True)]
    constant = round(function.constant * mantissa * (1 << bits) / (1 << WEIGHT_BITS))

    def finish(p: int) -> Tensor:
        rows = dealt.part(p, 0)
        total = torch.full_like(phase, constant if p == t.session.first else 0)
        begin = 0
        for term, segment, public in zip(terms, segments, factors, strict=True):
            total.addcmul_(public, rows.gather(0, (segment + begin).unsqueeze(0)).squeeze(0))
            begin += term.segments
        return total.view(t.shape)

    return at_parties(t, finish), bits - exponent


def reciprocal_for(unit: int) -> str:
    """The name of 1/t as exact as a result with this working scale can show."""
    return "reciprocal" if unit <= COARSE_UNIT else "fine reciprocal"


def _term(decay: int, weight: int, mantissa: Fraction, bits: int) -> tuple[Term, int]:
    """One exponential at scale 2^bits, and the share of these bits that the public factor gets."""
    segment_bits = 1
    while _rise(decay, segment_bits) > MOST_RISE:
        segment_bits += 1
    size = abs(weight).bit_length() - WEIGHT_BITS
    ramp_bits = min(TOP_BITS, (bits + _rise(decay, segment_bits) + size) // 2)
    rate = -decay << (CIRCLE_BITS + RATE_BITS - EXPONENT_BITS)
    scaled = round(weight * mantissa * (1 << 8))
    return Term(rate, segment_bits, scaled, bits - ramp_bits - WEIGHT_BITS - 8), ramp_bits


def _rise(decay: int, segment_bits: int) -> int:
    """By how many bits exp(-decay t) varies within a segment."""
    return -(-(decay << (64 + CIRCLE_BITS - segment_bits)) // (LN2 << EXPONENT_BITS))


def floor_log2(x: Fraction) -> int:
    """The largest integer e with 2^e <= x."""
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if x >= Fraction(2) ** guess else guess - 1
