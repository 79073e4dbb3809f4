"""Local operations: constants, sums, and the algebra of scales. Nothing is sent.

The value of a share is its signed ring element divided by a positive integer, the scale. Public
factors are kept exact by changing the scale (x / 3 is x at three times the scale) for as long as
the ring has room, so that one truncation settles many factors at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import frexp, gcd, inf, lcm
from typing import Any

import torch
from torch import Tensor

from ..encoding import RANGE_BITS, describe_bound, describe_scale, encode
from ..errors import EncodingError
from ..session import Session
from ..share import ABSENT, Part, Share
from .opening import same_session
from .truncation import truncate, truncate_all

HEADROOM_BITS = 14  # values below 2^14 keep fitting while public factors pile up in the scale
MANTISSA_BITS = 16  # significant bits of a public factor that is no short fraction
SHORT_BITS = 20  # of the numerator of a short fraction, which is exact
RATIO_BITS = 16  # by which ring elements may grow on the way to another scale
SMALL_BITS = 8  # a public summand of fewer bits than this asks for a finer scale
SCALE_BITS = 61  # no product has a finer scale
MOMENT_BITS = 42  # fractional bits of a mean of squares, which has to stay below 2^20


def constant(
    session: Session,
    value: Tensor,
    scale: int | None = None,
    *,
    unit: int | None = None,
    beside: int | None = None,
    saturate: bool = False,
) -> Share:
    """A public value as a share: the first party holds it, the others hold zeros.

    scale: of the encoding; None picks as many bits as a following product has room for (integers
    stay integers). unit: working scale of what comes of it; the session's for floats, 1 for
    integers and bools. beside: the scale of what it will be multiplied with; the unit by default.
    saturate: infinities mean the largest number.
    """
    floating = value.dtype.is_floating_point
    if unit is None:
        unit = session.unit if floating else 1
    if scale is None:
        scale = _scale_for_products(value, unit, beside or unit) if floating else 1
    raw = encode(value, scale, saturate)
    parts = session_parts(session, raw)
    return Share.make(session, parts, value.dtype, scale, unit, raw)


def session_parts(session: Session, raw: Tensor) -> tuple[Part, ...]:
    """Parts of a public value: the first party has it, the others have zeros."""
    parts: list[Part] = [ABSENT] * session.n
    for p in session.local:
        parts[p] = raw.clone() if p == session.first else torch.zeros_like(raw)
    return tuple(parts)


def _scale_for_products(value: Tensor, unit: int, beside: int) -> int:
    """The power of two at which a float factor keeps as many bits as its product has room for.

    The room is unit^2 for what lies below 2^(62-2f). A factor below 1 counts as 1 there: it gets as
    many significant bits as the unit has, however small it is. Integers are exact at scale 1.
    """
    if value.numel() == 0:
        return 1
    finite = value.detach().to(torch.float64)
    finite = finite[finite.isfinite()]
    top = finite.abs().max().item() if finite.numel() else 0.0
    if top == 0.0:
        return 1
    if top < 1 << 30 and bool((finite == finite.round()).all()):
        return 1
    bits = unit.bit_length() - 1
    significant = bits - frexp(top)[1]  # digits after the point where top has `bits` bits
    spare = min(bits, (unit**2 // beside).bit_length() - 1) if top >= 1 else 0
    return 1 << max(0, min(max(significant, spare), SCALE_BITS - bits))


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
        return _at_scale(x, ratio, scale << shift), 1 << shift
    return _at_scale(x, common // x.scale, common), common // scale


def _at_scale(x: Share, factor: int, scale: int) -> Share:
    """The same value with ring elements multiplied by `factor`, read at `scale`."""
    if factor == 1 and scale == x.scale:
        return x
    parts = x.each(lambda _, part: part * _wrapped(factor))
    public = None if x.public is None else x.public * _wrapped(factor)
    return Share.make(x.session, parts, x.dtype, scale, x.unit, public, x.shown, x.fine).like(x)


def _wrapped(factor: int) -> int:
    """An integer as the signed 64-bit number that torch accepts."""
    return (factor + (1 << 63)) % (1 << 64) - (1 << 63)


def _joined(
    x: Share, y: Share, fn: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype | None = None
) -> Share:
    """A linear function of two shares, part by part."""
    session = same_session(x, y)
    dtype = dtype or torch.promote_types(x.dtype, y.dtype)
    fx, fy = x.facts, y.facts
    if fx.scale != fy.scale:
        x, y = align(x, y)
        fx, fy = x.facts, y.facts
    parts = x.each(lambda p, part: fn(part, y.parts[p]))
    public = None
    if fx.public is not None and fy.public is not None:
        public = fn(x.view_of(fx.public), y.view_of(fy.public))
    shown, fine = min(fx.shown, fy.shown), fx.fine or fy.fine
    unit = max(fx.unit, fy.unit)
    made = Share.make(session, parts, dtype, fx.scale, unit, public, shown, fine)
    made.facts.filled = fx.filled or fy.filled
    return made


def add(x: Share, y: Share) -> Share:
    """x + y, broadcasting."""
    return _joined(x, y, torch.add)


def sub(x: Share, y: Share) -> Share:
    """x - y, broadcasting."""
    return _joined(x, y, torch.sub)


def neg(x: Share) -> Share:
    return x.map(torch.neg)


def add_scalar(x: Share, number: float) -> Share:
    """x + a public number; a small one (an eps of 1e-8) makes the sum finer, it does not vanish."""
    whole = isinstance(number, int)
    dtype = x.dtype if whole or x.dtype.is_floating_point else torch.float32
    unit = x.unit if x.unit > 1 or whole else x.session.unit
    scale = max(x.scale, unit)
    if 0 < abs(number) * scale < 1 << SMALL_BITS:
        scale = max(scale, unit**2)
    value = torch.tensor(number, dtype=torch.int64 if whole else torch.float64)
    term = constant(x.session, value, scale, unit=unit, saturate=True)
    return _joined(x, term, torch.add, dtype)


def relabelled(x: Share, dtype: torch.dtype, unit: int) -> Share:
    """The same value on storage of its own, as another dtype and with another working scale."""
    parts = x.each(lambda _, part: part.clone())
    return Share.make(x.session, parts, dtype, x.scale, unit, x.public, x.shown)


def concatenate(fn: Callable[[Sequence[Tensor]], Tensor], shares: Sequence[Share]) -> Share:
    """cat, stack and their kin: one structural function of several shares."""
    session = same_session(*shares)
    dtype = shares[0].dtype
    for share in shares[1:]:
        dtype = torch.promote_types(dtype, share.dtype)
    aligned = align(*shares)
    parts = aligned[0].each(lambda p, _: fn([share.parts[p] for share in aligned]))
    publics = [share.public for share in aligned]
    public = None if any(v is None for v in publics) else fn([v for v in publics if v is not None])
    unit, shown = max(s.unit for s in aligned), min(s.shown for s in aligned)
    fine = any(s.fine for s in aligned)
    scale = aligned[0].scale
    return Share.make(session, parts, dtype, scale, unit, public, shown, fine).like(*shares)


def total(x: Share, dims: Sequence[int] | None = None, keepdim: bool = False) -> Share:
    """Sum over dims (None: all)."""
    every = list(range(x.here.dim())) if dims is None else list(dims)
    dtype = torch.int64 if x.dtype == torch.bool else x.dtype
    if not every:
        return x.clone()
    return x.map(lambda part: part.sum(every, keepdim=keepdim), dtype)


# Public factors


def scaled(x: Share, factor: float | Fraction) -> Share:
    """x times a public number, exactly where the number is a short fraction, without a round.

    The scale takes the denominator; once it outgrows the ring's room it is truncated (1 round).
    Raises EncodingError for a factor that leaves no room for any value but 0.
    """
    if x.facts.filled:
        return _with_fills(x, factor)
    exact = rationalise(factor, MANTISSA_BITS, SHORT_BITS)
    common = _cancelling(x, exact)
    crowded = abs(exact.numerator) // common * x.scale > 1 << RANGE_BITS - HEADROOM_BITS
    if x.fine or crowded:
        kept = _at_its_scale(x, factor)
        if kept is not None:
            return kept
    if crowded:
        x, exact = _making_room(x, factor)
        common = _cancelling(x, exact)
    if exact.denominator > 1 << RANGE_BITS:  # finer than anything that the ring can hold
        exact = Fraction(0)
    dtype, unit = x.dtype, x.unit
    if not isinstance(factor, int):
        dtype = torch.promote_types(dtype, torch.float32) if not dtype.is_floating_point else dtype
        unit = max(unit, x.session.unit if unit == 1 else 1)
    if exact == 1:
        return Share(x.session, x.map(lambda part: part.clone()).parts, dtype)
    scale = x.scale // common * exact.denominator
    numerator = _wrapped(exact.numerator // common)
    parts = x.each(lambda _, part: part * numerator)
    public = None if x.public is None else x.public * numerator
    shown = _shown_after(x, exact, unit)
    return with_headroom(Share.make(x.session, parts, dtype, scale, unit, public, shown, x.fine))


def _with_fills(x: Share, factor: float | Fraction) -> Share:
    """x times a factor where some of x may be a fill near the end of the range.

    Factors do not pile up there: x is truncated before, and the product at once.
    """
    x = fit(x)
    exact = rationalise(factor, MANTISSA_BITS)
    scale = x.scale * exact.denominator
    return fit(_at_scale(x, exact.numerator, scale))


def _at_its_scale(x: Share, factor: float | Fraction) -> Share | None:
    """x times a factor from 1/2 to 1, such as a decay: x minus a small part of it (1 round).

    The ring elements never grow, and 1 - 1e-5 keeps all its digits. A mean of squares may have any
    larger factor: its scale becomes coarser by as much, and so does its last place. Else None.
    """
    exact = Fraction(repr(factor)) if isinstance(factor, float) else Fraction(factor)
    bits = RANGE_BITS - HEADROOM_BITS - x.scale.bit_length() + 1
    if Fraction(1, 2) < exact < 1 and bits >= 2:
        rest = rationalise(1 - exact, bits)
        if rest.denominator > 1 << RANGE_BITS - HEADROOM_BITS:
            return None
        return sub(x, rescale(_at_scale(x, rest.numerator, x.scale * rest.denominator), x.scale))
    if exact <= 1 or not x.fine or x.scale < exact * x.unit:
        return None
    parts, scale = x.each(lambda _, part: part.clone()), round(x.scale / exact)
    shown = _shown_after(x, exact, x.unit)
    return Share.make(x.session, parts, x.dtype, scale, x.unit, x.public, shown, fine=True)


def _cancelling(x: Share, factor: Fraction) -> int:
    """What the scale beyond the unit and the factor have in common: x / 3 * 3 is x again."""
    spare, odd = divmod(x.scale, x.unit)
    return 1 if odd or factor == 0 else gcd(spare, factor.numerator)


def _making_room(x: Share, factor: float | Fraction) -> tuple[Share, Fraction]:
    """x truncated for a factor that leaves no headroom, and the factor with as many bits as fit."""
    exact = rationalise(factor, _mantissa_bits(x))
    for scale in (x.unit**2, x.unit):
        if x.scale > scale and abs(exact.numerator) * x.scale > 1 << RANGE_BITS - HEADROOM_BITS:
            x = fit(x) if scale == x.unit else rescale(x, scale)
            exact = rationalise(factor, _mantissa_bits(x))
    if abs(exact.numerator) * x.scale >= 1 << RANGE_BITS:
        unit = max(x.unit, x.session.unit if x.dtype.is_floating_point else 1)
        raise EncodingError(
            f"a secret cannot be multiplied with {float(factor):.6g}; with {describe_scale(unit)}"
            f" a factor must be below {describe_bound(unit)}"
        )
    return x, exact


def _shown_after(x: Share, factor: Fraction, unit: int) -> float:
    """What may be shown of x times a public factor: the digits that could be shown of x."""
    if x.shown == inf or factor == 0:
        return inf
    return max(unit, int(x.shown) * factor.denominator // abs(factor.numerator))


def _mantissa_bits(x: Share) -> int:
    """Significant bits for a public factor: what is left beside the value and its scale."""
    return min(MANTISSA_BITS, max(12, 62 - HEADROOM_BITS - x.scale.bit_length() + 1))


@lru_cache(maxsize=4096, typed=True)
def rationalise(factor: float | Fraction, bits: int, short: int = 0) -> Fraction:
    """A fraction with a numerator of at most `bits` bits: exact for short decimals and ratios.

    short: numerators of so many bits are short, if that is more than `bits`.
    """
    short = max(bits, short)
    if isinstance(factor, (int, Fraction)):
        exact = Fraction(factor)
        if isinstance(factor, int) or _short(exact, short):
            return exact
    else:
        for exact in (Fraction(repr(factor)), Fraction(factor).limit_denominator(10**6)):
            if float(exact) == factor and _short(exact, short):
                return exact
    if factor == 0:
        return Fraction(0)
    shift = bits - frexp(float(factor))[1]
    power = Fraction(2) ** shift
    return Fraction(round(Fraction(factor) * power)) / power


def _short(exact: Fraction, bits: int) -> bool:
    return abs(exact.numerator) < 1 << bits and exact.denominator < 1 << 40


# Room for products


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
    crowded = x.scale > x.unit**2 << HEADROOM_BITS + 2
    return rescale(x, room_of(x)) if crowded else x


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
