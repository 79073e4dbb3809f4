"""What a checkpoint's header says, as JSON, and the checks that make it safe to act on.

Numbers are compared as exact integers before anything is allocated by them. The data follows in
the order of `data`, each piece at the next multiple of `ALIGN`; so there are no offsets to forge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

ALIGN = 64
WORD = 8  # bytes of a ring element
MOST_BITS = 62  # of scales, counters, sizes in bytes
MOST_DIMENSIONS = 64
MOST_PARTIES = 1 << 10
MOST_NAME = 1 << 10

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8),
        *(torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool),
        *(torch.complex128, torch.complex64),
    )
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Malformed(ValueError):
    """A file says what no checkpoint says."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor's data. scale, unit: those of a share; None for a plain tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    scale: int | None = None
    unit: int | None = None

    def size(self, holds: int) -> int:
        """Bytes in a file that holds the shares of so many parties."""
        elements = 1
        for extent in self.shape:
            elements *= extent
        return elements * (self.dtype.itemsize if self.scale is None else WORD * holds)

    def to_json(self) -> list[Any]:
        return [NAMES[self.dtype], list(self.shape), self.scale, self.unit]

    @staticmethod
    def from_json(value: Any) -> Piece:
        dtype, shape, scale, unit = _items(value, 4)
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise Malformed("a dtype that there is not")
        if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
            raise Malformed("a shape that is none")
        room = 1 << MOST_BITS
        for extent in shape:
            room //= max(1, _whole(extent))
        if room < 2 * WORD * MOST_PARTIES:
            raise Malformed("a shape that no memory holds")
        if (scale is None) != (unit is None):
            raise Malformed("a scale without a unit")
        if scale is not None:
            _whole(scale, 1), _whole(unit, 1)
            if DTYPES[dtype].is_complex:
                raise Malformed("a share of complex numbers")
        return Piece(DTYPES[dtype], tuple(shape), scale, unit)


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of the nest. piece: the index of its data, which another entry may have too."""

    piece: int
    requires_grad: bool
    parameter: bool


@dataclass(frozen=True, slots=True)
class Header:
    """parties: of the session. holds: those whose shares are in this file. tree: the nest."""

    parties: tuple[str, ...]
    holds: tuple[str, ...]
    counter: int
    id: bytes
    tree: Any
    entries: tuple[Entry, ...]
    data: tuple[Piece, ...]

    def offsets(self, start: int) -> Iterator[int]:
        """Where each piece begins, and at last where the data ends."""
        for piece in self.data:
            start = aligned(start)
            yield start
            start += piece.size(len(self.holds))
        yield aligned(start)


def aligned(offset: int) -> int:
    """The next multiple of ALIGN."""
    return -(-offset // ALIGN) * ALIGN


def encode(header: Header) -> bytes:
    """The header as JSON."""
    return json.dumps(
        {
            "parties": header.parties,
            "holds": header.holds,
            "counter": header.counter,
            "id": header.id.hex(),
            "tree": header.tree,
            "tensors": [[e.piece, e.requires_grad, e.parameter] for e in header.entries],
            "data": [piece.to_json() for piece in header.data],
        },
        separators=(",", ":"),
    ).encode()


def decode(text: bytes) -> Header:
    """The header of untrusted JSON; the tree is checked where it is rebuilt. Raises Malformed."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("its header is not JSON") from error
    keys = {"parties", "holds", "counter", "id", "tree", "tensors", "data"}
    if not isinstance(value, dict) or set(value) != keys:
        raise Malformed("its header lacks what it should say")
    data = tuple(Piece.from_json(piece) for piece in _list(value["data"]))
    return Header(
        _names(value["parties"]),
        _names(value["holds"]),
        _whole(value["counter"], 1),
        _identity(value["id"]),
        value["tree"],
        tuple(_entry(entry, data) for entry in _list(value["tensors"])),
        data,
    )


def _entry(value: Any, data: Sequence[Piece]) -> Entry:
    piece, requires_grad, parameter = _items(value, 3)
    if type(requires_grad) is not bool or type(parameter) is not bool:
        raise Malformed("a flag that is neither true nor false")
    if _whole(piece) >= len(data):
        raise Malformed("a tensor without data")
    dtype = data[piece].dtype
    if requires_grad and not (dtype.is_floating_point or dtype.is_complex):
        raise Malformed("a gradient of whole numbers")
    return Entry(piece, requires_grad, parameter)


def _identity(value: Any) -> bytes:
    try:
        identity = bytes.fromhex(value)
    except (TypeError, ValueError):
        identity = b""
    if len(identity) != 16:
        raise Malformed("no usable id")
    return identity


def _names(value: Any) -> tuple[str, ...]:
    names = _list(value)
    if not 0 < len(names) <= MOST_PARTIES or len(names) != len({str(name) for name in names}):
        raise Malformed("a list of parties that is none")
    if any(not isinstance(name, str) or len(name) > MOST_NAME for name in names):
        raise Malformed("a party's name that is none")
    return tuple(names)


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << MOST_BITS:
        raise Malformed("a number that is out of range")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed("something else where a list belongs")
    return value


def _items(value: Any, count: int) -> list[Any]:
    if len(_list(value)) != count:
        raise Malformed("a list of the wrong length")
    return list(value)
