"""A value split among the parties, and what is publicly known about it.

A `Share` holds one int64 part per party; parts of parties that live elsewhere are `ABSENT`. Public
facts about a value (its scale, its mask, its opening, comparison bits) hang on the *storage* of the
parts, so that every view, detached alias and saved tensor finds them, and a clone does not.
Every write goes through `Share.write`, which drops the facts before the first byte changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import SessionError

if TYPE_CHECKING:
    from .session import Session


class Absent:
    """Stands for the part of a party that lives in another process; any use of it is a bug."""

    def __getattr__(self, name: str) -> Any:
        raise SessionError(f"the part of another party was read (`{name}`)")

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()
FACTS = "_mpctensor_facts"  # the attribute of a storage
Part = Any  # Tensor (int64) of a local party, or ABSENT


class Facts:
    """Public knowledge about one storage of parts.

    scale: the value is the ring element (as a signed integer) divided by this positive integer.
    unit: the scale to which operands are truncated before a product; 1 for integers and bools.
    shown: the finest scale at which the value may be decrypted, at least the unit. It is infinite
    unless a product of secrets still waits for its truncation: the digits below it would give away
    the factors.
    public: the ring elements themselves (flat, storage layout) when every party knows them.
    fine: whether it is a mean of squares, which sums and writes keep finer than other values.
    filled: whether some of the numbers may be large public fills, such as one for -inf.
    mask, opened, known: the mask's id, the flat opened value x + r, and which positions of it are
    valid (True: all of them).
    origin: a digest of the computation that the value comes from, in a deployed session.
    derived: results kept for reuse, by name (the truncated value, comparison bits); they hold for
    exactly this value and vanish with it.
    """

    __slots__ = (
        *("derived", "filled", "fine", "known", "mask", "opened", "origin", "public", "scale"),
        *("shown", "torch_version", "unit"),
    )

    def __init__(
        self,
        scale: int,
        unit: int,
        shown: float,
        public: Tensor | None = None,
        fine: bool = False,
    ) -> None:
        self.scale = scale
        self.unit = unit
        self.shown = shown
        self.public = public
        self.fine = fine
        self.filled = False
        self.mask: int | None = None
        self.opened: Tensor | None = None
        self.known: bool | Tensor = False
        self.origin = b""
        self.derived: dict[str, Any] = {}
        self.torch_version = 0

    def forget(self) -> None:
        """Drop everything that the coming write makes untrue; the scale stays."""
        self.public = None
        self.forget_opening()
        self.derived = {}

    def forget_opening(self) -> None:
        """Drop mask and opening; the next opening takes a fresh mask."""
        self.mask = self.opened = None
        self.known = False


@dataclass(slots=True, eq=False, repr=False)
class Share:
    """An additively shared tensor: the value is sum(parts) mod 2^64, signed, divided by `scale`.

    Nothing of it is assigned to after its making; not frozen because that costs each making 1 us.

    parts: one int64 tensor per party, all of one size, stride and offset (or ABSENT).
    dtype: the plain dtype that the user sees (float32, int64, bool, ...).
    found: the facts on the storage, which are never exchanged for others, once they were looked up.
    """

    session: Session
    parts: tuple[Part, ...]
    dtype: torch.dtype
    found: Facts | None = None

    def __repr__(self) -> str:
        return f"Share(shape={tuple(self.shape)}, dtype={self.dtype}, session={self.session!r})"

    @staticmethod
    def make(
        session: Session,
        parts: Sequence[Part],
        dtype: torch.dtype,
        scale: int,
        unit: int,
        public: Tensor | None = None,
        shown: float | None = None,
        fine: bool = False,
    ) -> Share:
        """A share on fresh storages. public: the ring elements where everybody knows them.

        shown, fine: as in `Facts`; the unit where nothing is said, as for a fresh product.
        """
        share = Share(session, tuple(parts), dtype)
        part = share.here
        if public is not None:
            facts = Facts(scale, unit, inf, _in_storage_of(part, public), fine)
        else:
            finest = unit if shown is None else shown
            facts = Facts(scale, unit, inf if finest >= scale else finest, fine=fine)
        facts.torch_version = _version(part)
        setattr(part.untyped_storage(), FACTS, facts)
        share.found = facts
        return share

    @property
    def here(self) -> Tensor:
        """The part of the first party that lives in this process: shape, strides, storage."""
        return self.parts[self.session.local[0]]

    @property
    def shape(self) -> torch.Size:
        return self.here.shape

    @property
    def facts(self) -> Facts:
        part, facts = self.parts[self.session.local[0]], self.found
        if facts is None:
            facts = self.found = getattr(part.untyped_storage(), FACTS, None)
        if facts is None:
            raise SessionError("a share without facts: its parts were made outside of `Share.make`")
        # Views made below autograd count their writes from 0, so only a larger version tells.
        version = _version(part)
        if version > facts.torch_version:  # written behind our back
            facts.forget()
            facts.torch_version = version
        return facts

    @property
    def scale(self) -> int:
        return self.facts.scale

    @property
    def unit(self) -> int:
        return self.facts.unit

    @property
    def shown(self) -> float:
        return self.facts.shown

    @property
    def fine(self) -> bool:
        return self.facts.fine

    @property
    def public(self) -> Tensor | None:
        """The ring elements (shaped as this view) where every party knows them, else None."""
        flat = self.facts.public
        return None if flat is None else self.view_of(flat)

    @property
    def place(self) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Which view of its storage this is: (size, stride, offset)."""
        part = self.here
        return tuple(part.shape), part.stride(), int(part.storage_offset())

    def view_of(self, flat: Tensor) -> Tensor:
        """The view of a flat tensor in storage layout that this share is of its own storage."""
        part = self.here
        return flat.as_strided(part.shape, part.stride(), part.storage_offset())

    @property
    def storage_numel(self) -> int:
        return self.here.untyped_storage().nbytes() // 8

    @property
    def whole(self) -> bool:
        """Whether this view shows each element of its storage exactly once."""
        part = self.here
        return part.numel() == self.storage_numel and _dense(part)

    def base(self) -> Share:
        """The whole storage as a flat share (same facts)."""
        n = self.storage_numel
        return Share(
            self.session, self.each(lambda _, part: part.as_strided((n,), (1,), 0)), self.dtype
        )

    def each(self, fn: Callable[[int, Tensor], Tensor]) -> tuple[Part, ...]:
        """fn(party, part) at every party that lives here."""
        local = self.session.local
        return tuple(fn(p, part) if p in local else ABSENT for p, part in enumerate(self.parts))

    def map(self, fn: Callable[[Tensor], Tensor], dtype: torch.dtype | None = None) -> Share:
        """A linear function with public structure (view, sum, pad, gather ...), part by part.

        A result that aliases this storage shares its facts; a fresh one gets the same scale.
        """
        parts = self.each(lambda _, part: fn(part))
        dtype = dtype or self.dtype
        storage = parts[self.session.local[0]].untyped_storage()
        found = getattr(storage, FACTS, None)
        if found is not None:
            return Share(self.session, parts, dtype, found)
        facts = self.facts
        known = None if facts.public is None else fn(self.view_of(facts.public))
        made = Share.make(
            *(self.session, parts, dtype, facts.scale, facts.unit, known),
            shown=facts.shown,
            fine=facts.fine,
        )
        return made.like(self)

    def split(self, fn: Callable[[Tensor], Sequence[Tensor]]) -> list[Share]:
        """The views that a structural function gives of every part, each as a share."""
        pieces = self.each(lambda _, part: fn(part))  # type: ignore[arg-type, return-value]
        count = len(pieces[self.session.local[0]])
        return [
            Share(self.session, tuple(p if p is ABSENT else p[i] for p in pieces), self.dtype)
            for i in range(count)
        ]

    def clone(self) -> Share:
        """Fresh contiguous storages with the same value; a new value gets a new mask."""
        return self.map(lambda part: part.clone(memory_format=torch.contiguous_format))

    def like(self, *sources: Share) -> Share:
        """This fresh share, noted as holding fills where a source does."""
        for source in sources:
            if source.facts.filled:
                self.facts.filled = True
        return self

    def write(self, value: Share, scale: int | None = None) -> None:
        """Overwrite in place (every view of this storage sees it).

        value: already at the scale of this storage, or at `scale`, which the storage adopts; only
        a share that covers its whole storage may adopt a new scale.
        """
        if value.session is not self.session:
            raise SessionError(
                f"a value of {value.session!r} cannot be written into a tensor of {self.session!r}:"
                " decrypt() it and encrypt it again in the other's session"
            )
        facts = self.facts
        sources = value.parts
        if _overlap(self.here, value.here):
            sources = value.each(lambda _, part: part.clone())
        public = value.public if self.whole and value.shape == self.shape else None
        keep = None
        if public is not None:
            keep = torch.empty(self.storage_numel, dtype=torch.int64)
            self.view_of(keep).copy_(public)
        facts.forget()
        if scale is not None:
            facts.scale = scale
        facts.shown = value.shown if self.whole else min(facts.shown, value.shown)
        facts.fine = value.fine if self.whole else facts.fine
        facts.filled = value.facts.filled or (not self.whole and facts.filled)
        facts.public = keep
        for p in self.session.local:
            self.parts[p].copy_(sources[p])
        facts.torch_version = max(facts.torch_version, _version(self.here))


def _in_storage_of(part: Tensor, public: Tensor) -> Tensor:
    """A public value laid out as the storage of the parts is; zero where the part shows nothing."""
    alike = public.stride() == part.stride() and public.storage_offset() == part.storage_offset()
    if alike and public.untyped_storage().nbytes() == part.untyped_storage().nbytes():
        return flat_storage(public)
    n = part.untyped_storage().nbytes() // 8
    places = torch.arange(n).as_strided(part.shape, part.stride(), part.storage_offset())
    flat = torch.zeros(n, dtype=torch.int64)
    flat[places.reshape(-1)] = public.reshape(-1)  # a copy would refuse places shown twice
    return flat


def flat_storage(tensor: Tensor) -> Tensor:
    """The whole storage of an int64 tensor, flat."""
    n = tensor.untyped_storage().nbytes() // 8
    return tensor.as_strided((n,), (1,), 0)


def _version(part: Tensor) -> int:
    """torch's count of writes; tensors made under inference_mode have none."""
    try:
        return part._version
    except RuntimeError:
        return 0


def _dense(part: Tensor) -> bool:
    """Whether the strides are those of a permuted contiguous tensor."""
    expected = 1
    for stride, size in sorted(zip(part.stride(), part.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return False
        expected *= size
    return True


def _overlap(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
