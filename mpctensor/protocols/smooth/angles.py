"""arctan, arctan2, arcsin and arccos: a short sum of waves on [-1, 1], and what brings x there.

arctan x is pi/2 - arctan(1 / x) beyond 1; arccos x is sqrt(1 - x) times a smooth function of x.
"""

from __future__ import annotations

from fractions import Fraction

import torch

from ...share import Share
from ..bits import bit_mul, invert
from ..linear import add, add_scalar, concatenate, neg, session_parts, sub
from ..product import mul
from ..rectify import relu, selected
from ..scales import fit
from .curves import waves_of
from .reciprocal import divide, reciprocal, sqrt
from .tables import PI
from .words import scaled_as

HALF_TURN = Fraction(PI, 1 << 64)
FAR = 1 << 16  # tangents beyond it count as it


def arctan(x: Share) -> Share:
    """The angle of a tangent, at unit scale; beyond 2^16 that of 2^16.

    16 rounds. Error: 2^-15 and 2 units in the last place.
    1. v = [x >= 1], w = [x < -1]; by how much x leaves [-1, 1], up to 2^16     (4 rounds)
    2. y = x held between -1 and 1, over max(|x|, 1)                            (9 rounds)
    3. arctan y                                                                 (2 rounds)
    4. beyond 1, that from pi/2 with the sign of x                              (1 round)
    """
    x = fit(x)
    ends = (-FAR, -1, 1, FAR)
    levels = [torch.full((), end * x.scale).expand(x.shape).reshape(-1) for end in ends]
    bits, products = selected(x, levels)
    beyond = [  # max(x - end, 0)
        sub(kept, _weight(bit, end, x)) for kept, bit, end in zip(products, bits, ends, strict=True)
    ]
    held = add_scalar(sub(beyond[1], beyond[2]), -1)
    lengths = sub(add(beyond[1], beyond[2]), add(beyond[0], beyond[3]))
    largest = add_scalar(lengths, FAR)  # max(|x|, 1), at most 2^16
    w, v = invert(bits[1]), bits[2]
    angle = waves_of(mul(held, reciprocal(largest, positive=True)), "arctan")
    return _mirrored(angle, (v, HALF_TURN / 2), (w, -HALF_TURN / 2))


def arctan2(y: Share, x: Share) -> Share:
    """The angle of the point (x, y), broadcasting, at unit scale; 0 for (0, 0).

    |x|, |y| < 2^29. 20 rounds. Error: 2^-14 and 2 units in the last place.
    1. |x| and |y|, with their signs                     (4 rounds)
    2. which is the larger                               (4 rounds)
    3. arctan of the smaller over the larger             (9 rounds)
    4. the same angle in the octant of the point         (3 rounds)
    """
    shape = torch.broadcast_shapes(x.shape, y.shape)
    both = [fit(v).map(lambda part: part.expand(shape)) for v in (x, y)]
    pair = concatenate(lambda parts: torch.stack(tuple(parts)), both)
    zero = torch.zeros((), dtype=torch.int64).expand(pair.shape).reshape(-1)
    (positive,), (kept,) = selected(pair, [zero])
    across, up = sub(add(kept, kept), pair).split(torch.unbind)
    left, down = invert(positive).split(torch.unbind)
    more, steep = relu(sub(up, across), fuse=False)
    larger, smaller = add(across, more), sub(up, more)
    angle = waves_of(divide(smaller, larger, positive=True), "arctan")
    for bit, limit in ((steep, HALF_TURN / 2), (left, HALF_TURN), (down, Fraction(0))):
        angle = _mirrored(angle, (bit, limit))
    return angle


def arcsin(x: Share) -> Share:
    """The angle of a sine, at unit scale; pi/2 with the sign of x where |x| > 1.

    17 rounds. Error: 2^-15 and 2 units in the last place.
    1. |x| and [x >= 0]                                         (4 rounds)
    2. sqrt(1 - |x|), and arccos |x| over that as waves         (9 rounds)
    3. pi/2 less the product of both, with the sign of x        (4 rounds)
    """
    zero = torch.zeros((), dtype=torch.int64).expand(x.shape).reshape(-1)
    (positive,), (kept,) = selected(x, [zero])
    size = sub(add(kept, kept), x)
    root = sqrt(add_scalar(neg(size), 1))
    angle = fit(mul(root, waves_of(size, "arccos_over_root")))
    rest = sub(_constant(HALF_TURN / 2, angle), angle)
    return _mirrored(rest, (invert(positive), Fraction(0)))


def arccos(x: Share) -> Share:
    """The angle of a cosine: pi/2 - arcsin x; 0 where x > 1, pi where x < -1."""
    angle = arcsin(x)
    return sub(_constant(HALF_TURN / 2, angle), angle)


def _mirrored(angle: Share, *mirrors: tuple[Share, Fraction]) -> Share:
    """limit - angle where the bit is 1; at most one of the bits is. 1 round."""
    out = angle
    for bit, limit in mirrors:
        turned = bit_mul(bit, angle)
        out = add(sub(out, add(turned, turned)), _weight(bit, limit, angle))
    return out


def _weight(bit: Share, number: int | Fraction, like: Share) -> Share:
    """bit * number, local, at the scale of `like`."""
    ring = round(number * like.scale)
    words = bit.map(lambda part: part * ring)
    return scaled_as(words, bit.shape, like.scale, like.unit, like.dtype)


def _constant(number: Fraction, like: Share) -> Share:
    """A public number at the scale of `like`."""
    raw = torch.full((), round(number * like.scale))
    parts = session_parts(like.session, raw)
    return Share.make(like.session, parts, like.dtype, like.scale, like.unit, raw)
