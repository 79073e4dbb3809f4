"""Scales: one for the terms of a sum, small enough ones for a product, and those of stored values.

The value of a share is its signed ring element divided by a positive integer, the scale. Going to a
finer one is local and exact; going to a coarser one is a truncation.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import torch
from torch import Tensor

from ..encoding import RANGE_BITS, describe_bound, describe_scale
from ..errors import EncodingError
from ..share import Share
from .opening import same_session
from .truncation import truncate, truncate_all

HEADROOM_BITS = 14  # values below 2^14 keep fitting while public factors pile up in the scale
GROWTH_BITS = 12  # beyond the room, on the way to another scale: values below 2^18 keep fitting
MOMENT_BITS = 42  # fractional bits of a mean of squares, which has to stay below 2^20


# Sums


def align(*shares: Share) -> list[Share]:
    """The shares at one scale: multiplied up while values below 2^18 fit, else truncated."""
    scales = {share.scale for share in shares}
    if len(scales) == 1:
        return list(shares)
    finest = max(room_of(share) for share in shares)
    growing = not any(share.fine or share.facts.filled for share in shares)
    limit = finest << (GROWTH_BITS if growing else 0)
    known = min((_public_room(s) for s in shares if s.public is not None), default=limit)
    if lcm(*scales) > min(limit, known):
        meeting = _meeting_scale(shares, finest)
        meeting = meeting if meeting <= known else max(share.unit for share in shares)
        shares = tuple(rescale(s, meeting) if meeting % s.scale else s for s in shares)
    target = lcm(*(share.scale for share in shares))
    return [rescale(share, target) for share in shares]


def _public_room(x: Share) -> int:
    """The finest scale at which a public value fits."""
    return (1 << 61) * x.scale // max(1, _largest(x.public))


def _meeting_scale(shares: Sequence[Share], finest: int) -> int:
    """`finest`, or about as fine a scale that secrets reach by powers of two where it is not.

    On the way to it no ring element grows, so squares of large gradients keep their room. Fills
    near the end of the range have no room at all to grow: their shares decide.
    """
    secret = [share for share in shares if share.public is None]
    scales = [share.scale for share in secret] or [finest]
    if not all(finest % scale == 0 or scale % finest == 0 for scale in scales):
        common = gcd(*scales)
        odd = common // (common & -common)
        finest = odd << (finest // odd).bit_length() - 1 if odd <= finest else finest
    crowded = [s.unit for s in secret if s.facts.filled and not _is_exact(s, finest)]
    return min([*crowded, finest])


def room_of(x: Share) -> int:
    """The finest scale that x keeps in sums and in place: unit^2, for means of squares 2^42."""
    return room(x.unit, x.fine)


def room(unit: int, fine: bool) -> int:
    """`room_of` what has this unit."""
    spare = MOMENT_BITS - 2 * (unit - 1).bit_length()
    return unit**2 << (max(0, spare) if fine else 0)


def growth_of(x: Share) -> int:
    """The finest scale on the way to another: values below 2^18 fit, means of squares of 2^13."""
    if x.facts.filled:  # by a fill near the end of the range
        return max(x.scale, room_of(x))
    return room_of(x) << (GROWTH_BITS - 5 if x.fine else GROWTH_BITS)


def rescale(x: Share, scale: int) -> Share:
    """The same value at exactly this scale (within 2^-13 of it, from a scale with odd factors)."""
    if x.scale == scale:
        return x
    if x.public is not None and scale % x.scale:
        return _reread(x, scale)
    raised, d = _towards(x, scale)
    return truncate(raised, d) if d > 1 else raised


def _is_exact(x: Share, scale: int) -> bool:
    """Whether x reaches a scale by whole numbers that leave room for it."""
    return lcm(x.scale, scale) <= max(x.scale, scale, growth_of(x))


def _reread(x: Share, scale: int) -> Share:
    """A public value at another scale: everybody rounds it alike."""
    facts, public = x.facts, x.public
    assert public is not None
    common = gcd(facts.scale, scale)
    whole = public.div(facts.scale // common, rounding_mode="floor")
    rest = public - whole * (facts.scale // common)
    value = whole * (scale // common) + (rest.double() * (scale / facts.scale)).round().long()
    parts = x.each(lambda p, _: value.clone() if p == x.session.first else torch.zeros_like(value))
    return Share.make(x.session, parts, x.dtype, scale, x.unit, value, fine=x.fine).like(x)


def _towards(x: Share, scale: int) -> tuple[Share, int]:
    """The same value at a multiple of this scale, and what it is to be truncated by.

    Ring elements are multiplied by no more than `growth_of` has room for; beyond that the ratio of
    the scales is rounded.
    """
    if _is_exact(x, scale):
        common = lcm(x.scale, scale)
        return at_scale(x, common // x.scale, common), common // scale
    ratio = Fraction(x.scale, scale).limit_denominator(max(1, growth_of(x) // x.scale))
    d = max(1, ratio.numerator)
    return at_scale(x, ratio.denominator, scale * d), d


def at_scale(x: Share, factor: int, scale: int) -> Share:
    """The same value with ring elements multiplied by `factor`, read at `scale`."""
    if factor == 1 and scale == x.scale:
        return x
    public = None if x.public is None else multiplied(x.public, factor)
    parts = x.each(lambda _, part: part * wrapped(factor))
    return Share.make(x.session, parts, x.dtype, scale, x.unit, public, x.shown, x.fine).like(x)


def multiplied(known: Tensor, factor: int) -> Tensor:
    """Public ring elements times an integer. Raises EncodingError where they leave the ring."""
    if factor not in (-1, 0, 1) and _largest(known) * abs(factor) > 1 << RANGE_BITS:
        raise EncodingError(
            f"a public value is out of range where it is multiplied with {factor} or meets a finer"
            f" scale: its ring elements must stay below 2**{RANGE_BITS} in size; scale it down"
        )
    return known * wrapped(factor)


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


def is_fitted(x: Share) -> bool:
    """Whether the storage that x covers was truncated for a product since its last write."""
    return FIT in _kept_with(x)


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
    if (x.public is None) != (y.public is None):
        return _beside_public(x, y, room)
    if x.scale * y.scale <= room:
        return x, y
    finer = x.scale * y.unit >= y.scale * x.unit  # x is
    one, other = (x, y) if finer else (y, x)
    if min(one.scale, one.unit) * other.scale > room:
        x, y = fit_all(x, y)
        return x, y
    return (fit(x), y) if finer else (x, fit(y))


def _beside_public(x: Share, y: Share, room: int) -> tuple[Share, Share]:
    """A secret and a public operand: the secret one is truncated if need be, then the other.

    Raises EncodingError for a public operand that leaves no room for a secret of 1.
    """
    secret, known = (x, y) if x.public is None else (y, x)
    largest = _largest(known.public)
    roomy = largest * secret.scale < 1 << RANGE_BITS  # for a secret of 1
    if largest <= 1 or (x.scale * y.scale <= room and roomy):
        return x, y
    secret = fit(secret)
    if min(known.scale, largest) * secret.scale > room:
        known = fit(known)
        largest = _largest(known.public)
    if largest * secret.scale >= 1 << RANGE_BITS:
        raise EncodingError(
            f"a secret cannot be multiplied with {largest / known.scale:.6g}, the largest number of"
            f" a plain tensor; with {describe_scale(secret.scale)} it must be below"
            f" {describe_bound(secret.scale)}"
        )
    return (secret, known) if x.public is None else (known, secret)


def _largest(raw: Tensor | None) -> int:
    """The largest magnitude among ring elements."""
    if raw is None or raw.numel() == 0:
        return 0
    low, high = torch.aminmax(raw)
    return max(-int(low), int(high))


def with_headroom(x: Share) -> Share:
    """x, truncated where its scale leaves no headroom for what comes next."""
    facts = x.facts
    crowded = facts.scale > facts.unit**2 << HEADROOM_BITS + 2
    return rescale(x, resting(x)) if crowded else x


def resting(x: Share, unit: int = 1) -> int:
    """The finest scale at which x may rest: that of its room, unless a fill would grow on the way.

    unit: of where it rests.
    """
    room = max(unit**2, room_of(x))
    if x.scale > room and x.facts.filled and not _is_exact(x, room):
        return x.unit
    return min(x.scale, room)


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
        scale = max(resting(value, target.unit), target.unit)
        target.write(rescale(value, scale), scale)
        return
    if target.scale < target.unit:  # a public constant of few bits: make room in all of it
        base = target.base()
        base.write(rescale(base, target.unit), target.unit)
    target.write(rescale(value, target.scale))
