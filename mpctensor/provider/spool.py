"""Corrections kept in a file until they are used, so that much can be dealt beforehand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ..errors import SessionError
from ..network import bytes_of
from ..network.identity import why

Name = str | os.PathLike[str]


def check_new(path: Name) -> None:
    """Raise SessionError where no new file can be made: makes it, and removes it again."""
    os.close(_made(path))
    os.unlink(path)


def _made(path: Name) -> int:
    """A new file's descriptor."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError, TypeError) as error:  # ValueError: of a name that cannot be one
        raise SessionError(f"`path` is {str(path)!r}, {_obstacle(path, error)}") from error


def _obstacle(path: Name, error: Exception) -> str:
    """What keeps a file from being made, and the way out."""
    if isinstance(error, FileExistsError):
        return "which exists: name a new file; what a run that was killed has left is of no use"
    if isinstance(error, FileNotFoundError) and not os.path.isdir(os.path.dirname(path) or "."):
        return "in a folder that does not exist: make it"
    return (
        f"where no file can be made ({why(error)}): name a new file, in a folder that this process"
        " may write to"
    )


class Spool:
    """A file of tensors. It is this party's secret, and removed at the end.

    Threads may keep, read back and close at once: after the end of a session the number of its
    descriptor may be another file's. Raises SessionError where no new file can be made.
    """

    def __init__(self, path: Name) -> None:
        self._descriptor = _made(path)
        self.path = Path(os.fsdecode(path)).absolute()
        self._end = 0
        self._closed = False
        self._lock = threading.Lock()

    def keep(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Append tensors (int64, contiguous); calling the result reads them back.

        Both raise SessionError once the file is closed, and where the system refuses.
        """
        with self._lock, self._told("written", "make room there, or have fewer steps dealt ahead"):
            places = [(self._append(tensor), tensor.shape) for tensor in tensors]
        return lambda: self._read_all(places)

    def _read_all(self, places: Sequence[tuple[int, torch.Size]]) -> list[Tensor]:
        with self._lock, self._told("read", "what was dealt ahead is lost; start again"):
            return [self._read(offset, shape) for offset, shape in places]

    @contextmanager
    def _told(self, done: str, advice: str) -> Iterator[None]:
        """Where the system refuses, say what file could not be used, and what to do."""
        try:
            yield
        except OSError as error:
            raise SessionError(f"{self.path} cannot be {done}: {why(error)}; {advice}") from error

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
