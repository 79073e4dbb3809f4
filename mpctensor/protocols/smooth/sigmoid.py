"""sigmoid and tanh as sums of sines, from one opening of the argument.

With c = x + r public, sin(j w x) = sin(j w c) cos(j w r) - cos(j w c) sin(j w r): every harmonic
comes from the same c and two dealt words. Beyond the range the function rests at its limit.
1. open c; compare it with both ends of the range                       (4 rounds, clip.py)
2. [b S] = sum_j A_j sin(j w c) [b cos(j w r)] - A_j cos(j w c) [b sin(j w r)], S the sum of sines
3. base + gain (b S + (1 - u - v) / 2), u = [x < -range], v = [x < range]; truncate   (1 round)
Sources: trigonometric sums on shares, protocols.md; coefficients: benchmarks/fit_smooth.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...share import Share
from ..linear import fit
from ..rectify import flatten
from ..truncation import truncate
from .clip import Clip, clip
from .coefficients import SIGMOID, SIGMOID_PERIOD, SIGMOID_RANGE, WEIGHT_BITS
from .exponential import FINEST, result_dtype, result_unit, unit_bits
from .tables import UNIT_BITS, harmonics
from .words import at_parties, scaled_as

DEALT_BITS = 27  # scale of the dealt cosines and sines
RESULT_BITS = 54  # of the sum before its truncation


@dataclass(frozen=True)
class Shape:
    """base + gain * (sigmoid(slope * x) - 1/2); base in halves."""

    slope: int
    gain: int
    halves: int


SIGMOID_SHAPE = Shape(1, 1, 1)
TANH_SHAPE = Shape(2, 2, 0)


def sigmoid(x: Share) -> Share:
    """1 / (1 + e^-x) at unit scale; exactly 0 below -12, 1 from 12 on.

    5 rounds. 133 bits sent (n = 2), 4686 dealt an element. Error: 7e-6 and 1 unit in the last
    place.
    """
    return _clipped_sines(x, SIGMOID_SHAPE)


def tanh(x: Share) -> Share:
    """2 sigmoid(2 x) - 1 at unit scale; exactly -1 below -6, 1 from 6 on; costs as sigmoid.

    Error: 1.4e-5 and 1 unit in the last place.
    """
    return _clipped_sines(x, TANH_SHAPE)


def _clipped_sines(x: Share, shape: Shape) -> Share:
    if x.scale > FINEST:
        x = fit(x)
    flat = flatten(x)
    unit = result_unit(x)
    shift = RESULT_BITS - unit_bits(unit)
    end = SIGMOID_RANGE * x.scale // shape.slope
    held = clip(flat, [-end, end])
    period = SIGMOID_PERIOD * x.scale
    multiplier = ((shape.slope << 65) + period) // (2 * period)
    count = len(SIGMOID)
    dealt = x.session.deal("harmonics", held.operands, [multiplier, count, DEALT_BITS])
    factors = _factors(held.phase_of * multiplier, shape.gain * unit, shift - DEALT_BITS)
    half = unit << (shift - 1)

    def finish(p: int) -> Tensor:
        total = held.keep(*(_dot(factors, dealt.part(p, i)) for i in (0, 1)))
        return total + _rests(held, shape, half, p)

    out = at_parties(flat, finish)
    wide = scaled_as(out, x.shape, unit << shift, unit, result_dtype(x))
    return truncate(wide, 1 << shift)


def _factors(phase: Tensor, gain: int, shift: int) -> list[Tensor]:
    """What the dealt rows cos, sin, cos, ... are multiplied by: gain * A_j, times sin c, -cos c."""
    factors = []
    for weight, (cos, sin) in zip(SIGMOID, harmonics(phase, len(SIGMOID)), strict=True):
        amplitude = _rounded(weight * gain, WEIGHT_BITS - shift)
        factors += [_shifted(sin * amplitude), _shifted(cos * -amplitude)]
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


def _rests(held: Clip, shape: Shape, half: int, p: int) -> Tensor:
    """A party's share of base + gain (1 - u - v) / 2, from the bits 1 - u and 1 - v."""
    total = (held.bit(p, 0) + held.bit(p, 1)) * (shape.gain * half)
    if p == held.outcome.masked.share.session.first:
        total += (shape.halves - shape.gain) * half
    return total
