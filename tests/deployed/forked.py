"""A script in a process that was forked off one that has imported torch (see zygote.py)."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from time import monotonic

ZYGOTE = Path(__file__).with_name("zygote.py")


@cache
def zygote() -> socket.socket:
    """Where orders go; the first starts the process that takes them, the end of this one ends it.

    It has a variable that is read when torch is imported, and a group of its own: an interrupted
    test run ends the scripts itself.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(ZYGOTE), str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": str(ZYGOTE.parents[2]), "OMP_NUM_THREADS": "1"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


class Forked:
    """A script that runs, with as much of the interface of `subprocess.Popen` as tests use."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        pipes = [os.pipe() for _ in range(3)]
        order = {"arguments": arguments, "environment": dict(environment)}
        socket.send_fds(zygote(), [json.dumps(order).encode()], [end for _, end in pipes])
        for _, end in pipes:
            os.close(end)
        output, errors, report = (end for end, _ in pipes)
        self.args = arguments
        self.stdout, self.stderr = os.fdopen(output), os.fdopen(errors)
        self._report = os.fdopen(report, "rb", buffering=0)
        self._read = {stream.fileno(): b"" for stream in (self.stdout, self.stderr)}
        self._open = set(self._read)
        self.returncode: int | None = None
        self.pid = int(self._report.readline())

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.returncode = int(self._report.readline())
            self._report.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._report], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote since, once it has ended."""
        until = None if timeout is None else monotonic() + timeout
        while self._open:
            left = None if until is None else max(0.0, until - monotonic())
            ready = select.select(list(self._open), [], [], left)[0]
            if not ready:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for stream in ready:
                data = os.read(stream, 1 << 16)
                self._read[stream] += data
                if not data:
                    self._open.discard(stream)
        for text in (self.stdout, self.stderr):
            text.close()
        self.wait(None if until is None else max(0.0, until - monotonic()))
        output, errors = (text.decode() for text in self._read.values())
        return output, errors

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
