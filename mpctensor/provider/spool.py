"""Corrections kept in a file until they are used, so that much can be dealt beforehand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..network import bytes_of


class Spool:
    """A file of tensors. It is this party's secret, and removed at the end."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._end = 0

    def keep(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Append tensors (int64, contiguous); calling the result reads them back."""
        places = [(self._append(tensor), tensor.shape) for tensor in tensors]
        return lambda: [self._read(offset, shape) for offset, shape in places]

    def _append(self, tensor: Tensor) -> int:
        offset, done = self._end, 0
        data = bytes_of(tensor)
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], offset + done)
        self._end += done
        return offset

    def _read(self, offset: int, shape: torch.Size) -> Tensor:
        tensor, done = torch.empty(shape, dtype=torch.int64), 0
        data = bytes_of(tensor)
        while done < len(data):
            count = os.preadv(self._descriptor, [data[done:]], offset + done)
            if count == 0:
                raise OSError(f"{self.path} is shorter than what was written to it")
            done += count
        return tensor

    def close(self) -> None:
        """Remove the file."""
        os.close(self._descriptor)
        self.path.unlink(missing_ok=True)
