"""exp from one opening of its argument.

With c = x + r public, e^x = F(c) E(r): powers of two on a circle of some octaves, cut into segments
of c. Where c lies in segment q, F = 2^(how far c is into q) is public and exact in integers, and
E_q = 2^(beginning of q - r) was dealt, with the wrap around the circle that the range of x implies.
1. open c; compare it with the ends of the range        (4 rounds, clip.py)
2. [b e^x] = F (b^ [E_q] + (1 - 2 b^) [beta E_q]), q public
3. truncate                                             (1 round)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...provider.smooth import RATE_BITS, Term
from ...share import Share
from ..linear import fit
from ..rectify import flatten
from ..truncation import truncate
from .clip import Clip, clip
from .tables import LN2, power_of_two, ramp, segment_of
from .words import at_parties, scaled_as

FINEST = 1 << 40  # arguments at a finer scale are truncated first: the multiplier must keep 17 bits
MARGIN_BITS = 6  # the range begins this part of an octave above its lowest power of two


@dataclass(frozen=True)
class Window:
    """Where and how finely e^x is right.

    octaves: of the circle. segment_bits: it is cut into 2^segment_bits segments. low: results below
    2^low are 0. sixteenths: results above 2^(sixteenths / 16) rest there; None: there are none.
    ramp_bits: scale of F. shift: the result waits for a truncation by 2^shift.
    """

    octaves: int
    segment_bits: int
    low: int
    sixteenths: int | None
    ramp_bits: int
    shift: int


def full_window(unit: int) -> Window:
    """Any x: 8 segments of 6 octaves. Relative error 2^-18 beside 0.1 units of the last place.

    At the default 16 bits results rest at 2^20.9, e^14.5: what fits before the truncation.
    """
    shift = 25
    sixteenths = 16 * (62 - shift) - (unit**16).bit_length()
    return Window(48, 3, -unit_bits(unit), sixteenths, 17, shift)


def negative_window(unit: int, count: int = 1) -> Window:
    """x <= 0, for sums of `count` results below 2^61: segments of 16 octaves, about 2^54 for 1.

    2 segments; 4 where more than 16 octaves are needed, because of the unit or of many small terms.
    """
    bits, many = unit_bits(unit), (count - 1).bit_length()
    octaves = max(bits, 16) + many
    if bits == 17 and not many:  # base 10: its unit holds guard digits
        octaves = 16
    circle, segment_bits = (32, 1) if octaves == 16 else (64, 2)
    return Window(circle, segment_bits, -octaves, None, 18, 54 - bits - max(0, many - 7))


def unit_bits(unit: int) -> int:
    """The bits of a unit, rounded up."""
    return (unit - 1).bit_length()


def result_unit(x: Share) -> int:
    """The working scale of a smooth function of x; integers get the session's."""
    return x.unit if x.unit > 1 else x.session.unit


def result_dtype(x: Share) -> torch.dtype:
    return x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()


def exp(x: Share) -> Share:
    """e^x at unit scale: 0 below 1 unit in the last place, at most e^14.5 (at 16 bits).

    5 rounds. 133 bits sent (n = 2), 1601 dealt an element. Error: 1.1 units in the last place and
    2^-18 of the value.
    """
    unit = result_unit(x)
    window = full_window(unit)
    return truncate(exponentials(x, window), 1 << window.shift)


def exp_nonpositive(x: Share) -> Share:
    """e^x for x <= 0, at unit scale; 5 rounds, 99 bits sent (n = 2), 622 dealt."""
    window = negative_window(result_unit(x))
    return truncate(exponentials(x, window), 1 << window.shift)


def exponentials(x: Share, window: Window) -> Share:
    """e^x before the truncation, at scale unit << window.shift; 4 rounds."""
    if x.scale > FINEST:
        x = fit(x)
    flat = flatten(x)
    unit = result_unit(x)
    held = clip(flat, _bounds(window, x.scale))
    circle = window.octaves * LN2  # nats of the circle, at scale 2^64
    multiplier = ((2 << 128) + circle * x.scale) // (2 * circle * x.scale)
    term = Term(
        circle >> (64 - RATE_BITS), window.segment_bits, unit, window.shift - window.ramp_bits
    )
    start = _octaves(window.low, window) + _octaves(1, window) // (1 << MARGIN_BITS)
    dealt = x.session.deal("exponentials", held.operands, [multiplier, start, 0, [term.params]])
    phase = held.phase_of * multiplier
    segment = segment_of(phase, window.segment_bits)
    factor = ramp(phase, term, window.ramp_bits)

    def finish(p: int) -> Tensor:
        chosen = [_row(dealt.part(p, i), segment) for i in (0, 1)]
        return factor * held.keep(chosen[0], chosen[1]) + _resting(held, window, unit, p)

    out = at_parties(flat, finish)
    return scaled_as(out, x.shape, unit << window.shift, unit, result_dtype(x))


def _bounds(window: Window, scale: int) -> list[int]:
    """The ring elements between which x is evaluated."""
    low = (window.low << MARGIN_BITS) + 1
    bounds = [-(-low * LN2 * scale >> (64 + MARGIN_BITS))]
    if window.sixteenths is not None:
        bounds.append(window.sixteenths * LN2 * scale >> 68)
    return bounds


def _octaves(count: int, window: Window) -> int:
    """Octaves as a phase."""
    return (count << 64) // window.octaves


def _row(rows: Tensor, index: Tensor) -> Tensor:
    """Of every column the row that a public index names."""
    return rows.gather(0, index.unsqueeze(0)).squeeze(0)


def _resting(held: Clip, window: Window, unit: int, p: int) -> Tensor | int:
    """A party's share of the largest result, where x is above the range."""
    if window.sixteenths is None:
        return 0
    return held.bit(p, 1) * power_of_two(window.sixteenths, unit << window.shift)
