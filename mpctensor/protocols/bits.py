"""Secret bits: made by comparisons, multiplied without being opened again.

A comparison leaves b = b^ xor beta with b^ public and [beta] shared, so for s = 1 - 2 b^
    [b]   = b^ + s [beta]                                   (no round)
    [b g] = b^ [g] + s (c_g [beta] - [beta r_g])            (g opened once, 64 bits dealt)
and the product of two such bits needs no opening at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import kernels
from ..provider import BitView, Request
from ..share import Part, Share
from .comparison import Comparison
from .linear import add, sub
from .opening import masked, masks, same_session
from .product import expanded, mul


@dataclass(frozen=True)
class MaskedBit:
    """How the storage of a bit's share was made: b = plane xor beta.

    plane: packed public bits of all n elements. beta: flat additive parts of the mask bit. request:
    the comparison's, and the threshold in it, by which the provider knows beta; nothing else of the
    comparison is kept, least of all the value compared, with which the bit may be stored.
    """

    plane: Tensor
    request: Request
    threshold: int
    beta: tuple[Part, ...]
    n: int


def bit_of(comparison: Comparison, threshold: int, size: torch.Size) -> Share:
    """The outcome for one threshold as a share of 0 and 1 (dtype bool)."""
    share = comparison.masked.share
    plane = comparison.planes[threshold]
    beta = share.each(lambda p, _: comparison.value(p, threshold, 0))
    made = MaskedBit(plane, comparison.dealt.request, threshold, beta, comparison.n)
    return _bit_share(share, made, size)


def _bit_share(like: Share, bit: MaskedBit, size: torch.Size) -> Share:
    session = like.session

    def part(p: int, _: Tensor) -> Tensor:
        return kernels.bit_share(bit.plane, bit.beta[p], p == session.first).view(size)

    out = Share.make(session, like.each(part), torch.bool, 1, 1)
    out.facts.derived["bit"] = bit
    return out


def invert(bit: Share) -> Share:
    """not b; local."""
    made = masked_bit(bit)
    if made is not None and bit.whole and bit.here.is_contiguous():
        flipped = MaskedBit(~made.plane, made.request, made.threshold, made.beta, made.n)
        return _bit_share(bit.base(), flipped, bit.shape)
    return _as_bit(_one_minus(bit))


def _one_minus(bit: Share) -> Share:
    first = bit.session.first
    parts = bit.each(lambda p, part: (1 if p == first else 0) - part)
    public = None if bit.public is None else 1 - bit.public
    return Share.make(bit.session, parts, torch.bool, 1, 1, public)


def _as_bit(share: Share) -> Share:
    return Share(share.session, share.parts, torch.bool)


def masked_bit(bit: Share) -> MaskedBit | None:
    """The masked form of a bit, where a comparison left one."""
    return bit.facts.derived.get("bit")


def duplicate(bit: Share) -> Share:
    """The same bit on storages of its own, so that writes to one leave the other; still masked."""
    made = masked_bit(bit)
    flat = bit.base().clone()
    if made is not None:
        flat.facts.derived["bit"] = made
    return _as_bit(flat.map(bit.view_of))


def both(a: Share, b: Share) -> Share:
    """a and b."""
    return _as_bit(bit_mul(a, b))


def either(a: Share, b: Share) -> Share:
    """a or b = a + b - a b."""
    return _as_bit(sub(add(a, b), bit_mul(a, b)))


def differ(a: Share, b: Share) -> Share:
    """a xor b = a + b - 2 a b."""
    product = bit_mul(a, b)
    return _as_bit(sub(add(a, b), add(product, product)))


def select(bit: Share, x: Share, y: Share) -> Share:
    """x where the bit is 1, else y."""
    return add(y, bit_mul(bit, sub(x, y))).like(x, y)


def bit_mul(bit: Share, x: Share) -> Share:
    """bit * x, at the scale of x; the bit is not opened where a comparison made it."""
    session = same_session(bit, x)
    if masked_bit(bit) is None and masked_bit(x) is not None:
        bit, x = x, bit
    made = masked_bit(bit)
    if made is None or x.public is not None or bit.public is not None:
        return shown_as(x, mul(bit, x))
    if bit.shape != x.shape:
        bit, x = expanded(bit, x)
    other = masked_bit(x)
    if other is not None:
        return _bit_times_bit(bit, made, x, other)
    dealt = session.deal("product", [_view(bit, made), *masks(x)], ["mul", tuple(x.shape)])
    m = masked(x)[0]
    plane = _plane(bit, made)
    c = m.c.contiguous()

    def finish(p: int, part: Tensor) -> Tensor:
        beta = _beta(bit, made, p)
        flat = kernels.bit_product_share(
            plane, part.contiguous().view(-1), c.view(-1), beta, dealt.part(p, 0).view(-1)
        )
        return flat.view(x.shape)

    return Share.make(session, x.each(finish), x.dtype, x.scale, x.unit, shown=x.shown)


def shown_as(x: Share, product: Share) -> Share:
    """A product with a bit, which has no digits but those of x."""
    if product.scale == x.scale:
        product.facts.shown = x.shown
    return product


def _bit_times_bit(a: Share, made_a: MaskedBit, b: Share, made_b: MaskedBit) -> Share:
    """No opening: (a^ + s_a beta_a)(b^ + s_b beta_b) with [beta_a beta_b] dealt.

    b's form serves as the masked value: c_b = b^ ... is public and s_b beta_b its mask.
    """
    session, shape = a.session, a.shape
    dealt = session.deal("product", [_view(a, made_a), _view(b, made_b)], ["mul", tuple(shape)])
    hat_a, hat_b = _bits(a, made_a), _bits(b, made_b)
    sign_a, sign_b = 1 - 2 * hat_a, 1 - 2 * hat_b

    def finish(p: int, _: Tensor) -> Tensor:
        beta_a, beta_b = _beta(a, made_a, p).view(shape), _beta(b, made_b, p).view(shape)
        out = hat_a * sign_b * beta_b + hat_b * sign_a * beta_a + sign_a * sign_b * dealt.part(p, 0)
        return out + hat_a * hat_b if p == session.first else out

    return Share.make(session, a.each(finish), torch.bool, 1, 1)


def _view(bit: Share, made: MaskedBit) -> BitView:
    part = bit.here
    request, offset = made.request, int(part.storage_offset())
    size, stride = tuple(part.shape), tuple(part.stride())
    return BitView(request, made.threshold, made.n, size, stride, offset)


def _bits(bit: Share, made: MaskedBit) -> Tensor:
    """The public bits b^ as 0/1 words, shaped as the view."""
    return bit.view_of(kernels.bit_values(made.plane, made.n))


def _plane(bit: Share, made: MaskedBit) -> Tensor:
    """The public bits of the view, packed."""
    if bit.whole and bit.here.is_contiguous():
        return made.plane
    return kernels.pack(_bits(bit, made).contiguous().view(-1))


def _beta(bit: Share, made: MaskedBit, party: int) -> Tensor:
    """A party's part of beta for the view, flat."""
    flat: Tensor = bit.view_of(made.beta[party]).contiguous().view(-1)
    return flat
