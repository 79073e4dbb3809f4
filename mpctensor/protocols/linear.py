"""Constants, and sums of secrets: local operations. Nothing is sent, unless scales have to meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import frexp

import torch
from torch import Tensor

from ..encoding import RANGE_BITS, encode
from ..session import Session
from ..share import ABSENT, Part, Share
from .opening import same_session
from .scales import align, rescale

SMALL_BITS = 8  # a public summand of fewer bits than this asks for a finer scale
SCALE_BITS = 61  # no product has a finer scale


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

    The room is unit^2 for what lies below 2^(62-2f), and less for larger factors. A factor below 1
    counts as 1 there: it gets as many significant bits as the unit has, however small it is.
    Integers are exact at scale 1.
    """
    if value.numel() == 0:
        return 1
    finite = value.detach().to(torch.float64)
    finite = finite[finite.isfinite()]
    top = finite.abs().max().item() if finite.numel() else 0.0
    if top == 0.0:
        return 1
    bits, size = unit.bit_length() - 1, frexp(top)[1]
    if size > RANGE_BITS - bits:
        return 1 << bits  # which has no room for it, as `encode` says
    if bool((finite == finite.round()).all()):
        return 1
    significant = bits - size  # digits after the point where top has `bits` bits
    spare = min(bits, (unit**2 // beside).bit_length() - 1, RANGE_BITS - bits - size)
    spare = spare if top >= 1 else 0
    return 1 << max(0, min(max(significant, spare), SCALE_BITS - bits))


# Sums


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
    return Share.make(session, parts, dtype, fx.scale, unit, public, shown, fine).like(x, y)


def add(x: Share, y: Share) -> Share:
    """x + y, broadcasting."""
    return _joined(x, y, torch.add)


def sub(x: Share, y: Share) -> Share:
    """x - y, broadcasting."""
    return _joined(x, y, torch.sub)


def neg(x: Share) -> Share:
    return x.map(torch.neg)


def add_scalar(x: Share, number: float, finer: bool = True, negated: bool = False) -> Share:
    """x + a public number, or the number - x.

    finer: a small number (an eps of 1e-8) makes the sum finer, so that it does not vanish.
    """
    facts, whole = x.facts, isinstance(number, int)
    dtype = x.dtype if whole or x.dtype.is_floating_point else torch.float32
    unit = facts.unit if facts.unit > 1 or whole else x.session.unit
    scale = max(facts.scale, unit)
    if finer and 0 < abs(number) * scale < 1 << SMALL_BITS:
        scale = max(scale, unit**2)
    raw = round(number * scale) if abs(number) * scale < 1 << RANGE_BITS - 1 else None
    if raw is None or scale % facts.scale:
        value = torch.tensor(number, dtype=torch.int64 if whole else torch.float64)
        term = constant(x.session, value, scale, unit=unit, saturate=True)
        return _joined(term, x, torch.sub, dtype) if negated else _joined(x, term, torch.add, dtype)
    if scale != facts.scale:
        x = rescale(x, scale)
        facts = x.facts
    fn, first = torch.rsub if negated else torch.add, x.session.first
    parts = x.each(lambda p, part: fn(part, raw if p == first else 0))
    public = None if facts.public is None else fn(x.view_of(facts.public), raw)
    unit = max(facts.unit, unit)
    return Share.make(x.session, parts, dtype, scale, unit, public, facts.shown, facts.fine).like(x)


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
