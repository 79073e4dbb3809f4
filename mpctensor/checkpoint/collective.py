"""What the parties do together to save and to load.

save  1. Each tells the structure of what it saves, 16 fresh random bytes, and the saves that it
         has. Where structures differ, all stop. The hash of the random bytes is the save's id.
      2. Each writes its file, and tells whether it could: the barrier.
      3. Where all could, each lets the file take its place (`slots`).
load  1. Each tells the saves that it has intact. All take the newest that everybody has.
One round for load, two for save, of some hundred bytes. Ids are random and public.
"""

from __future__ import annotations

import os
import secrets
import struct
import warnings
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import MissingCheckpointError, SessionError
from ..protocols import announce
from ..session import Session
from ..share import ABSENT, Share
from ..starting import current
from ..tensor import SharedTensor, wrap
from .file import Reader, opened
from .header import Entry, Header, Malformed
from .nest import Inventory, rebuild, structure
from .slots import Save, Slots, owners

IDENTITY = 16
SAVE = struct.Struct(f"<Q{IDENTITY}s")
FLAG = struct.Struct("<Q")
MOST_SAVES = 3


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Save a checkpoint: every party writes its own shares to a file of its own.

    obj: tensors (encrypted or plain), numbers, strings, bytes, None, dtypes, and dicts (with keys
    of str or int), lists and tuples of them. Of an nn.Module or an Optimizer its state_dict() is
    saved. Values, dtypes and digits are kept exactly, and whether a tensor is a Parameter and
    requires a gradient; not `.grad`, and the result of a computation is saved detached. A tensor
    that occurs twice loads as one, and what shows the same memory alike (tied weights) shares it
    again; other overlapping views become tensors of their own.
    path: a file on this party's machine, which others may not read; parties on one machine need
    different ones, such as f"{mpctensor.party()}.ckpt". The checkpoint before stays beside it as
    `<path>.previous`. All parties call this at the same point, with the same structure. A process
    that is killed meanwhile costs at most this one checkpoint. The file of a simulated session
    holds the shares of all parties: whoever reads it reads everything.
    2 rounds. Raises TypeError that says where in obj something else is, SessionError where the
    parties save different structures or one of them cannot write (then nobody has a new
    checkpoint), OSError at the party that cannot.
    """
    save_in(current(), obj, path)


def save_in(session: Session, obj: Any, path: str | os.PathLike[str]) -> None:
    """`save` in a given session."""
    session.check_open()
    with session.operation("save"):
        inventory = Inventory(session)
        tree = inventory.describe(obj)
        slots = Slots(session, path)
        slots.look(thoroughly=False)
        kind = structure(tree, inventory.entries, inventory.pieces)
        counter, identity, before = _agree(slots, kind)
        header = Header(
            session.names,
            owners(session),
            counter,
            identity,
            tree,
            tuple(inventory.entries),
            tuple(inventory.pieces),
        )
        _write(slots, header, inventory, before)


def _agree(slots: Slots, kind: bytes) -> tuple[int, bytes, Save | None]:
    """The counter and id of the next save, and the newest that all parties have."""
    session = slots.session
    said = announce(session, kind + secrets.token_bytes(IDENTITY) + _told(slots))
    if len({message[:IDENTITY] for message in said}) > 1:
        raise SessionError(
            "the parties save different structures (keys, types, shapes, precision): nothing was"
            " written; what differs between parties, such as a value decrypted to one of them only,"
            " cannot be part of a checkpoint"
        )
    random = b"".join(message[IDENTITY : 2 * IDENTITY] for message in said)
    identity = blake2b(random, digest_size=IDENTITY).digest()
    saves = [_saves(message[2 * IDENTITY :]) for message in said]
    counter = 1 + max((s.counter for listed in saves for s in listed), default=0)
    session.transport.agree("save", counter, identity, kind)
    return counter, identity, _newest(saves)


def _write(slots: Slots, header: Header, inventory: Inventory, before: Save | None) -> None:
    """Write this party's file; it counts where all parties could write theirs."""
    try:
        error = _attempt(slots, header, inventory, before)
        said = announce(slots.session, FLAG.pack(error is None))
        failed = [slots.session.names[p] for p, word in enumerate(said) if word == FLAG.pack(0)]
        if not failed:
            slots.commit(before)
            return
        slots.discard()
    finally:
        slots.close()
    if error is not None:
        raise error
    raise SessionError(f"{' and '.join(failed)} could not write: nobody has a new checkpoint")


def _attempt(
    slots: Slots, header: Header, inventory: Inventory, before: Save | None
) -> Exception | None:
    """Write the file; the error where that fails, for the others have to hear of it first."""
    try:
        slots.settle(before)
        slots.write(header, _contents(inventory))
    except (OSError, SessionError) as error:
        return error
    return None


def _contents(inventory: Inventory) -> Iterator[list[Tensor]]:
    """For each piece of data, the contiguous tensors that make it up."""
    for value in inventory.values:
        parts = [value] if isinstance(value, Tensor) else _here(value)
        yield [part.contiguous() for part in parts]


def _here(share: Share) -> list[Tensor]:
    return [share.parts[p] for p in share.session.local]


def load(path: str | os.PathLike[str]) -> Any:
    """The newest checkpoint that every party has, saved by `save` to this path.

    All parties call this at the same point, in a session of the same parties in the same order.
    Where a save was interrupted, or one party's file is damaged, all go back to the same checkpoint
    before it (with a warning at the party whose file it is); two never mix. Encrypted tensors
    belong to the active session, and what comes of them uses fresh randomness.
    1 round. Raises SessionError where there is no checkpoint that all parties have: files that are
    damaged, of another party or of other parties, simulated where this session is not or the
    reverse; it is a FileNotFoundError too where no party has completed one yet.
    """
    return load_in(current(), path)


def load_in(session: Session, path: str | os.PathLike[str]) -> Any:
    """`load` in a given session."""
    session.check_open()
    with session.operation("load"):
        slots = Slots(session, path)
        slots.look(thoroughly=True)
        said = announce(session, FLAG.pack(slots.started) + _told(slots))
        saves = [_saves(message[FLAG.size :]) for message in said]
        newest = _newest(saves)
        if newest is None:
            started = any(message[: FLAG.size] != FLAG.pack(0) for message in said)
            raise _nothing(slots, saves, started)
        if slots.found[newest] == slots.previous:
            _warn(slots)
        return _read(slots, newest)


def _read(slots: Slots, chosen: Save) -> Any:
    where = slots.found[chosen]
    try:
        with opened(where, check=False) as reader, torch.inference_mode(False), torch.no_grad():
            header = reader.header
            kind = structure(header.tree, header.entries, header.data)
            slots.session.transport.agree("load", *chosen, kind)
            return rebuild(header.tree, _tensors(slots.session, reader))
    except Malformed as error:
        raise SessionError(f"{where} cannot be loaded: {error}") from error


def _tensors(session: Session, reader: Reader) -> list[Tensor]:
    header = reader.header
    values: list[Share | Tensor] = []
    for index, piece in enumerate(header.data):
        tensors = reader.tensors(index)
        if piece.scale is None or piece.unit is None:
            values.append(tensors[0])
            continue
        parts: list[Any] = [ABSENT] * session.n
        for p, part in zip(session.local, tensors, strict=True):
            parts[p] = part
        values.append(Share.make(session, parts, piece.dtype, piece.scale, piece.unit))
    return [_tensor(values[entry.piece], entry) for entry in header.entries]


def _tensor(value: Share | Tensor, entry: Entry) -> Tensor:
    if isinstance(value, Share):
        shared: SharedTensor = wrap(value, entry.requires_grad)
        if entry.parameter:
            shared._is_param = True
        return shared
    if entry.parameter:
        return nn.Parameter(value, entry.requires_grad)
    return value.detach().requires_grad_(entry.requires_grad)


# What the parties tell each other


def _told(slots: Slots) -> bytes:
    """The usable saves of this party."""
    saves = [SAVE.pack(*found) for found in slots.found]
    return b"".join(saves).ljust(MOST_SAVES * SAVE.size, b"\0")


def _saves(message: bytes) -> list[Save]:
    every = (Save(*SAVE.unpack_from(message, i * SAVE.size)) for i in range(MOST_SAVES))
    return sorted(save for save in every if save.counter)


def _newest(saves: Sequence[Sequence[Save]]) -> Save | None:
    """The newest save that all parties have."""
    return max(set(saves[0]).intersection(*saves[1:]), default=None)


def _nothing(slots: Slots, saves: Sequence[Sequence[Save]], started: bool) -> SessionError:
    """Why there is nothing to load."""
    if not started:
        return MissingCheckpointError(f"no party has a checkpoint at its path; here {slots.path}")
    session = slots.session
    reasons = [f"{slot}: {why}" for slot, why in slots.wrong.items()]
    if not slots.wrong and not slots.found:
        reasons.append(f"{slots.path}: no such file")
    here = f"; here: {'; '.join(reasons)}" if reasons else ""
    if not session.deployed:
        return SessionError(f"there is no usable checkpoint{here}")
    has = "; ".join(f"{n} has {_spoken(s)}" for n, s in zip(session.names, saves, strict=True))
    return SessionError(f"the parties have no checkpoint in common: {has}{here}")


def _spoken(saves: Sequence[Save]) -> str:
    if not saves:
        return "no usable one"
    return " and ".join(f"number {s.counter} ({s.id.hex()[:8]})" for s in saves)


def _warn(slots: Slots) -> None:
    """Say that a checkpoint is passed over."""
    why = slots.wrong.get(slots.path)
    if why is None:
        why = "not every party has it" if slots.path.exists() else "it is gone"
    warnings.warn(
        f"{slots.path} is passed over ({why}); going on from {slots.previous}", stacklevel=5
    )
