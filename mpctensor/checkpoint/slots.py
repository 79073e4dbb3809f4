"""Where checkpoints lie: `path`, the one before it, and one that is being written.

A save is written to `<path>.new`. Once every party has written it, `path` becomes
`<path>.previous` and the new one takes its place. So whoever is killed, whenever: there is a save
that all parties have, and it is the last or the one before it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from torch import Tensor

from ..errors import SessionError
from ..session import Session
from .file import opened, write
from .header import Header, Malformed
from .nest import rebuild

MODE = 0o600  # shares are their party's own
WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Save(NamedTuple):
    """A save among all; the larger counter is the later one."""

    counter: int
    id: bytes


class Slots:
    """The files of one party. found: its usable saves; wrong: why other files are of no use."""

    def __init__(self, session: Session, path: str | os.PathLike[str]) -> None:
        self.session = session
        self.path = Path(path).absolute()
        self.previous = self.path.with_name(self.path.name + ".previous")
        self.fresh = self.path.with_name(self.path.name + ".new")
        self.found: dict[Save, Path] = {}
        self.wrong: dict[Path, str] = {}
        self._file: BinaryIO | None = None

    @property
    def started(self) -> bool:
        """Whether a save was ever completed here, of whatever use it is."""
        return os.path.lexists(self.path) or os.path.lexists(self.previous)

    def look(self, thoroughly: bool) -> None:
        """Find the usable saves. thoroughly: compare checksums of complete ones too."""
        for slot in (self.fresh, self.previous, self.path):
            try:
                with opened(slot, thoroughly or slot == self.fresh) as reader:
                    header = reader.header
                    check_owner(header, self.session)
                    rebuild(header.tree, header.entries)
                self.found[Save(header.counter, header.id)] = slot
            except FileNotFoundError:
                pass
            except (OSError, Malformed) as error:
                self.wrong[slot] = str(error)

    def settle(self, newest: Save | None) -> None:
        """Before a new save: what all parties have, but one interrupted, moves to `path`."""
        if newest is not None and self.found[newest] == self.fresh:
            self._rotate(keep=True)
            self.found[newest] = self.path

    def commit(self, before: Save | None) -> None:
        """The save just written takes its place. before: the last one that all parties have."""
        self._rotate(keep=before is None or self.found[before] != self.previous)

    def _rotate(self, keep: bool) -> None:
        if keep and os.path.lexists(self.path):
            os.replace(self.path, self.previous)
        os.replace(self.fresh, self.path)
        self._sync_folder()

    def write(self, header: Header, tensors: Iterable[Iterable[Tensor]]) -> None:
        """Write a save, and see that it is on the disk; nobody else writes there before `close`.

        Raises OSError, SessionError where another process is writing there.
        """
        file = self._file = self._opened()
        file.truncate(0)
        write(file, header, tensors)
        file.flush()
        os.fsync(file.fileno())
        self._sync_folder()

    def _opened(self) -> BinaryIO:
        """The file to write, locked."""
        file = os.fdopen(os.open(self.fresh, WRITE, MODE), "r+b")
        try:
            os.fchmod(file.fileno(), MODE)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(self.fresh)):
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
        file.close()
        raise SessionError(
            f"another process writes {self.fresh}: every party needs a path of its own, such as"
            ' f"{mpctensor.party()}.ckpt"'
        )

    def discard(self) -> None:
        """Give up the save that this process was writing."""
        if self._file is not None:
            with suppress(OSError):
                self.fresh.unlink()

    def close(self) -> None:
        """Let others write."""
        if self._file is not None:
            self._file.close()

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def check_owner(header: Header, session: Session) -> None:
    """Malformed where a file is of other parties, or holds the shares of another one."""
    if header.parties != session.names:
        raise Malformed(
            f"it is of a session of {', '.join(header.parties)}; this one is of"
            f" {', '.join(session.names)}"
        )
    here = owners(session)
    if header.holds != here:
        raise Malformed(
            f"it has the shares of {_whose(header.holds, session)}; this process is"
            f" {_whose(here, session)}"
        )


def owners(session: Session) -> tuple[str, ...]:
    """The parties that live in this process."""
    return tuple(session.names[p] for p in session.local)


def _whose(holds: Sequence[str], session: Session) -> str:
    together = "all parties, a simulated session"
    return together if tuple(holds) == session.names else " and ".join(holds)
