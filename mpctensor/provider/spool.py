"""Corrections kept in a file until they are used, so that much can be dealt beforehand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import SessionError
from ..network import bytes_of


def check_new(path: str | os.PathLike[str]) -> None:
    """Raise SessionError where no new file can be made: something is there, or no folder is."""
    if not Path(path).parent.is_dir():
        raise SessionError(f"`path` is {path!s}, in a folder that does not exist: make it")
    if os.path.lexists(path):
        raise SessionError(f"`path` is {path!s}, which exists: name a new file")


class Spool:
    """A file of tensors. It is this party's secret, and removed at the end.

    Threads may keep, read back and close at once: after the end of a session the number of its
    descriptor may be another file's.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except (FileNotFoundError, FileExistsError):
            check_new(self.path)
            raise
        self._end = 0
        self._closed = False
        self._lock = threading.Lock()

    def keep(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Append tensors (int64, contiguous); calling the result reads them back.

        Both raise SessionError once the file is closed.
        """
        with self._lock:
            places = [(self._append(tensor), tensor.shape) for tensor in tensors]
        return lambda: self._read_all(places)

    def _read_all(self, places: Sequence[tuple[int, torch.Size]]) -> list[Tensor]:
        with self._lock:
            return [self._read(offset, shape) for offset, shape in places]

    def _check_open(self) -> None:
        if self._closed:
            raise SessionError(f"{self.path} is closed: its session has ended")

    def _append(self, tensor: Tensor) -> int:
        self._check_open()
        offset, done = self._end, 0
        data = bytes_of(tensor)
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], offset + done)
        self._end += done
        return offset

    def _read(self, offset: int, shape: torch.Size) -> Tensor:
        self._check_open()
        tensor, done = torch.empty(shape, dtype=torch.int64), 0
        data = bytes_of(tensor)
        while done < len(data):
            count = os.preadv(self._descriptor, [data[done:]], offset + done)
            if count == 0:
                raise SessionError(
                    f"{self.path} is shorter than what was written to it: what was dealt ahead is"
                    " lost; start again, and let nothing else write there"
                )
            done += count
        return tensor

    def close(self) -> None:
        """Remove the file; safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._descriptor)
                self.path.unlink(missing_ok=True)
