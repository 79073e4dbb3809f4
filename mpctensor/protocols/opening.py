"""Masked openings, once per value: c = x + r becomes public and serves every later use of x.

r = sum of the parties' PRG outputs, keyed by a mask id that is taken at the first opening after a
write. One form only: c = x + r, never with another sign, scale or offset. A view of an opened value
is a view of the same c and the same r, so only positions that were never opened are sent.
1 round, 64 bits sent per new element; nothing is dealt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import kernels
from ..errors import SessionError
from ..provider import MaskView
from ..session import Session
from ..share import Facts, Share, flat_storage
from ..transport import Opening


@dataclass(frozen=True, slots=True)
class Masked:
    """A share together with its public masked form c = x + r, both shaped as the share's view."""

    share: Share
    c: Tensor
    mask: MaskView

    def mask_part(self, party: int) -> Tensor:
        """Party p's part of r, shaped as the view."""
        return self.share.session.party(party).mask_view(self.mask)

    def mask_source(self, party: int) -> kernels.Source:
        """Where a kernel finds party p's part of r; the view is flat."""
        return self.share.session.party(party).mask_source(self.mask)


def masks(*shares: Share) -> list[MaskView]:
    """Under what `masked` opens these shares, or has opened them.

    Asked for first, so that the provider deals while the parties open.
    """
    for share in shares:
        if share.here.numel():
            _begun(share)
    return [_mask_view(share) for share in shares]


def masked(*shares: Share) -> list[Masked]:
    """Open the masked form of every share, in one round; free where it is known already."""
    session = same_session(*shares)
    batch: list[Opening] = []
    finish: list[Callable[[Tensor], None]] = []
    try:
        for share in shares:
            request = _missing(share)
            if request is not None:
                positions, facts = request
                batch.append(_message(share, facts, positions))
                finish.append(_note(share, facts, positions))
        values = session.transport.open(batch) if batch else []
        for note, value in zip(finish, values, strict=True):
            note(value)
    except BaseException:  # Ctrl-C too: what was marked as known never arrived
        for share in shares:
            share.facts.forget_opening()
        raise
    return [_masked_view(share) for share in shares]


def is_open(share: Share) -> bool:
    """Whether the masked form of every element of this storage is public already."""
    return share.facts.known is True


def same_session(*shares: Share) -> Session:
    """The one session of all shares; SessionError where there are two, or it is closed."""
    from_first = shares[0].session
    for share in shares[1:]:
        if share.session is not from_first:
            raise SessionError(
                f"tensors of two sessions meet: {from_first!r} and {share.session!r};"
                " decrypt one of them and encrypt it again in the other's session"
            )
    from_first.check_open()
    return from_first


# Positions of a storage: a contiguous range, or a flat index tensor.
Positions = tuple[int, int] | Tensor


def _missing(share: Share) -> tuple[Positions, Facts] | None:
    """Which positions of the view still have to be opened; marks them as known."""
    facts, n = share.facts, share.storage_numel
    if facts.known is True or share.here.numel() == 0:
        return None
    _begun(share)
    positions = _positions(share, n)
    if positions == (0, n) and facts.known is False:
        facts.known = True
        return positions, facts
    if facts.known is False:
        facts.known = torch.zeros(n, dtype=torch.bool)
    assert isinstance(facts.known, Tensor)
    if isinstance(positions, tuple):
        start, count = positions
        window = facts.known[start : start + count]
        if bool(window.all()):
            return None
        if bool(window.any()):
            positions = start + (~window).nonzero().view(-1)
    else:
        positions = positions[~facts.known[positions]]
        if positions.numel() == 0:
            return None
    _mark(facts, positions)
    return positions, facts


def _begun(share: Share) -> Facts:
    """The storage's facts, with a mask and room for what is opened under it."""
    facts = share.facts
    if facts.mask is None:
        facts.mask = share.session.next_mask()
        facts.opened = torch.empty(share.storage_numel, dtype=torch.int64)
    return facts


def _positions(share: Share, n: int) -> Positions:
    part = share.here
    if share.whole:
        return (0, n)
    if part.is_contiguous():
        return (int(part.storage_offset()), part.numel())
    touched = torch.zeros(n, dtype=torch.bool)
    share.view_of(touched).fill_(True)
    if bool(touched.all()):
        return (0, n)
    return touched.nonzero().view(-1)


def _mark(facts: Facts, positions: Positions) -> None:
    known = facts.known
    assert isinstance(known, Tensor)
    if isinstance(positions, tuple):
        known[positions[0] : positions[0] + positions[1]] = True
    else:
        known[positions] = True
    if bool(known.all()):
        facts.known = True


def _message(share: Share, facts: Facts, positions: Positions) -> Opening:
    """What each party sends: x + r at the positions."""
    session = share.session
    mask_id = facts.mask
    assert mask_id is not None

    def message(p: int, part: Tensor) -> Tensor:
        flat = flat_storage(part)
        if isinstance(positions, tuple):
            start, count = positions
            return session.party(p).mask(flat[start : start + count], mask_id, start, count)
        low, high = int(positions[0]), int(positions[-1]) + 1
        r = session.party(p).mask(None, mask_id, low, high - low)
        return flat[positions] + r[positions - low]

    count = positions[1] if isinstance(positions, tuple) else positions.numel()
    return Opening(share.each(message), "add", 64 * count)


def _note(share: Share, facts: Facts, positions: Positions) -> Callable[[Tensor], None]:
    def note(value: Tensor) -> None:
        if isinstance(positions, tuple) and positions == (0, share.storage_numel):
            facts.opened = value
            return
        assert facts.opened is not None
        if isinstance(positions, tuple):
            facts.opened[positions[0] : positions[0] + positions[1]] = value
        else:
            facts.opened[positions] = value

    return note


def _masked_view(share: Share) -> Masked:
    if share.here.numel() == 0:
        return Masked(share, torch.empty(share.shape, dtype=torch.int64), _mask_view(share))
    opened = share.facts.opened
    assert opened is not None
    return Masked(share, share.view_of(opened), _mask_view(share))


def _mask_view(share: Share) -> MaskView:
    part = share.here
    size, stride = tuple(part.shape), tuple(part.stride())
    if part.numel() == 0:
        return MaskView(0, 0, size, stride, 0)
    mask = share.facts.mask
    assert mask is not None
    return MaskView(mask, share.storage_numel, size, stride, int(part.storage_offset()))
