"""A deployment on loopback for one run: free ports and certificates that are thrown away."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..deployment import load
from .keys import make_all
from .line_up import line_up, write_line_up

HOST = "127.0.0.1"
STARTUP = 120  # seconds until everybody has imported torch, on a busy machine


@contextmanager
def deployment(
    parties: Sequence[str],
    provider: str,
    *,
    plain: bool = False,
    timeout: float = 300.0,
    startup: float = STARTUP,
) -> Iterator[Path]:
    """The parties.toml of a deployment that exists while the context lasts."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mpctensor-")))
        ports = [stack.enter_context(reserved_port()) for _ in (*parties, provider)]
        addresses = [f"{HOST}:{port}" for port in ports]
        settings = [f"timeout = {timeout}", f"startup = {startup}"]
        settings.append("plain_tcp = true" if plain else 'ca = "ca.pem"')
        text = line_up(parties, provider, addresses, settings=settings, certificates=not plain)
        path = write_line_up(folder, text)
        if not plain:
            make_all(load(path))
            (folder / "ca.key").unlink()
        yield path


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else is given meanwhile, but that a member can listen on.

    A socket that is bound but does not listen keeps the system from giving the port to others;
    Linux lets a listener in beside it, as both allow reuse. Elsewhere the port is let go at once.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port
