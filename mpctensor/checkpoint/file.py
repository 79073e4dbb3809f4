"""The file of a checkpoint: a prelude, a JSON header, raw tensor data, a checksum.

1. 8 bytes magic, 4 version of this format, 4 length of the header, 8 length of the whole file.
2. The header, padded with spaces.
3. Data, little-endian, each piece at a multiple of 64 bytes; of a share, one part a party, int64.
4. 32 bytes of BLAKE2b, of everything before.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from ..errors import SessionError
from ..network import bytes_of
from .header import Header, Malformed, Piece, aligned, decode, encode

MAGIC = b"mpcsave\0"
VERSION = 1
PRELUDE = struct.Struct("<8sIIQ")
CHECKSUM = 32
MOST_HEADER = 1 << 26
BLOCK = 1 << 20


def write(file: BinaryIO, header: Header, tensors: Iterable[Iterable[Tensor]]) -> None:
    """Write a checkpoint. tensors: contiguous, for each piece of the header those that make it up.

    Raises SessionError where the nest is too large for a header.
    """
    text = encode(header)
    text += b" " * (aligned(PRELUDE.size + len(text)) - PRELUDE.size - len(text))
    if len(text) > MOST_HEADER:
        raise SessionError(
            f"`obj` takes {len(text)} bytes to describe, of at most {MOST_HEADER}: keep long lists"
            " of numbers in tensors"
        )
    *starts, end = header.offsets(PRELUDE.size + len(text))
    sink = _Sink(file)
    sink.put(PRELUDE.pack(MAGIC, VERSION, len(text), end + CHECKSUM))
    sink.put(text)
    for start, group in zip(starts, tensors, strict=True):
        sink.fill(start)
        for tensor in group:
            sink.put(bytes_of(tensor))
    sink.fill(end)
    file.write(sink.hash.digest())


class _Sink:
    """Writes and hashes."""

    def __init__(self, file: BinaryIO) -> None:
        self.hash = blake2b(digest_size=CHECKSUM)
        self._file, self._written = file, 0

    def put(self, data: bytes | memoryview) -> None:
        self.hash.update(data)
        self._file.write(data)
        self._written += len(data)

    def fill(self, offset: int) -> None:
        self.put(bytes(offset - self._written))


@contextmanager
def opened(path: Path, check: bool) -> Iterator[Reader]:
    """The checkpoint at a path. check: whether to compare its checksum, which takes time.

    Raises OSError where there is none, Malformed where there is something else.
    """
    with open(path, "rb", opener=_open) as file:
        yield Reader(file, check)


def _open(path: str, flags: int) -> int:
    """Without waiting, should it be a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class Reader:
    """A checkpoint's file. header: what it says of itself, but for the tree, checked."""

    def __init__(self, file: BinaryIO, check: bool) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Malformed("it is no file")
        length = self._prelude(status.st_size)
        if check:
            self._verify(status.st_size - CHECKSUM)
        self.header = decode(file.read(length))
        *self._offsets, end = self.header.offsets(PRELUDE.size + length)
        if end + CHECKSUM != status.st_size:
            raise Malformed(f"it has {status.st_size} bytes, its tensors take {end + CHECKSUM}")

    def _prelude(self, actual: int) -> int:
        """The length of the header."""
        prelude = self._file.read(PRELUDE.size)
        if len(prelude) < PRELUDE.size or not prelude.startswith(MAGIC):
            raise Malformed("it is no checkpoint")
        _, version, length, size = PRELUDE.unpack(prelude)
        if version != VERSION:
            raise Malformed(f"it is of format {version}; this release reads format {VERSION}")
        if size != actual:
            raise Malformed(f"it has {actual} of {size} bytes: it was cut off, or appended to")
        if length > MOST_HEADER or PRELUDE.size + length + CHECKSUM > size:
            raise Malformed(f"it claims a header of {length} bytes")
        return int(length)

    def _verify(self, left: int) -> None:
        """Compare the checksum of the whole file."""
        self._file.seek(0)
        found = blake2b(digest_size=CHECKSUM)
        while left > 0 and (block := self._file.read(min(left, BLOCK))):
            found.update(block)
            left -= len(block)
        if self._file.read(CHECKSUM + 1) != found.digest():
            raise Malformed("its checksum is wrong: it is damaged")
        self._file.seek(PRELUDE.size)

    def tensors(self, index: int) -> list[Tensor]:
        """The data of a piece: the parts of a share, or one plain tensor."""
        piece = self.header.data[index]
        self._file.seek(self._offsets[index])
        if piece.scale is None:
            return [self._tensor(piece, piece.dtype)]
        return [self._tensor(piece, torch.int64) for _ in self.header.holds]

    def _tensor(self, piece: Piece, dtype: torch.dtype) -> Tensor:
        tensor = torch.empty(piece.shape, dtype=dtype)
        memory = bytes_of(tensor)
        while memory:
            got = self._file.readinto(memory[:BLOCK])  # type: ignore[attr-defined]
            if not got:
                raise Malformed("it became shorter while it was read")
            memory = memory[got:]
        if dtype == torch.bool and bool((tensor.view(torch.uint8) > 1).any()):
            raise Malformed("a truth value that is neither true nor false")
        return tensor
