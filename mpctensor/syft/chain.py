"""How a value shared by these names prints: the chain of wrappers, a pointer for each owner.

The ids stand for nothing: they are random names, kept with the storage of the value, so that it
prints alike each time. No value and no share is ever shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import randbelow

from torch import nn

from ..share import Share
from ..tensor import SharedTensor
from .taken import Taken

_ID_RANGE = 10**11
_KEY = "_mpctensor_handle"


class Handle:
    """The names of one shared value: (ours, the owner's) for each owner."""

    def __init__(self, n: int) -> None:
        self.ids = [(randbelow(_ID_RANGE), randbelow(_ID_RANGE)) for _ in range(n)]


def handle_of(share: Share) -> Handle:
    """The handle of a share's storage, made at its first use."""
    storage = share.here.untyped_storage()
    handle: Handle | None = getattr(storage, _KEY, None)
    if handle is None:
        handle = Handle(share.session.n)
        setattr(storage, _KEY, handle)
    return handle


def describe(tensor: SharedTensor) -> str:
    """The chain of a shared tensor."""
    if isinstance(tensor._held, Taken):
        return "(Wrapper)>[taken by get()]"
    share = tensor._share
    links = ["Parameter" if isinstance(tensor, nn.Parameter) else "(Wrapper)"]
    if tensor.requires_grad:
        links.append("AutogradTensor")
    if tensor.dtype.is_floating_point:
        links.append("FixedPrecisionTensor")
    session = share.session
    pointers = _pointers(session.names, handle_of(share))
    lines = [">".join([*links, "[AdditiveSharingTensor]"]), *pointers]
    return "\n\t".join([*lines, f"*crypto provider: {session.provider_name}*"])


def _pointers(names: Sequence[str], handle: Handle) -> list[str]:
    return [
        f"-> [PointerTensor | me:{ours} -> {name}:{theirs}]"
        for name, (ours, theirs) in zip(names, handle.ids, strict=True)
    ]
