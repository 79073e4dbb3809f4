"""Making a value itself public, which is what decrypt does.

A product of secrets keeps the scales of both factors until somebody needs the room, and its exact
digits can be factored. So they are cut off before anything is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from ..encoding import decode
from ..share import Share
from ..transport import Opening
from .opening import same_session
from .scales import fit, rescale

SETTLED = "settled"  # kept with a value: what decrypting it shows


def settled(x: Share) -> Share:
    """x without the digits that must not be opened (see `Facts.shown`).

    Truncated in one step, once for each storage: a second look, at this view or another, shows the
    same digits, so that nothing can be averaged out. 1 round, 1 bit an element with two parties
    (truncation.py) where digits are cut; else x itself.
    """
    if x.scale <= x.shown:
        return x
    flat = _settled_storage(x.base(), _scale_to_show(x))
    return Share(x.session, flat.map(x.view_of).parts, x.dtype)


def _settled_storage(flat: Share, scale: int) -> Share:
    """A whole storage truncated to this scale: as a product has it already, where that is so."""
    if scale == flat.unit:
        return fit(flat)
    kept = flat.facts.derived
    if SETTLED not in kept:
        kept[SETTLED] = rescale(flat, scale)
    out: Share = kept[SETTLED]
    return out


def _scale_to_show(x: Share) -> int:
    """The scale that a power of two leaves, at most what may be shown; else the unit."""
    cut = 1 << (ceil(x.scale / x.shown) - 1).bit_length()
    return x.unit if x.scale % cut else max(x.unit, x.scale // cut)


def reveal(share: Share, receivers: Sequence[int] | None = None) -> Tensor | None:
    """The ring elements, unmasked.

    receivers: only these parties learn them; None where none of them lives in this process.
    1 round, 64 bits an element. Reveals the elements to their last digit: `settled` comes first
    where they are not meant to be exact.
    """
    session = same_session(share)
    session.transport.agree("reveal", share.scale, share.facts.origin, share.place, receivers)
    if share.public is not None:
        told = receivers is None or any(p in receivers for p in session.local)
        return share.public.clone() if told else None
    messages = share.each(lambda _, part: part.clone(memory_format=torch.contiguous_format))
    opening = Opening(messages, "add", 64 * share.here.numel())
    if receivers is None:
        return session.transport.open([opening])[0]
    return session.transport.gather(opening, receivers)


def reveal_value(
    share: Share, receivers: Sequence[int] | None = None, *, exact: bool = False
) -> Tensor | None:
    """The value in the share's plain dtype. 1 round, or 2 where a product is truncated first.

    Reveals the value at the scale of `settled` and nothing else of the parties' inputs, but for the
    rounding of its truncations. exact: every digit there is; for squares, which an optimizer needs.
    """
    same_session(share)
    if not exact:
        share = settled(share)
    raw = reveal(share, receivers)
    return None if raw is None else decode(raw, share.scale, share.dtype)
