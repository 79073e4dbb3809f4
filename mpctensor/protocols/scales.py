"""Scales: one for the terms of a sum, small enough ones for a product, and those of stored values.

The value of a share is its signed ring element divided by a positive integer, the scale. Going to a
finer one is local and exact; going to a coarser one is a truncation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, lcm
from typing import Any

import torch
from torch import Tensor

from ..share import Share
from .opening import same_session
from .truncation import truncate, truncate_all

HEADROOM_BITS = 14  # values below 2^14 keep fitting while public factors pile up in the scale
RATIO_BITS = 16  # by which ring elements may grow on the way to another scale
MOMENT_BITS = 42  # fractional bits of a mean of squares, which has to stay below 2^20


# Sums


def align(*shares: Share) -> list[Share]:
    """The shares at one scale, the finest that fits: multiplied up, or truncated if need be."""
    scales = {share.scale for share in shares}
    if len(scales) == 1:
        return list(shares)
    finest = max(room_of(share) for share in shares)
    if lcm(*scales) > finest:
        meeting = _meeting_scale(shares, finest)
        shares = tuple(rescale(s, meeting) if meeting % s.scale else s for s in shares)
    target = lcm(*(share.scale for share in shares))
    return [rescale(share, target) for share in shares]


def _meeting_scale(shares: Sequence[Share], finest: int) -> int:
    """`finest`, or about as fine a scale that secrets reach by powers of two where it is not.

    On the way to it no ring element grows, so squares of large gradients keep their room.
    """
    scales = [share.scale for share in shares if share.public is None] or [finest]
    if all(finest % scale == 0 or scale % finest == 0 for scale in scales):
        return finest
    common = gcd(*scales)
    odd = common // (common & -common)
    return odd << (finest // odd).bit_length() - 1 if odd <= finest else finest


def room_of(x: Share) -> int:
    """The finest scale that x keeps in sums and in place: unit^2, for means of squares 2^42."""
    return room(x.unit, x.fine)


def room(unit: int, fine: bool) -> int:
    """`room_of` what has this unit."""
    spare = MOMENT_BITS - 2 * (unit - 1).bit_length()
    return unit**2 << (max(0, spare) if fine else 0)


def rescale(x: Share, scale: int) -> Share:
    """The same value at exactly this scale (within 2^-16 of it, from a scale with odd factors)."""
    if x.scale == scale:
        return x
    raised, d = _towards(x, scale)
    return truncate(raised, d) if d > 1 else raised


def _towards(x: Share, scale: int) -> tuple[Share, int]:
    """The same value at a multiple of this scale, and what it is to be truncated by."""
    common = lcm(x.scale, scale)
    if min(common // x.scale, common // scale) > 1 << RATIO_BITS:
        shift = max(1, RATIO_BITS + x.scale.bit_length() - scale.bit_length())
        ratio = ((scale << shift) + x.scale // 2) // x.scale
        return at_scale(x, ratio, scale << shift), 1 << shift
    return at_scale(x, common // x.scale, common), common // scale


def at_scale(x: Share, factor: int, scale: int) -> Share:
    """The same value with ring elements multiplied by `factor`, read at `scale`."""
    if factor == 1 and scale == x.scale:
        return x
    parts = x.each(lambda _, part: part * wrapped(factor))
    public = None if x.public is None else x.public * wrapped(factor)
    return Share.make(x.session, parts, x.dtype, scale, x.unit, public, x.shown, x.fine).like(x)


def wrapped(number: int) -> int:
    """An integer as the signed 64-bit number that torch accepts."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


# Products


def fit(x: Share) -> Share:
    """x at a scale of at most its unit, ready for a product; truncated once a value, then cached.

    A view that shows its whole storage finds the truncated storage again (a transposed weight, a
    saved activation).
    """
    return fit_all(x)[0]


def fit_all(*shares: Share) -> list[Share]:
    """`fit` for each, in one round for all."""
    waiting = {_place(x): x for x in shares if x.scale > x.unit and FIT not in _kept_with(x)}
    jobs = [_towards(x.base() if _covers(x) else x, x.unit) for x in waiting.values()]
    done = dict(zip(waiting, truncate_all(jobs) if jobs else [], strict=True))
    for place, x in waiting.items():
        _kept_with(x)[FIT] = done[place]
    return [x if x.scale <= x.unit else _fitted(x, done) for x in shares]


FIT = "fit"


def _covers(x: Share) -> bool:
    """Whether a view shows its whole storage."""
    return x.storage_numel <= x.here.numel()


def _place(x: Share) -> int:
    """What all views that cover a storage have in common; any other view's own."""
    return id(x.facts) if _covers(x) else id(x)


def _kept_with(x: Share) -> dict[str, Any]:
    """What is known of a storage that x covers."""
    return x.facts.derived if _covers(x) else {}


def _fitted(x: Share, done: dict[int, Share]) -> Share:
    """The truncated form of x: of its own, or a view of its storage's."""
    if not _covers(x):
        return done[id(x)]
    flat: Share = x.facts.derived[FIT]
    return Share(x.session, flat.map(x.view_of).parts, x.dtype)


def product_operands(x: Share, y: Share) -> tuple[Share, Share]:
    """x and y truncated as far as their product needs: its scale stays within unit^2.

    A public factor may be finer than that, for as long as its ring elements are small.
    """
    room = max(x.unit, y.unit) ** 2
    if x.scale * y.scale <= room:
        return x, y
    if any(s.public is not None and _largest(s.public) <= 1 for s in (x, y)):  # a mask
        return x, y
    if (x.public is None) != (y.public is None):
        return _beside_public(x, y, room)
    finer = x.scale * y.unit >= y.scale * x.unit  # x is
    one, other = (x, y) if finer else (y, x)
    if min(one.scale, one.unit) * other.scale > room:
        x, y = fit_all(x, y)
        return x, y
    return (fit(x), y) if finer else (x, fit(y))


def _beside_public(x: Share, y: Share, room: int) -> tuple[Share, Share]:
    """A secret and a public operand: the secret one is truncated if need be, then the other."""
    known = x.public if y.public is None else y.public
    assert known is not None
    largest = _largest(known)
    x, y = (fit(s) if s.public is None else s for s in (x, y))
    scale, other = (x.scale, y.scale) if y.public is None else (y.scale, x.scale)
    if min(scale, largest) * other > room:
        x, y = fit(x), fit(y)
    return x, y


def _largest(raw: Tensor) -> int:
    """The largest magnitude among ring elements."""
    if raw.numel() == 0:
        return 0
    low, high = torch.aminmax(raw)
    return max(-int(low), int(high))


def with_headroom(x: Share) -> Share:
    """x, truncated where its scale leaves no headroom for what comes next."""
    facts = x.facts
    crowded = facts.scale > facts.unit**2 << HEADROOM_BITS + 2
    return rescale(x, room_of(x)) if crowded else x


# Writes


def store(target: Share, value: Share) -> None:
    """Write a value in place: at the value's own scale where the target may adopt it.

    A target that covers its whole storage takes anything between its unit and unit^2 (means of
    squares: 2^42), so that small updates survive and nothing grows out of the ring; any other
    target gets the value at the scale that it has.
    """
    same_session(target, value)
    if value.shape != target.shape:
        shape = target.shape
        value = value.map(lambda part: part.expand(shape))
    if target.whole:
        scale = min(max(value.scale, target.unit), max(target.unit**2, room_of(value)))
        target.write(rescale(value, scale), scale)
        return
    if target.scale < target.unit:  # a public constant of few bits: make room in all of it
        base = target.base()
        base.write(rescale(base, target.unit), target.unit)
    target.write(rescale(value, target.scale))
