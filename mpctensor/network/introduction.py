"""What members say before a channel exists: an object of JSON after its length, nothing larger."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

MOST_BYTES = 4096
MOST_NOTED = 500  # characters of what is noted of a failure
LENGTH = struct.Struct("<I")


def write(connection: socket.socket, value: dict[str, Any]) -> None:
    """Send an introduction, or the answer to one."""
    text = json.dumps(value).encode()
    connection.sendall(LENGTH.pack(len(text)) + text)


def read(connection: socket.socket) -> dict[str, Any]:
    """Receive one; ValueError for anything else, ConnectionError where it breaks off."""
    (size,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if size > MOST_BYTES:
        raise ValueError(f"an introduction of {size} bytes; at most {MOST_BYTES}")
    try:
        value = json.loads(_exactly(connection, size))
    except (ValueError, RecursionError) as error:
        raise ValueError("an introduction that is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("an introduction that is not an object")
    return value


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        piece = connection.recv(size - len(got))
        if not piece:
            raise ConnectionError("hung up during the introduction")
        got += piece
    return bytes(got)


def printable(value: Any, most: int = 200) -> str:
    """What a stranger said, fit for a message: at most so many characters, all on one line."""
    return "".join(c for c in str(value)[:most] if c.isprintable())
