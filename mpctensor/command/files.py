"""Files that commands write: nothing is overwritten unasked, keys are for their owner only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from .usage import UsageError

PUBLIC, PRIVATE = 0o644, 0o600


def check_absent(paths: Iterable[Path], force: bool) -> None:
    """Refuse before anything is written if something is there that would be lost."""
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise UsageError(f"{', '.join(there)} exists already; --force overwrites")


def write(path: Path, data: bytes, mode: int, force: bool) -> None:
    """Write a file that appears whole or not at all; only `force` replaces one."""
    check_absent([path], force)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        if force:
            os.replace(part, path)
        else:
            os.link(part, path)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already; --force overwrites") from error
    finally:
        part.unlink(missing_ok=True)
