"""Products of ring elements without scales: the normalisations work on bare 64-bit words.

A word share has scale 1 and unit 1, so nothing truncates it behind our back. Sources: [Bea91] for
the product; the truncation by opening of [DEK20] for the shifted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ... import kernels
from ...session import Session
from ...share import Part, Share
from ..linear import session_parts
from ..opening import masked, masks, same_session
from ..truncation import divide_by_opening

OFFSET = 1 << 62


def words(session: Session, parts: Sequence[Part], public: Tensor | None = None) -> Share:
    """A share of ring elements from fresh parts."""
    return Share.make(session, parts, torch.int64, 1, 1, public)


def public_words(session: Session, value: Tensor) -> Share:
    """Ring elements that everybody knows."""
    return words(session, session_parts(session, value), value)


def plus(x: Share, y: Share) -> Share:
    """x + y."""
    public = None if x.public is None or y.public is None else x.public + y.public
    return words(x.session, x.each(lambda p, part: part + y.parts[p]), public)


def scaled_as(
    x: Share,
    shape: torch.Size,
    scale: int,
    unit: int,
    dtype: torch.dtype,
    shown: float | None = None,
) -> Share:
    """Flat words as numbers: shaped, at this scale. shown: as for `Share.make`."""
    parts = x.each(lambda _, part: part.view(shape))
    return Share.make(x.session, parts, dtype, scale, unit, shown=shown)


def open_words(*shares: Share) -> None:
    """Open the masked forms of secret words in one round."""
    secret = [share for share in shares if share.public is None]
    if secret:
        masked(*secret)


def product(x: Share, y: Share) -> Share:
    """x * y modulo 2^64, of one shape (views may be expanded); 1 round unless both are open.

    64 bits dealt an element. Public operands make it local.
    """
    session = same_session(x, y)
    if x.public is not None:
        x, y = y, x
    known = y.public
    if known is not None:
        both = None if x.public is None else x.public * known
        return words(session, x.each(lambda _, part: part * known), both)
    dealt = session.deal("product", masks(x, y), ["mul", tuple(x.shape)])
    mx, my = masked(x, y)
    cx, cy = mx.c.contiguous(), my.c.contiguous()

    def finish(p: int, _: Tensor) -> Tensor:
        own, r = y.parts[p].contiguous(), mx.mask_part(p).contiguous()
        return kernels.product_share(cx, own, r, cy, dealt.part(p, 0))

    return words(session, x.each(finish))


def shifted_product(z: Share, shift: int, y: Share) -> Share:
    """(z / 2^shift) * y in one round: the opening of z serves its truncation and the product.

    |z| < 2^62; z may have size 1 where y has more. With c = z + r, C = (c + 2^62) / 2^shift and
    m = its msb, z / 2^shift is C - V_m for dealt V_0, V_1, so
        [out] = C [y] - [V_m] c_y + [V_m r_y].
    128 bits dealt an element of z and of y; 64 sent for each that is new. Errors of z / 2^shift: 0
    or +1 unit, unbiased, as in every truncation.
    """
    session = same_session(z, y)
    dealt = session.deal("shifted_product", masks(z, y), [shift])
    mz, my = masked(z, y)
    raised = mz.c + OFFSET
    upper = raised < 0
    kept = ((raised >> shift) & ((1 << (64 - shift)) - 1)) - (1 << (62 - shift))

    def finish(p: int, own: Tensor) -> Tensor:
        lost, lost_r = (_chosen(upper, dealt.part(p, i)) for i in (0, 1))
        return kept * own - lost * my.c + lost_r

    return words(session, y.each(finish))


def shifted(x: Share, shift: int) -> Share:
    """x / 2^shift as words, by opening: local where x is open or public, else 1 round."""
    if shift == 0:
        return x
    if x.public is not None:
        return public_words(x.session, x.public >> shift)
    (parts,) = divide_by_opening([(x, 1 << shift)])
    return words(x.session, x.each(lambda p, _: parts[p].view(x.shape)))


def _chosen(upper: Tensor, pair: Tensor) -> Tensor:
    return torch.where(upper, pair[1], pair[0])


def at_parties(like: Share, fn: Callable[[int], Tensor]) -> Share:
    """Words that each party that lives here computes for itself."""
    return words(like.session, like.each(lambda p, _: fn(p)))
