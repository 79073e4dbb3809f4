"""A nest of values as JSON, with its tensors aside, and back.

None, truth values, whole numbers and strings stand for themselves; everything else is an object of
one key: {"float": "0x1.8p+0"}, {"bytes": "00ff"}, {"dtype": "float32"}, {"list": [...]},
{"tuple": [...]}, {"dict": [[key, value], ...]}, {"ordered": [..., metadata]}, {"tensor": 3}.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SessionError
from ..session import Session
from ..share import Share
from ..tensor import SharedTensor, unwrap
from .header import DTYPES, NAMES, Entry, Malformed, Piece

DEEPEST = 100
MOST_DIGITS = 1 << 12  # bits of a whole number


class Inventory:
    """The tensors of a nest, each piece of data once.

    entries: the tensor objects. pieces: their data. values: a piece's Share or plain Tensor.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.entries: list[Entry] = []
        self.pieces: list[Piece] = []
        self.values: list[Share | Tensor] = []
        self._objects: dict[int, tuple[int, Tensor]] = {}
        self._views: dict[Any, int] = {}

    def describe(self, value: Any, where: str = "obj", depth: int = 0) -> Any:
        """The value as JSON. Raises TypeError that says where in the nest something else is."""
        if value is None or type(value) in (bool, str):
            return value
        if type(value) is int and value.bit_length() <= MOST_DIGITS:
            return value
        if isinstance(value, Tensor):
            return {"tensor": self._index(value, where)}
        if isinstance(value, (nn.Module, torch.optim.Optimizer)):
            value = value.state_dict()
        if type(value) in (float, bytes):
            return {type(value).__name__: value.hex()}
        if isinstance(value, torch.dtype) and value in NAMES:
            return {"dtype": NAMES[value]}
        if depth >= DEEPEST:
            raise TypeError(f"`obj` is nested more than {DEEPEST} deep, or contains itself")
        if type(value) in _SEQUENCES:
            kind, depth = _SEQUENCES[type(value)], depth + 1
            items = [self.describe(v, f"{where}[{i}]", depth) for i, v in enumerate(value)]
            return {kind: items}
        if type(value) is dict:
            return {"dict": self._pairs(value, where, depth + 1)}
        if type(value) is OrderedDict:  # torch keeps a state_dict's versions in an attribute
            versions = getattr(value, "_metadata", None)
            metadata = self.describe(versions, f"{where}._metadata", depth + 1)
            return {"ordered": [*self._pairs(value, where, depth + 1), metadata]}
        raise TypeError(f"`{where}` is a {_type_name(value)}; {WHAT_CAN}")

    def _pairs(self, value: dict[Any, Any], where: str, depth: int) -> list[Any]:
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(
                    f"`{where}` has the key {key!r}, a {_type_name(key)}; keys must be str or int"
                )
        return [[k, self.describe(v, f"{where}[{k!r}]", depth)] for k, v in value.items()]

    def _index(self, tensor: Tensor, where: str) -> int:
        """The entry of a tensor; the same object has one entry."""
        known = self._objects.get(id(tensor))
        if known is not None:
            return known[0]
        piece = self._shared(tensor, where) if isinstance(tensor, SharedTensor) else None
        piece = self._plain(tensor, where) if piece is None else piece
        requires_grad = tensor.requires_grad and tensor.is_leaf
        entry = Entry(piece, requires_grad, isinstance(tensor, nn.Parameter))
        self.entries.append(entry)
        self._objects[id(tensor)] = (len(self.entries) - 1, tensor)
        return len(self.entries) - 1

    def _shared(self, tensor: SharedTensor, where: str) -> int:
        share = unwrap(tensor)
        if share.session is not self.session:
            raise SessionError(
                f"`{where}` belongs to {share.session!r}, and {self.session!r} is saved: save it"
                " while its own session is the active one"
            )
        piece = Piece(share.dtype, tuple(share.shape), share.scale, share.unit)
        return self._piece(piece, share, share.here)

    def _plain(self, tensor: Tensor, where: str) -> int:
        if type(tensor) not in (Tensor, nn.Parameter):
            raise TypeError(f"`{where}` is a {_type_name(tensor)}; {WHAT_CAN}")
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.dtype not in NAMES:
            raise TypeError(
                f"`{where}` is a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device};"
                " only dense tensors of numbers on the CPU can be saved"
            )
        value = tensor.detach().resolve_conj().resolve_neg()
        return self._piece(Piece(tensor.dtype, tuple(tensor.shape)), value, value)

    def _piece(self, piece: Piece, value: Share | Tensor, memory: Tensor) -> int:
        """The index of the data; what two tensors show alike is kept once."""
        place = (memory.untyped_storage().data_ptr(), memory.storage_offset(), memory.stride())
        index = self._views.setdefault((piece, place), len(self.pieces))
        if index == len(self.pieces):
            self.pieces.append(piece)
            self.values.append(value)
        return index


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


WHAT_CAN = (
    "save takes tensors, encrypted or not, numbers, strings, bytes, None, dtypes, modules and"
    " optimizers (their state_dict), and dicts, lists and tuples of them"
)
_SEQUENCES: dict[type, str] = {list: "list", tuple: "tuple", torch.Size: "tuple"}


def structure(tree: Any, entries: Sequence[Entry], pieces: Sequence[Piece]) -> bytes:
    """16 bytes that tell one structure from another; values do not count, keys and shapes do."""
    facts = [_types(tree), [repr(entry) for entry in entries], [p.to_json() for p in pieces]]
    return blake2b(json.dumps(facts).encode(), digest_size=16).digest()


def _types(node: Any) -> Any:
    if node is None or not isinstance(node, (dict, list)):
        return type(node).__name__
    if isinstance(node, list):
        return [_types(value) for value in node]
    ((kind, value),) = node.items()
    if kind in ("dict", "ordered"):
        return [kind, *([p[0], _types(p[1])] if isinstance(p, list) else "" for p in value)]
    if kind in ("list", "tuple"):
        return [kind, _types(value)]
    return [kind, value if kind in ("tensor", "dtype") else ""]


def rebuild(node: Any, tensors: Sequence[Any], depth: int = 0) -> Any:
    """The nest that untrusted JSON describes, with these in place of its tensors.

    Raises Malformed.
    """
    if node is None or type(node) in (bool, int, str):
        return node
    if not isinstance(node, dict) or len(node) != 1 or depth > DEEPEST:
        raise Malformed("a value of no known kind")
    ((kind, value),) = node.items()
    if kind in _READ_ITEMS:
        if not isinstance(value, list):
            raise Malformed(f"a {kind} without items")
        return _READ_ITEMS[kind](value, tensors, depth + 1)
    try:
        return tensors[_index(value, len(tensors))] if kind == "tensor" else _READ[kind](value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Malformed("a value of no known kind") from error


def _index(value: Any, count: int) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise Malformed("a tensor that is not there")
    return value


def _list(items: list[Any], tensors: Sequence[Any], depth: int) -> list[Any]:
    return [rebuild(item, tensors, depth) for item in items]


def _dict(pairs: list[Any], tensors: Sequence[Any], depth: int) -> dict[Any, Any]:
    made = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) not in (str, int):
            raise Malformed("a dict that is none")
        made[pair[0]] = rebuild(pair[1], tensors, depth)
    return made


def _ordered(items: list[Any], tensors: Sequence[Any], depth: int) -> OrderedDict[Any, Any]:
    if not items:
        raise Malformed("a dict that is none")
    made = OrderedDict(_dict(items[:-1], tensors, depth))
    metadata = rebuild(items[-1], tensors, depth)
    if metadata is not None:
        made._metadata = metadata  # type: ignore[attr-defined]
    return made


_READ_ITEMS: dict[str, Callable[[list[Any], Sequence[Any], int], Any]] = {
    "list": _list,
    "tuple": lambda *read: tuple(_list(*read)),
    "dict": _dict,
    "ordered": _ordered,
}
_READ: dict[str, Callable[[Any], Any]] = {
    "float": float.fromhex,
    "bytes": bytes.fromhex,
    "dtype": DTYPES.__getitem__,
}
