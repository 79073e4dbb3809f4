"""A process that `run --local` started ends with it, however that ended: `kill -9` included.

The starter keeps one end of a socket pair and never closes it; the other end reports end of file
once the starter is gone. The started process leads a process group of its own, which then goes.
"""

from __future__ import annotations

import os
import signal
import socket
import threading

VARIABLE = "MPCTENSOR_LIFELINE"  # the number of the file descriptor
READY = b"r"  # said once signals are handled
LOST_A_PEER = b"p"  # said before ending because of somebody else's failure

_line: socket.socket | None = None


def hold() -> None:
    """Watch the lifeline, where this process has one; its own children do not inherit it."""
    global _line
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return
    _line = socket.socket(fileno=int(number))
    _line.set_inheritable(False)
    _line.send(READY)
    threading.Thread(target=_watch, args=(_line,), daemon=True).start()


def _watch(line: socket.socket) -> None:
    try:
        line.recv(1)
    finally:
        os.killpg(0, signal.SIGKILL)


def say_lost_a_peer() -> None:
    """Tell the starter that this failure is a consequence of another's."""
    if _line is not None:
        _line.send(LOST_A_PEER)
