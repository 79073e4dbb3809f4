"""Products with a quotient, whose digits below the unit count where the other factor is large."""

from __future__ import annotations

import torch

from ...share import Share
from ..linear import add
from ..product import mul
from ..scales import fit, rescale
from ..truncation import truncate
from .exponential import result_dtype, result_unit
from .words import at_parties, open_words, product, scaled_as, shifted_product

MOST_SPARE = 20  # bits beyond the unit that count


def mul_finely(x: Share, q: Share) -> Share:
    """x q, broadcasting, with all digits of q at a scale of up to unit^2 or so; at unit^2.

    1. open x and q                                                                 (1 round)
    2. high = x (q / 2^k), with q / 2^k at unit scale; whole = x q modulo 2^64
    3. rest = whole - 2^k high = x (q mod 2^k) does not wrap; truncate it by 2^k      (1 round)
    x q is high + rest / 2^k. As many rounds as the truncation of q and the product would take.
    |x| < 2^(46-k) at 16 bits: 2^26 for quotients, 2^30 for inverse roots; |x q| < 2^30.
    """
    unit = max(result_unit(x), result_unit(q))
    if q.scale > unit << MOST_SPARE:
        q = rescale(q, unit << MOST_SPARE)
    spare = min(q.scale.bit_length() - unit.bit_length(), _twos(q.scale))
    if spare <= 0 or q.public is not None:
        return mul(x, q)
    shape, dims = torch.broadcast_shapes(x.shape, q.shape), max(x.here.dim(), q.here.dim())
    x = fit(x).map(lambda part: part.expand(shape))
    if x.public is None:
        open_words(x, q)
        column = q.map(lambda part: part.view((1,) * (dims - part.dim()) + tuple(part.shape)))
        high = shifted_product(column, spare, x)
    else:
        high = product(x, truncate(q, 1 << spare).map(lambda part: part.expand(shape)))
    whole = product(x, q.map(lambda part: part.expand(shape)))
    rest = at_parties(whole, lambda p: whole.parts[p] - (high.parts[p] << spare))
    dtype = torch.promote_types(result_dtype(x), result_dtype(q))
    finest = x.scale * q.scale
    small = truncate(scaled_as(rest, shape, finest, unit, dtype), 1 << spare)
    return add(scaled_as(high, shape, finest >> spare, unit, dtype), small)


def mul_bounded(x: Share, q: Share, bound_bits: int = 14) -> Share:
    """x q at unit scale, for products known to be below 2^14; 2 rounds.

    Both keep their digits, and one truncation of the product settles all of them.
    """
    unit = max(x.unit, q.unit)
    room = 1 << 62 - bound_bits
    x = fit(x)
    q = rescale(q, min(q.scale, max(unit, room // x.scale)))
    return rescale(mul(x, q, fits=True), unit)


def _twos(scale: int) -> int:
    """How often 2 divides a scale."""
    return (scale & -scale).bit_length() - 1
