"""exp and its kin from one opening of the argument.

With c = x + r public, e^x = F(c) E(r): powers of two on a circle of some octaves, cut into segments
of c. Where c lies in segment q, F = 2^(how far c is into q) is public and exact in integers, and
E_q = 2^(beginning of q - r) was dealt, with the wrap around the circle that the range of x implies.
1. open c; compare it with the ends of the range        (4 rounds, clip.py)
2. [b e^x] = F (b^ [E_q] + (1 - 2 b^) [beta E_q]), q public
3. truncate                                             (1 round)
e^-x falls on the same circle, so that sinh and cosh come from the same c and two sets of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...provider.smooth import RATE_BITS, Term
from ...share import Share
from ..rectify import flatten
from ..scales import fit, wrapped
from ..truncation import truncate
from .clip import Clip, clip
from .tables import LN2, power_of_two, ramp, segment_of
from .words import OFFSET, at_parties, scaled_as

FINEST = 1 << 40  # arguments at a finer scale are truncated first: the multiplier must keep 17 bits
MOST_SIXTEENTHS = 334  # of octaves on either side of 0, for hyperbolic functions
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


def exp(x: Share, octave: int = LN2) -> Share:
    """e^x at unit scale: 0 below 1 unit in the last place, at most e^14.5 (at 16 bits).

    octave: how much of x doubles the result, at scale 2^64; 2^64 itself for 2^x.
    5 rounds. 133 bits sent (n = 2), 1601 dealt an element. Error: 1.1 units in the last place and
    2^-18 of the value.
    """
    window = full_window(result_unit(x))
    return truncate(exponentials(x, window, octave), 1 << window.shift)


def exp_nonpositive(x: Share) -> Share:
    """e^x for x <= 0, at unit scale; 5 rounds, 99 bits sent (n = 2), 622 dealt."""
    window = negative_window(result_unit(x))
    return truncate(exponentials(x, window), 1 << window.shift)


def exp_and_relu(x: Share, keep: bool = False) -> tuple[Share, Share]:
    """(e^min(x, 0) at unit scale, max(x, 0) at x's) from one opening and comparison.

    keep: leave the comparison bits with x, where `exp_and_sign` finds them.
    5 rounds. 133 bits sent (n = 2), 974 dealt. Error: 1.1 units in the last place.
    """
    x, window = _coarse(x), _capped_window(x)
    flat, unit = flatten(x), result_unit(x)
    held = clip(flat, _bounds_below_zero(window, x.scale), products=True, keep=keep)
    powers = _powers(x, held, window, LN2, [_rising(window, unit)])
    above = at_parties(flat, lambda p: held.times(p, 1))
    low = _settled(powers, x, window)
    return low, scaled_as(above, x.shape, x.scale, unit, result_dtype(x), x.shown)


def exp_and_sign(x: Share) -> tuple[Share, Share]:
    """(e^min(x, 0) at unit scale, [x > 0]); 5 rounds, 1 where `exp_and_relu` kept its bits."""
    x, window = _coarse(x), _capped_window(x)
    flat, unit = flatten(x), result_unit(x)
    held = clip(flat, _bounds_below_zero(window, x.scale))
    powers = _powers(x, held, window, LN2, [_rising(window, unit)])
    bit = scaled_as(at_parties(flat, lambda p: held.bit(p, 1)), x.shape, 1, 1, torch.int64)
    return _settled(powers, x, window), bit


def sinh(x: Share) -> Share:
    """(e^x - e^-x) / 2, as `cosh`."""
    return _hyperbolic(x, -1)


def cosh(x: Share) -> Share:
    """(e^x + e^-x) / 2 at unit scale; at rest where |x| > 14.5 (at 16 bits).

    5 rounds. 133 bits sent (n = 2), 2625 dealt. Error: 1.1 units in the last place and 2^-17 of the
    value.
    """
    return _hyperbolic(x, 1)


def exponentials(x: Share, window: Window, octave: int = LN2) -> Share:
    """e^x before the truncation, at scale unit << window.shift; 4 rounds."""
    x = _coarse(x)
    flat, unit = flatten(x), result_unit(x)
    held = clip(flat, _bounds(window, x.scale, octave))
    out = _powers(x, held, window, octave, [_rising(window, unit)])
    return scaled_as(out, x.shape, unit << window.shift, unit, result_dtype(x))


def _hyperbolic(x: Share, sign: int) -> Share:
    """(e^x + sign e^-x) / 2."""
    x = _coarse(x)
    flat, unit = flatten(x), result_unit(x)
    window = full_window(unit)
    assert window.sixteenths is not None
    window = replace(window, sixteenths=min(window.sixteenths, MOST_SIXTEENTHS))
    high = _bounds(window, x.scale, LN2)[1]
    held = clip(flat, [1 - high, high])
    terms = [_rising(window, unit, 1), _falling(window, sign * unit, 1)]
    start = -_octaves(window.sixteenths or 0, window) // 16 - _margin(window)
    inside = _powers(x, held, window, LN2, terms, start)
    rest = power_of_two(window.sixteenths or 0, unit << window.shift) >> 1

    def finish(p: int) -> Tensor:
        total = inside.parts[p] + (held.bit(p, 1) - held.bit(p, 0) * sign) * rest
        return total + sign * rest if p == x.session.first else total

    return _settled(at_parties(flat, finish), x, window)


def _capped_window(x: Share) -> Window:
    """Any x, with results that rest at 1."""
    return replace(negative_window(result_unit(x)), sixteenths=0)


def _bounds_below_zero(window: Window, scale: int) -> list[int]:
    """Of a capped window: 0 itself is inside, so that the upper bit is [x > 0]."""
    return [_bounds(window, scale, LN2)[0], 1]


def _coarse(x: Share) -> Share:
    return fit(x) if x.scale > FINEST else x


def _settled(flat: Share, x: Share, window: Window) -> Share:
    """Flat words at the window's scale, truncated, in the shape of x."""
    unit = result_unit(x)
    wide = scaled_as(flat, x.shape, unit << window.shift, unit, result_dtype(x))
    return truncate(wide, 1 << window.shift)


def _rising(window: Window, amplitude: int, halvings: int = 0) -> tuple[Term, int]:
    """amplitude e^x / 2^halvings as a dealt term, and the bits of its public factor."""
    rate = window.octaves * LN2 >> (64 - RATE_BITS)
    exponent = window.shift - window.ramp_bits - halvings
    return Term(rate, window.segment_bits, amplitude, exponent), window.ramp_bits


def _falling(window: Window, amplitude: int, halvings: int = 0) -> tuple[Term, int]:
    """The same of e^-x, whose public factor falls by a segment's octaves."""
    bits = window.ramp_bits + (window.octaves >> window.segment_bits)
    rising, _ = _rising(window, amplitude, halvings)
    exponent = window.shift - bits - halvings
    return replace(rising, rate=-rising.rate, exponent=exponent), bits


def _powers(
    x: Share,
    held: Clip,
    window: Window,
    octave: int,
    terms: Sequence[tuple[Term, int]],
    start: int | None = None,
) -> Share:
    """The sum of terms where x is inside, and the largest result above; flat words, no message."""
    circle = window.octaves * octave  # of x, at scale 2^64
    multiplier = ((2 << 128) + circle * x.scale) // (2 * circle * x.scale) % (1 << 64)
    rests = start is None and window.sixteenths is not None
    begin = _octaves(window.low, window) + _margin(window) if start is None else start
    params = [multiplier, begin, 0, [term.params for term, _ in terms]]
    dealt = x.session.deal("exponentials", held.operands, params)
    phase = held.phase_of * wrapped(multiplier)
    segments = [segment_of(phase, term.segment_bits) for term, _ in terms]
    factors = [ramp(phase, term, bits) for term, bits in terms]
    rest = power_of_two(window.sixteenths or 0, result_unit(x) << window.shift)

    def finish(p: int) -> Tensor:
        plain, masked = dealt.part(p, 0), dealt.part(p, 1)
        total = held.bit(p, 1) * rest if rests else torch.zeros_like(phase)
        for i, ((term, _), segment, factor) in enumerate(
            zip(terms, segments, factors, strict=True)
        ):
            row = segment + i * term.segments
            total.addcmul_(factor, held.keep(_row(plain, row), _row(masked, row)))
        return total

    return at_parties(flatten(x), finish)


def _bounds(window: Window, scale: int, octave: int) -> list[int]:
    """The ring elements from and below which x is evaluated."""
    low = (window.low << MARGIN_BITS) + 1
    bounds = [-(-low * octave * scale >> (64 + MARGIN_BITS))]
    if window.sixteenths is not None:
        bounds.append((window.sixteenths * octave * scale >> 68) + 1)
    return [max(-OFFSET, min(bound, OFFSET)) for bound in bounds]


def _margin(window: Window) -> int:
    return _octaves(1, window) // (1 << MARGIN_BITS)


def _octaves(count: int, window: Window) -> int:
    """Octaves as a phase."""
    return (count << 64) // window.octaves


def _row(rows: Tensor, index: Tensor) -> Tensor:
    """Of every column the row that a public index names."""
    return rows.gather(0, index.unsqueeze(0)).squeeze(0)
