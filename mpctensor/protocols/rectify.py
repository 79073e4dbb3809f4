"""What follows from comparing with public thresholds or with another share: signs, ReLU and kin.

All are public linear functions of bits and of bit * x, both from the one opening of x.
ReLU: y = b^ (c - [r]) + s (c [beta] - [beta r]). Where a truncation is pending, it is fused:
    C = c >> f, m = msb(c), k = (1 - m) 2^(64-f):
    y = b^ (C - [rho] + k [mu]) + s (C [beta] - [beta rho] + k [beta mu]).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import kernels
from ..share import Share
from .bits import bit_mul, bit_of, invert
from .comparison import Comparison, compare, compare_zero
from .linear import add, session_parts, sub
from .product import mul
from .scales import align

# Bits


def nonnegative(x: Share) -> Share:
    """[x >= 0]."""
    return _threshold_bit(x, 0)


def positive(x: Share) -> Share:
    """[x > 0], which is [x >= 1 unit in the last place]."""
    return _threshold_bit(x, 1)


def negative(x: Share) -> Share:
    """[x < 0]."""
    return _threshold_bit(x, 0, flip=False)


def _threshold_bit(x: Share, threshold: int, flip: bool = True) -> Share:
    if x.public is not None:
        return _public_bit(x, (x.public >= threshold) == flip)
    flat = flatten(x)
    return bit_of(compare(flat, [threshold], "bit", flip=flip), 0, x.shape)


def _public_bit(x: Share, known: Tensor) -> Share:
    raw = known.to(torch.int64)
    return Share.make(x.session, session_parts(x.session, raw), torch.bool, 1, 1, raw)


def less_than(x: Share, y: Share) -> Share:
    """[x < y], broadcasting; |x - y| must stay below 2^63 in the ring."""
    return positive(sub(y, x))


def equal(x: Share, y: Share) -> Share:
    """[x == y], broadcasting; exact in the ring."""
    difference = sub(x, y)
    if difference.public is not None:
        return _public_bit(difference, difference.public == 0)
    return bit_of(compare_zero(flatten(difference)), 0, difference.shape)


def sign(x: Share) -> Share:
    """-1, 0 or 1, as an integer share: [x > 0] - [x < 0] from one opening."""
    if x.public is not None:
        return sub(positive(x), negative(x))
    outcome = compare(flatten(x), [1, 0], "bit")
    above, at_least = (bit_of(outcome, t, x.shape) for t in (0, 1))
    below = invert(at_least)
    return sub(_typed(above, torch.int64), _typed(below, torch.int64))


def flatten(x: Share) -> Share:
    """x as a flat contiguous share, a view of x's storage where possible."""
    return x.map(lambda part: part.reshape(-1))


# ReLU and its kin


def relu(x: Share, fuse: bool = True) -> tuple[Share, Share]:
    """(max(x, 0), [x > 0]).

    fuse: settle a pending truncation by a power of two in the same step; else the scale stays.
    """
    if x.public is not None:
        bit = positive(x)
        return bit_mul(bit, x), bit
    shift = _pending_shift(x) if fuse else 0
    flat = flatten(x)
    outcome = compare(flat, [1], "select_shift" if shift else "select", shift)
    bit = bit_of(outcome, 0, x.shape)
    parts = flat.each(lambda p, _: _rectified(outcome, p, 0, shift).view(x.shape))
    scale = x.scale >> shift
    out = Share.make(x.session, parts, x.dtype, scale, x.unit, shown=x.shown, fine=x.fine)
    return out, bit


def _pending_shift(x: Share) -> int:
    """f where x waits for a truncation by 2^f, else 0."""
    ratio, rest = divmod(x.scale, x.unit)
    return 0 if rest or ratio & (ratio - 1) else ratio.bit_length() - 1


def _rectified(outcome: Comparison, p: int, threshold: int, shift: int) -> Tensor:
    """Party p's share of b x (or of b times x truncated) for one threshold."""
    first = p == outcome.masked.share.session.first
    plane, c = outcome.planes[threshold], outcome.masked.c
    values = [outcome.source(p, threshold, i) for i in range(5 if shift else 2)]
    if shift:
        beta, rho, beta_rho, mu, beta_mu = values
        return kernels.select_shift_share(plane, c, shift, beta, rho, beta_rho, mu, beta_mu, first)
    beta, beta_r = values
    return kernels.select_share(plane, c, outcome.masked.mask_source(p), beta, beta_r, first)


def absolute(x: Share) -> tuple[Share, Share]:
    """(|x|, [x > 0]): 2 relu(x) - x."""
    positive_part, bit = relu(x, fuse=False)
    return sub(add(positive_part, positive_part), x), bit


def magnitude(x: Share) -> tuple[Share, Share]:
    """(|x|, its sign as an integer share): both thresholds of the sign on one opening."""
    (above, at_least), positive_part = _around_zero(x)
    signs = sub(_typed(above, torch.int64), _typed(invert(at_least), torch.int64))
    return sub(add(positive_part, positive_part), x), signs


def _around_zero(x: Share) -> tuple[list[Share], Share]:
    """([x > 0], [x >= 0]) and max(x, 0), from one opening."""
    one = torch.ones((), dtype=torch.int64).expand(x.shape).reshape(-1)
    bits, (positive_part, _) = selected(x, [one, one - 1])
    return bits, positive_part


def clamp(x: Share, low: Share | None, high: Share | None) -> tuple[Share, Share]:
    """(x held between public bounds, [low <= x <= high]); as `bounded`."""
    out, at_least, at_most = bounded(x, low, high)
    if at_least is None or at_most is None:
        inside = at_least if at_most is None else at_most
        assert inside is not None
        return out, inside
    return out, _typed(sub(at_least, invert(at_most)), torch.bool)


def bounded(
    x: Share, low: Share | None, high: Share | None, strict: bool = False
) -> tuple[Share, Share | None, Share | None]:
    """(x held between public bounds, [x >= low], [x <= high]); strict: [x > low], [x < high].

    low + [x >= low] (x - low) - [x > high] (x - high); a missing bound is dropped, its bit is None.
    One opening, both bounds in its rounds.
    """
    x, *bounds = align(x, *(b for b in (low, high) if b is not None))
    shape = torch.broadcast_shapes(x.shape, *(b.shape for b in bounds))
    if x.shape != shape:
        x = x.map(lambda part: part.expand(shape))
    levels = [_ring(b, shape) for b in bounds]
    if low is not None and strict:
        levels[0] = levels[0] + 1
    if high is not None and not strict:
        levels[-1] = levels[-1] + 1
    bits, products = selected(x, levels)
    excess = [sub(y, bit_mul(bit, b)) for y, bit, b in zip(products, bits, bounds, strict=True)]
    out, at_least, at_most = x, None, None
    if low is not None:
        out, at_least = add(bounds[0], excess[0]), bits[0]
    if high is not None:
        out, at_most = sub(out, excess[-1]), invert(bits[-1])
    return _typed(out, x.dtype), at_least, at_most


def _typed(share: Share, dtype: torch.dtype) -> Share:
    return Share(share.session, share.parts, dtype)


def _ring(bound: Share, shape: torch.Size) -> Tensor:
    """The ring elements of a public bound, flat."""
    known = bound.public
    if known is None:
        raise ValueError("`clamp` takes public bounds; use maximum and minimum for secret ones")
    return known.expand(shape).reshape(-1)


def selected(x: Share, levels: Sequence[Tensor]) -> tuple[list[Share], list[Share]]:
    """For each public level T: the bit [x >= T] and [x >= T] * x; one comparison for all."""
    if x.public is not None:
        bits = [_public_bit(x, x.public >= level.view(x.shape)) for level in levels]
        return bits, [mul(bit, x) for bit in bits]
    flat = flatten(x)
    outcome = compare(flat, levels, "select")
    bits = [bit_of(outcome, t, x.shape) for t in range(len(levels))]
    products = []
    for t in range(len(levels)):
        parts = flat.each(lambda p, _: _rectified(outcome, p, t, 0).view(x.shape))
        products.append(Share.make(x.session, parts, x.dtype, x.scale, x.unit, shown=x.shown))
    return bits, products


def maximum(x: Share, y: Share) -> tuple[Share, Share]:
    """(max(x, y), [y > x]): x + relu(y - x); a tie keeps x."""
    more, bit = relu(sub(y, x), fuse=False)
    return add(x, more), bit


def minimum(x: Share, y: Share) -> tuple[Share, Share]:
    """(min(x, y), [y < x]): x - relu(x - y); a tie keeps x."""
    less, bit = relu(sub(x, y), fuse=False)
    return sub(x, less), bit


def larger(x: Share, y: Share) -> tuple[Share, Share, Share]:
    """(max(x, y), [y > x], [y >= x]): x + relu(y - x), the bits from one opening."""
    (above, at_least), more = _around_zero(sub(y, x))
    return add(x, more), above, at_least
