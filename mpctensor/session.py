"""Who takes part, where they run, which settings: the session that every secret belongs to.

A session knows n >= 2 parties, the provider, and which parties live in this process (`local`; in a
simulated session all of them). Operation numbers and mask ids come from here, in the same order at
every party, and are never rolled back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from . import kernels
from .draws import Draws
from .errors import SessionError
from .provider import (
    Dealt,
    PartyKeys,
    Provider,
    RemoteProvider,
    Request,
    Step,
    check_new,
    foresee,
)
from .provider.keys import derive
from .share import ABSENT
from .transport import Meter, Transport, check_link, reason


class Turn:
    """One operation of a session (`with`): no other thread works on the session meanwhile."""

    __slots__ = ("name", "session", "started")

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self.name = name

    def __enter__(self) -> None:
        self.session.lock.acquire()
        try:
            self.started = self.session.meter.start(self.name)
        except BaseException:  # Ctrl-C: other threads must not wait for ever
            self.session.lock.release()
            raise

    def __exit__(self, *exception: object) -> None:
        try:
            self.session.meter.finish(self.started)
        finally:
            self.session.lock.release()


class Session:
    """One run of the protocol among named parties. Made by `mpctensor.init`.

    names: the parties. provider_name: who deals. local: indices of the parties in this process.
    unit: the default working scale (2 ** 16). meter: counts rounds and bytes. link: "lan" or "wan",
    the same at every party. describe: how a tensor of this session prints itself, where that is not
    the usual form. lock: held by the thread whose operation runs; facts about a value, numbers and
    messages follow one order.
    """

    describe: Callable[[Any], str] | None = None
    reveal = "decrypt()"  # what messages call the way to learn a value

    def __init__(
        self,
        names: Sequence[str],
        provider_name: str,
        *,
        unit: int,
        keys: dict[int, PartyKeys],
        provider: Provider | None,
        transport: Transport,
        meter: Meter,
        public_seed: bytes,
        link: str = "lan",
    ) -> None:
        self.link = check_link(link)
        self.names = tuple(names)
        self.provider_name = provider_name
        self.n = len(self.names)
        self.local = tuple(sorted(keys))
        self.unit = unit
        self.meter = meter
        self.transport = transport
        self._provider = provider
        self._keys = keys
        self._public_seed = public_seed
        self._operations = 0
        self._masks = 0
        self._saves = 0
        self._draws = Draws()
        self._step: list[Request] | None = None
        self._step_start = (0, 0)
        self._step_before: Step | None = None
        self._process = os.getpid()
        self._closed = False
        self.lock = threading.RLock()

    # Life

    def operation(self, name: str) -> Turn:
        """The user's operation `name` (`with`; may nest). Raises SessionError when not open."""
        self.check_open()  # before the lock, which a forked child might never get
        return Turn(self, name)

    def check_open(self) -> None:
        """Raise SessionError when the session is closed or this process is a fork of its owner."""
        if self._closed:
            raise SessionError(f"{self!r} is closed: encrypt the values again in an open session")
        if self.transport.failure is not None:
            raise SessionError(
                f"{self!r} is broken: {self.transport.failure}; start all parties again, and go on"
                " from the last checkpoint (mpctensor.load)"
            )
        if os.getpid() != self._process:
            raise SessionError(
                f"{self!r} was made in process {self._process}, this is {os.getpid()}: a forked"
                " child would repeat masks; make a session of its own with mpctensor.init(), and"
                " give a DataLoader of encrypted tensors num_workers=0"
            )

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def deployed(self) -> bool:
        """Whether other parties live in other processes."""
        return len(self.local) < self.n

    def close(self) -> None:
        """Forget the keys; tensors of this session raise SessionError from now on."""
        if os.getpid() == self._process:
            self.transport.close()
            if isinstance(self._provider, RemoteProvider):
                self._provider.close()
        self._closed = True
        self._keys, self._provider, self._public_seed = {}, None, b""
        if self in _stack:
            _stack.remove(self)

    def abort(self, why: str) -> None:
        """End a deployed session early; the other parties' next step fails and says why."""
        if not self._closed and os.getpid() == self._process:
            self.transport.abort(why)

    def __enter__(self) -> Session:
        self.check_open()
        if not (_stack and _stack[-1] is self):
            _stack.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not _ends_well(error):
            self.abort(reason(error))
        self.close()

    def __repr__(self) -> str:
        state = "closed session" if self._closed else "session"
        return f"<{state} of {', '.join(self.names)}; provider {self.provider_name}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        return self

    def __reduce__(self) -> Any:
        raise SessionError("a session holds keys and cannot be pickled")

    # Counters

    def next_operation(self) -> int:
        """The number of the next operation, taken before its work starts."""
        self.check_open()
        self._operations += 1
        return self._operations

    @property
    def operations(self) -> int:
        """How many operations have had a number: those that ask the provider or share an input."""
        return self._operations

    def next_mask(self) -> int:
        """A fresh mask id."""
        self.check_open()
        self._masks += 1
        return self._masks

    def next_save(self) -> tuple[int, bytes]:
        """(number, random id) of what is saved next, alike at all parties, who do it together.

        No round: the running check finds out where a party does not save.
        """
        self.check_open()
        self._saves += 1
        self.transport.agree("torch.save", self._saves)
        number = self._saves.to_bytes(8, "little")
        return self._saves, derive(self._public_seed, "torch.save", b"", number)

    # Correlated randomness

    def party(self, p: int) -> PartyKeys:
        return self._keys[p]

    @property
    def first(self) -> int:
        """The party that adds public terms."""
        return 0

    def deal(self, op: str, operands: Sequence[Any], params: Sequence[Any] = ()) -> Dealt:
        """Ask the provider for an operation's correlated randomness."""
        request = Request(op, self.next_operation(), tuple(operands), tuple(params))
        self.transport.agree(request.digest)
        last = self.n - 1
        corrections = None
        if last in self.local:
            assert self._provider is not None
            corrections = self._provider.deal(request)
        self.meter.count_provider(request.dealt_bytes)
        if self._step is not None:
            self._step.append(request)
        keys = {p: self._keys[p].operation(request) for p in self.local}
        return Dealt(request, keys, corrections, last)

    def begin_step(self, path: str | os.PathLike[str] | None = None) -> None:
        """Note what is asked of the provider until `deal_ahead` (see `preprocess`).

        Raises SessionError where `path` would then be refused.
        """
        self.check_open()
        if path is not None and isinstance(self._provider, RemoteProvider):
            check_new(path)
        self._step, self._step_start = [], (self._operations, self._masks)

    def drop_step(self) -> None:
        """The step that was begun did not end well: it says nothing of those to come."""
        self._step = self._step_before = None

    def deal_ahead(self, steps: int, path: str | os.PathLike[str] | None = None) -> None:
        """Have what the next steps will ask dealt now, told from the step that ends here."""
        if self._step is None:
            return
        operations, masks = self._step_start
        step = Step(tuple(self._step), (operations, self._operations), (masks, self._masks))
        if isinstance(self._provider, RemoteProvider):
            self._provider.deal_ahead(foresee(step, self._step_before, steps), path)
        self._step, self._step_before = None, step

    def input(self, raw: Tensor | None, size: Sequence[int], source: int) -> tuple[Any, ...]:
        """Share ring elements that party `source` holds; costs no bytes.

        Every other party's part is the PRG output that it shares with the source.
        raw: int64 of `size` where the source lives here, else ignored.
        """
        number = self.next_operation()
        self.transport.agree("input", number, tuple(size), source)
        n = int(torch.Size(size).numel())
        parts: list[Any] = [ABSENT] * self.n
        for p in self.local:
            if p != source:
                parts[p] = self._keys[p].input(source, number, n).view(size)
                continue
            if raw is None:
                raise SessionError(f"{self.names[source]} has to pass the values to share")
            own = raw.contiguous().view(-1).clone()
            for q in range(self.n):
                if q != source:
                    own -= self._keys[p].input(q, number, n)
            parts[p] = own.view(size)
        return tuple(parts)

    def public_words(self, n: int, purpose: str = "public") -> Tensor:
        """n random int64 words known to all parties, fresh for every call."""
        number = self.next_operation()
        self.transport.agree(purpose, number, n)
        key = derive(self._public_seed, purpose, b"", number.to_bytes(8, "little"))
        return kernels.prg(key, number, 0, n)

    def public_generator(self) -> torch.Generator:
        """A generator in the same fresh state at every party (dropout, random fills).

        What checkpointing computes again in a backward pass gets the state that it had before.
        """
        seed = self._draws.seed(lambda: int(self.public_words(1)[0]))
        self.transport.agree("draw", seed)
        return torch.Generator().manual_seed(seed & (2**63 - 1))

    def index(self, name: str, argument: str) -> int:
        """The index of a party by name; `argument` is how the caller spoke of it."""
        if name not in self.names:
            raise SessionError(
                f"`{argument}` names {name!r}, but the parties are {', '.join(self.names)}"
            )
        return self.names.index(name)


def _ends_well(error: BaseException) -> bool:
    """Whether a block that this leaves has done what it was to do."""
    if isinstance(error, SystemExit):
        return error.code in (None, 0)
    return isinstance(error, GeneratorExit)


_stack: list[Session] = []


def enter(session: Session) -> Session:
    """Make a session the active one."""
    _stack.append(session)
    return session


def active() -> Session | None:
    """The active session, or None where none was made yet."""
    return _stack[-1] if _stack else None
