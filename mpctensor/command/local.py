"""`mpctensor run --local`: every member a process of its own on loopback, all ended together.

The members' certificates live in a folder that goes with the run. Every process leads a process
group, which is ended with it; should this one be killed, the lifelines end the others.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType
from typing import NoReturn

from ..starting import CONFIG_VARIABLE, PARTY_VARIABLE
from .lifeline import LOST_A_PEER, READY, VARIABLE
from .output import Reader, Screen, label
from .throwaway import deployment

POLL = 0.02  # seconds
AFTERMATH = 2.0  # seconds that the others have to say what a failure meant for them
GRACE = 5.0  # seconds from a polite request to end to an impolite one
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Child:
    """A member's process."""

    def __init__(self, name: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self._line, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mpctensor", *arguments],
                env={**environment, VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._readers: list[Reader] = []
        self._said = b""

    def show(self, screen: Screen, width: int, place: int) -> None:
        """Show its output from now on."""
        for pipe, stream in ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)):
            assert pipe is not None
            reader = Reader(pipe, screen, stream, label(self.name, width, place, stream))
            reader.start()
            self._readers.append(reader)

    @property
    def code(self) -> int | None:
        """Its exit code, as a shell counts, or None while it runs."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def said(self, word: bytes) -> bool:
        """Whether it has said this over its lifeline (READY, LOST_A_PEER)."""
        with suppress(BlockingIOError, ConnectionError):
            self._said += self._line.recv(16, socket.MSG_DONTWAIT)
        return word in self._said

    def end(self, polite: signal.Signals) -> None:
        """Ask it to end; one that is not ready to be asked has nothing to lose."""
        if self.process.poll() is None:
            self.process.send_signal(polite if self.said(READY) else signal.SIGTERM)

    def finish(self) -> None:
        """Whatever is left of its group goes, and its last words are shown."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:
            reader.join(2)
        self._line.close()


def run(
    parties: Sequence[str], provider: str, script: Sequence[str], *, plain: bool = False
) -> int:
    """Run a script at every party; the exit code of the first that failed, else 0."""
    with deployment(parties, provider, plain=plain) as config, _children() as children:
        screen, width = Screen(), max(map(len, (*parties, provider)))
        environment = _environment(config, len(parties))
        dealer = ["provider", "--as", provider]
        children.append(Child(provider, dealer, environment))
        for name in parties:
            children.append(Child(name, ["run", "--as", name, *script], environment))
        for place, child in enumerate(children):
            child.show(screen, width, place)
        return _watch(children[0], children[1:], screen)


def _environment(config: Path, parties: int) -> dict[str, str]:
    """The members' environment; parties share the cores unless the user has shared them out."""
    environment = {**os.environ, CONFIG_VARIABLE: str(config), "PYTHONUNBUFFERED": "1"}
    environment.pop(PARTY_VARIABLE, None)
    if not any(variable in os.environ for variable in THREAD_VARIABLES):
        threads = max(1, len(os.sched_getaffinity(0)) // parties)
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return environment


def _ended_from_outside(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _children() -> Iterator[list[Child]]:
    """A list whose processes are gone at the end, whatever happens."""
    ending = (signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, _ended_from_outside) for number in ending}
    children: list[Child] = []
    polite = signal.SIGTERM
    try:
        yield children
    except KeyboardInterrupt:
        polite = signal.SIGINT  # what the scripts would have got at a terminal
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        try:
            _end(children, polite)
        finally:
            for child in children:
                child.finish()
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _end(children: Sequence[Child], polite: signal.Signals) -> None:
    """Ask everybody to end, and wait a while."""
    for child in children:
        child.end(polite)
    _wait(children, GRACE)


def _wait(children: Sequence[Child], seconds: float) -> None:
    until = monotonic() + seconds
    while any(child.code is None for child in children) and monotonic() < until:
        sleep(POLL)


def _watch(provider: Child, parties: Sequence[Child], screen: Screen) -> int:
    """Wait until all parties have ended, or one member has failed."""
    everybody = (provider, *parties)
    while all(child.code in (None, 0) for child in everybody) and not screen.broken:
        if all(child.code == 0 for child in parties):
            return 0
        if provider.code is not None:
            break  # nobody told it to
        sleep(POLL)
    return _nobody_reads() if screen.broken else _blame(everybody)


def _nobody_reads() -> int:
    """What a program does whose output goes into a closed pipe: it ends without a word."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    return 128 + signal.SIGPIPE


def _blame(children: Sequence[Child]) -> int:
    """The code of the member whose failure was nobody else's, after the others have noticed."""
    failed = [child for child in children if child.code is not None]
    until = monotonic() + AFTERMATH
    while monotonic() < until and any(child.code is None for child in children[1:]):
        failed += [c for c in children if c.code is not None and c not in failed]
        sleep(POLL)
    failed += [c for c in children if c.code is not None and c not in failed]
    codes = [(child.said(LOST_A_PEER), child.code) for child in failed if child.code]
    return min(codes, key=lambda entry: entry[0])[1] if codes else 1
