"""Curves that rest on both sides, as sums of sines and cosines, from one opening of the argument.

A curve rises from 0 to 1 (sigmoid, the slope of gelu) or from 0 to x (gelu, silu, softplus). Beyond
its range it is at rest there; inside, what it has beyond 1/2 or x / 2 is a sum of waves W. With
c = x + r public, every harmonic of W comes from c and two dealt words:
cos(j a) = cos(j c) cos(j r) + sin(j c) sin(j r), with c, r as angles, and sin(j a) likewise.
1. open c; compare it with both ends of the range: u = [x >= low], v = [x >= high]
                                                                        (4 rounds, clip.py)
2. (u - v) W + (u + v) / 2, or (u - v) (W + x / 2) + v x, where (u - v) W needs no message
3. truncate what is not v x                                             (1 round)
Sources: trigonometric sums on shares, protocols.md; coefficients: benchmarks/fit_smooth.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from ...share import Share
from ..linear import add
from ..opening import masked, masks
from ..rectify import flatten
from ..scales import fit
from ..truncation import truncate
from .clip import Clip, clip
from .coefficients import WEIGHT_BITS
from .exponential import FINEST, result_dtype, result_unit, unit_bits
from .tables import UNIT_BITS, harmonics
from .waves import WAVES, Waves
from .words import at_parties, scaled_as

DEALT_BITS = 27  # scale of the dealt cosines and sines
RESULT_BITS = 54  # of the sum before its truncation


@dataclass(frozen=True)
class Step:
    """base + gain * (a curve from 0 to 1 of slope * x)."""

    waves: Waves
    slope: int = 1
    gain: int = 1
    base: int = 0


SIGMOID = Step(WAVES["sigmoid"])
TANH = Step(WAVES["sigmoid"], slope=2, gain=2, base=-1)
ERF = Step(WAVES["normal"], gain=2, base=-1)

# Ramps, from 0 to x, and their slopes, from 0 to 1, over the same range
RAMPS = {name: WAVES[name] for name in ("gelu", "gelu_tanh", "silu", "mish", "softplus")}
SLOPES = {
    **{name: Step(WAVES[f"{name}_slope"]) for name in ("gelu", "gelu_tanh", "silu", "mish")},
    "softplus": SIGMOID,
}


def sigmoid(x: Share) -> Share:
    """1 / (1 + e^-x) at unit scale; exactly 0 below -12, 1 from 12 on.

    5 rounds. 133 bits sent (n = 2), 4686 dealt an element. Error: 7e-6 and 1 unit in the last
    place.
    """
    return step(x, SIGMOID)


def tanh(x: Share) -> Share:
    """2 sigmoid(2 x) - 1 at unit scale; exactly -1 below -6, 1 from 6 on; costs as sigmoid.

    Error: 1.4e-5 and 1 unit in the last place.
    """
    return step(x, TANH)


def erf(x: Share) -> Share:
    """The error function at unit scale; exactly -1 below -3.25, 1 from 3.25 on.

    5 rounds. 133 bits sent (n = 2), 3150 dealt. Error: 4.4e-6 and 1 unit in the last place.
    """
    return step(x, ERF)


def ramp_slope(x: Share, name: str) -> Share:
    """The derivative of a ramp at unit scale; 5 rounds, 1 where `ramp` kept its bits."""
    return step(x, SLOPES[name])


def step(x: Share, curve: Step) -> Share:
    """A curve between two limits, at unit scale."""
    x = _coarse(x)
    flat, unit = flatten(x), result_unit(x)
    held = clip(flat, _bounds(curve.waves, x.scale, curve.slope))
    shift = RESULT_BITS - unit_bits(unit)
    sums = _Sums(curve.waves, x, curve.slope, curve.gain * unit, shift, held)
    half = curve.gain * unit << (shift - 1)

    def finish(p: int) -> Tensor:
        total = sums.share(p) + (held.bit(p, 0) + held.bit(p, 1)) * half
        return total + (curve.base * unit << shift) if p == x.session.first else total

    out = at_parties(flat, finish)
    wide = scaled_as(out, x.shape, unit << shift, unit, result_dtype(x))
    return truncate(wide, 1 << shift)


def ramp(x: Share, name: str, keep: bool = False) -> Share:
    """A curve from 0 to x, at x's scale, or unit scale if that is finer.

    keep: leave the comparison bits with x, where `ramp_slope` finds them.
    5 rounds. 133 bits sent (n = 2); dealt: 808 and 256 a harmonic. Error: 2 units in the last
    place, and the waves'.
    """
    waves = RAMPS[name]
    x = _coarse(x)
    unit = result_unit(x)
    shift = RESULT_BITS - unit_bits(unit)
    if (unit << shift) % (2 * x.scale):
        x = fit(x)
    flat = flatten(x)
    held = clip(flat, _bounds(waves, x.scale), products=True, keep=keep)
    sums = _Sums(waves, x, 1, unit, shift, held)
    half = (unit << shift) // (2 * x.scale)
    above = at_parties(flat, lambda p: held.times(p, 1))

    def finish(p: int) -> Tensor:
        return sums.share(p) + (held.times(p, 0) - above.parts[p]) * half

    dtype = result_dtype(x)
    wide = scaled_as(at_parties(flat, finish), x.shape, unit << shift, unit, dtype)
    beyond = scaled_as(above, x.shape, x.scale, unit, dtype, x.shown)
    return add(truncate(wide, 1 << shift), beyond)


def waves_of(x: Share, name: str, slope: int = 1) -> Share:
    """A sum of waves of slope * x, at unit scale, where x is known to be in its range.

    2 rounds. 65 bits sent (n = 2), 128 dealt a harmonic.
    """
    x = _coarse(x)
    flat, unit = flatten(x), result_unit(x)
    shift = RESULT_BITS - unit_bits(unit)
    sums = _Sums(WAVES[name], x, slope, unit, shift, None)
    out = at_parties(flat, sums.share)
    wide = scaled_as(out, x.shape, unit << shift, unit, result_dtype(x))
    return truncate(wide, 1 << shift)


def _coarse(x: Share) -> Share:
    return fit(x) if x.scale > FINEST else x


def _bounds(waves: Waves, scale: int, slope: int = 1) -> list[int]:
    """The ends of the range as ring elements."""
    ends = Fraction(waves.low) * scale / slope, Fraction(waves.high) * scale / slope
    return [ceil(ends[0]), floor(ends[1])]


class _Sums:
    """gain * W(slope * x), times the clip's bit where there is one, at scale 2^shift.

    The public factors of the dealt rows cos r, sin r, cos 2 r, ... are worked out once, for all
    parties that live here.
    """

    def __init__(
        self, waves: Waves, x: Share, slope: int, gain: int, shift: int, held: Clip | None
    ) -> None:
        flat = flatten(x)
        multiplier = round(Fraction(slope << 64) / (Fraction(waves.period) * x.scale))
        operands = masks(flat) if held is None else held.operands
        params = [multiplier, waves.count, DEALT_BITS]
        self._dealt = x.session.deal("harmonics", operands, params)
        c = masked(flat)[0].c if held is None else held.phase_of
        self._factors = _factors(c * multiplier, waves, gain, shift - DEALT_BITS)
        self._constant = _rounded(waves.constant * gain, WEIGHT_BITS - shift)
        self._held, self._first = held, x.session.first

    def share(self, p: int) -> Tensor:
        """A party's share."""
        held = self._held
        if held is None:
            total = _dot(self._factors, self._dealt.part(p, 0))
            return total.add_(self._constant) if p == self._first else total
        total = held.keep(*(_dot(self._factors, self._dealt.part(p, i)) for i in (0, 1)))
        if self._constant:
            total += (held.bit(p, 0) - held.bit(p, 1)) * self._constant
        return total


def _factors(phase: Tensor, waves: Waves, gain: int, shift: int) -> list[Tensor]:
    """What the dealt rows are multiplied by, at scale 2^shift.

    For cos j r: B cos j c + A sin j c; for sin j r: B sin j c - A cos j c, with A the weight of the
    sine and B that of the cosine.
    """
    factors = []
    for j, (cos, sin) in enumerate(harmonics(phase, waves.count)):
        a, b = (
            _rounded(weights[j] * gain, WEIGHT_BITS - shift) if weights else 0
            for weights in (waves.sines, waves.cosines)
        )
        factors += [_shifted(cos * b + sin * a), _shifted(sin * b - cos * a)]
    return factors


def _rounded(number: int, shift: int) -> int:
    """number / 2^shift to the nearest integer; shift may be negative."""
    return (number + (1 << (shift - 1))) >> shift if shift > 0 else number << -shift


def _shifted(product: Tensor) -> Tensor:
    return (product + (1 << (UNIT_BITS - 1))) >> UNIT_BITS


def _dot(factors: list[Tensor], rows: Tensor) -> Tensor:
    """Sum of factor times row."""
    total = torch.zeros_like(rows[0])
    for factor, row in zip(factors, rows, strict=True):
        total.addcmul_(factor, row)
    return total
