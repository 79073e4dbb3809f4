"""`torch.save` and `torch.load` of encrypted tensors: what is kept of one, and how it comes back.

A pickled tensor is a header as in a checkpoint's file, and the parts that this process holds; never
masks, seeds or openings. In a simulated session these are the shares of all parties: whoever reads
the file reads everything. Nothing that a file claims is believed before it is checked.

Neither function is collective, so nothing is said between the parties here. What they have to do
alike (save at the same point, load the same save) enters the running check, and their next round
fails where they did not. Ids are random and public, one for each tensor.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..errors import SecretLeakError, SessionError
from ..session import Session
from ..share import ABSENT, FACTS, Share
from ..starting import current
from ..tensor import SharedTensor, unwrap, wrap
from .header import Entry, Header, Malformed, Piece, decode, encode
from .slots import check_owner, owners

VERSION = 1


def reduced(tensor: SharedTensor) -> tuple[Callable[..., SharedTensor], tuple[Any, ...]]:
    """How pickle keeps an encrypted tensor. Views of one storage share it again once loaded."""
    share = unwrap(tensor)
    session = share.session
    with session.operation("torch.save"):
        counter, identity = session.next_save()
        session.transport.agree(share.facts.origin, share.place)
        piece = Piece(share.dtype, tuple(share.shape), share.scale, share.unit)
        entry = Entry(0, tensor.requires_grad, isinstance(tensor, nn.Parameter))
        header = Header(
            session.names, owners(session), counter, identity, {"tensor": 0}, (entry,), (piece,)
        )
        session.meter.note(f"torch.save of tensor {counter}")
    return restored, (VERSION, encode(header).decode(), *(share.parts[p] for p in session.local))


def restored(version: int, text: str, *parts: Any) -> SharedTensor:
    """The tensor of the active session that `reduced` described. Files name this function.

    Raises SessionError, before anything is made, for a file of other parties or of another one,
    and for whatever `reduced` does not write.
    """
    session = current()
    try:
        with session.operation("torch.load"), torch.inference_mode(False), torch.no_grad():
            header = _header(version, text, session)
            _check_parts(header, parts)
            return _made(session, header, parts)
    except Malformed as error:
        raise SessionError(f"an encrypted tensor cannot be loaded: {error}") from error


def _header(version: int, text: str, session: Session) -> Header:
    if version != VERSION:
        raise Malformed(f"it is of format {version}; this release reads format {VERSION}")
    if not isinstance(text, str):
        raise Malformed("its header is not JSON")
    header = decode(text.encode())
    if len(header.entries) != 1 or len(header.data) != 1 or header.data[0].scale is None:
        raise Malformed("its header describes something else")
    check_owner(header, session)
    return header


def _check_parts(header: Header, parts: Sequence[Any]) -> None:
    """The parts are what the header says, and lie alike in storages of their own."""
    (piece,) = header.data
    if len(parts) != len(header.holds):
        raise Malformed(f"it has {len(parts)} parts, not {len(header.holds)}")
    for part in parts:
        if type(part) is not Tensor or part.dtype != torch.int64 or part.requires_grad:
            raise Malformed("a part that is no tensor of ring elements")
        if part.layout != torch.strided or part.device.type != "cpu":
            raise Malformed(f"a part on {part.device}: load it with map_location='cpu'")
        if tuple(part.shape) != piece.shape:
            raise Malformed(f"a part of shape {tuple(part.shape)}, not {piece.shape}")
    storages = [part.untyped_storage() for part in parts]
    layouts = {
        (p.stride(), p.storage_offset(), s.nbytes()) for p, s in zip(parts, storages, strict=True)
    }
    if len(layouts) > 1:
        raise Malformed("parts that do not lie alike")
    if len({s.data_ptr() for s in storages if s.nbytes()}) < sum(s.nbytes() > 0 for s in storages):
        raise Malformed("parts in the same memory")


def _made(session: Session, header: Header, parts: Sequence[Tensor]) -> SharedTensor:
    (piece,), (entry,) = header.data, header.entries
    if any(part.is_inference() for part in parts):  # writes to such tensors would not be counted
        parts = [part.clone() for part in parts]
    session.transport.agree("torch.load", header.id, repr(entry), *piece.to_json())
    share = _share(session, piece, parts)
    which = f"{header.counter} ({header.id.hex()[:8]})"
    session.meter.note(f"torch.load of saved tensor {which}")
    tensor = wrap(share, entry.requires_grad)
    if entry.parameter:
        tensor._is_param = True
    return tensor


def _share(session: Session, piece: Piece, parts: Sequence[Tensor]) -> Share:
    """A share of these parts; a further view of storages that came before has their facts."""
    here: list[Any] = [ABSENT] * session.n
    for p, part in zip(session.local, parts, strict=True):
        here[p] = part
    storages = [part.untyped_storage() for part in parts]
    known = {id(facts): facts for s in storages if (facts := getattr(s, FACTS, None)) is not None}
    if not known:
        assert piece.scale is not None and piece.unit is not None
        share = Share.make(session, here, piece.dtype, piece.scale, piece.unit)
        share.facts.origin = session.transport.stamp()
        for storage in storages:
            setattr(storage, FACTS, share.facts)
        return share
    (facts, *others) = known.values()
    alike = not others and all(getattr(s, FACTS, None) is facts for s in storages)
    if not alike or (facts.scale, facts.unit) != (piece.scale, piece.unit):
        raise Malformed("views of one memory that do not agree")
    return Share(session, tuple(here), piece.dtype)


def _refused(tensor: SharedTensor) -> NoReturn:
    raise SecretLeakError(
        "an encrypted tensor does not travel to another process, where its session is not: use"
        " num_workers=0 in a DataLoader, and decrypt() what another process may know"
    )


copyreg.pickle(SharedTensor, reduced)
ForkingPickler.register(SharedTensor, _refused)
torch.serialization.add_safe_globals([restored])
