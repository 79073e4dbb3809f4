"""Workers, and the sessions among them: one for each set of owners and provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from ..errors import SessionError
from ..grid import Grid
from ..session import Session
from ..starting import check_names, simulated

DEFAULT_DIGITS = 3

_objects: dict[str, WeakSet[Any]] = {}
_sessions: dict[tuple[frozenset[str], str], Session] = {}


class VirtualWorker:
    """A simulated party or provider, known by its id: `VirtualWorker(id="alice", hook=hook)`.

    Workers of one id are one and the same, so a cell that makes them may run twice.
    """

    def __init__(self, hook: Any = None, id: Any = None) -> None:
        if isinstance(hook, str):  # VirtualWorker("alice", hook)
            hook, id = id, hook
        if not isinstance(id, (str, int)) or id == "":
            raise TypeError('a worker needs a name: VirtualWorker(hook, id="alice")')
        self.id = str(id)
        self.hook = hook

    def __repr__(self) -> str:
        return f"<VirtualWorker id:{self.id} #objects:{len(self)}>"

    def __len__(self) -> int:
        """How many tensors shared with this worker are alive."""
        return len(_objects.get(self.id, ()))

    def __bool__(self) -> bool:
        return True


def hold(names: Sequence[str], handle: Any) -> None:
    """Count a shared value at its owners for as long as its handle lives."""
    for name in names:
        _objects.setdefault(name, WeakSet()).add(handle)


def session_among(owners: Sequence[VirtualWorker], provider: VirtualWorker | None) -> Session:
    """The session of these owners and this provider, made at its first use; their order is free.

    Raises SessionError for fewer than two owners, names given twice, and a missing provider.
    """
    names = [_name(owner, "an owner") for owner in owners]
    if len(names) < 2:
        raise SessionError(
            f"share() got {len(names)} owner(s); it needs at least two workers, for example"
            " share(bob, alice, crypto_provider=james)"
        )
    if provider is None:
        raise SessionError(
            "share() needs a crypto provider, a worker that is not an owner and deals the"
            " randomness of multiplications and comparisons: share(..., crypto_provider=james)"
        )
    dealer = _name(provider, "the crypto provider")
    check_names(names, dealer)
    key = (frozenset(names), dealer)
    if key not in _sessions or _sessions[key].closed:
        unit = Grid.make(10, DEFAULT_DIGITS).unit
        _sessions[key] = simulated(names, dealer, unit=unit)
    return _sessions[key]


def _name(worker: VirtualWorker, role: str) -> str:
    if not isinstance(worker, VirtualWorker):
        raise SessionError(f"{role} is {worker!r}, which is no worker: pass VirtualWorker objects")
    return worker.id
