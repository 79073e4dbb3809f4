"""sin, cos and tan of any argument, from one opening.

c = x + r, times a public integer modulo 2^64, is an angle as a fraction of the circle, so whole
turns drop out of x, c and r alike, and sin x = sin c cos r - cos c sin r with cos r, sin r dealt.
1. open c                                               (1 round)
2. the public factors times the dealt words; truncate   (1 round)
The integer is rounded, by which x is off by 2^-47 of itself: by 2^-15 where |x| = 2^32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...share import Share
from ..opening import masked, masks
from ..rectify import flatten
from ..scales import fit
from ..truncation import truncate
from .exponential import result_dtype, result_unit, unit_bits
from .reciprocal import divide
from .tables import PI, UNIT_BITS, harmonics
from .words import at_parties, scaled_as

SINE, COSINE = 0, 1  # quarter turns by which a sine is ahead
SUM_BITS = 54  # of a sine before its truncation: half of them public, half dealt
DIVIDED_BITS = 44  # the same of sines that are divided


def sin(x: Share) -> Share:
    """The sine at unit scale. 2 rounds; 65 bits sent (n = 2), 166 dealt an element.

    |x| < 2^32 (at 16 bits); beyond, still from -1 to 1, but with x off by 2^-47 of itself. Error:
    1 unit in the last place and 2^-21.
    """
    return _at_unit(_sines(x, SUM_BITS, [SINE])[0])


def cos(x: Share) -> Share:
    """The cosine at unit scale; costs and errs as `sin`."""
    return _at_unit(_sines(x, SUM_BITS, [COSINE])[0])


def tan(x: Share) -> Share:
    """sin x / cos x at the scale of quotients; 0 where |cos x| < 2^-28.

    13 rounds. Error: 2^-14 of the value, and 2^-21 of its square.
    """
    sine, cosine = _sines(x, DIVIDED_BITS, [SINE, COSINE])
    return divide(sine, cosine)


def _at_unit(wide: Share) -> Share:
    return truncate(wide, wide.scale // wide.unit)


def _sines(x: Share, bits: int, quarters: Sequence[int]) -> list[Share]:
    """sin(x + quarter turns), for each entry, at a scale of about 2^bits; 1 round."""
    x = fit(x)
    flat, unit = flatten(x), result_unit(x)
    turn = 2 * PI * x.scale
    multiplier = ((2 << 128) + turn) // (2 * turn)
    scale = unit << (bits - unit_bits(unit))
    dealt = x.session.deal("harmonics", masks(flat), [multiplier, 1, bits // 2])
    opened = masked(flat)[0]
    found = []
    for quarter in quarters:
        cos, sin = next(harmonics(opened.c * multiplier + (quarter << 62), 1))
        factors = [_scaled(part, scale >> (bits // 2)) for part in (sin, -cos)]

        def finish(p: int, by: Sequence[torch.Tensor] = factors) -> torch.Tensor:
            rows = dealt.part(p, 0)
            return by[0] * rows[0] + by[1] * rows[1]

        out = at_parties(flat, finish)
        found.append(scaled_as(out, x.shape, scale, unit, result_dtype(x)))
    return found


def _scaled(wave: torch.Tensor, by: int) -> torch.Tensor:
    return (wave * by + (1 << (UNIT_BITS - 1))) >> UNIT_BITS
