"""Striking a run that is under way, and what its survivors say."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mpctensor.deployment import load
from tests.deployed import faulty
from tests.deployed.processes import Process, ended, parties

Processes = dict[str, Process]
Outcome = tuple[int, str, str]
TIMEOUT = 3.0  # of the sessions
LIMIT = 30.0  # seconds in which every process must have ended


def started(config: Path, case: str, names: Iterable[str] = ("alice", "bob")) -> Processes:
    """The case at every party, under way."""
    processes = parties(config, faulty.__file__, case, names=tuple(names))
    for process in processes.values():
        await_word(process)
    return processes


@contextmanager
def deaf(config: Path) -> Iterator[Callable[[], object]]:
    """In the provider's place one that takes calls and says nothing, as one that was stopped.

    Gives a function that waits until both parties call.
    """
    with ExitStack() as stack:
        address = load(config).provider.address
        server = stack.enter_context(socket.create_server(address))
        server.settimeout(LIMIT)
        yield lambda: [stack.enter_context(server.accept()[0]) for _ in range(2)]


def await_word(process: Process, word: str = "here") -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == word + "\n", (line, process.communicate(timeout=LIMIT))


def struck(processes: Processes, blow: Callable[[Processes], Any]) -> Mapping[str, Outcome]:
    """How all end after the blow."""
    try:
        blow(processes)
    finally:
        out = ended(processes, LIMIT)
    return out


def last_line(outcome: Outcome) -> str:
    return outcome[2].strip().splitlines()[-1]


def check_told(folder: Path, out: Mapping[str, Outcome], said: Mapping[str, str]) -> None:
    """Each survivor ended with an error that matches; nothing was completed, nothing leaked."""
    for name, pattern in said.items():
        code, output, errors = out[name]
        assert code != 0 and "complete" not in output, (name, out[name])
        assert re.search(pattern, last_line(out[name])), f"{name}: {last_line(out[name])!r}"
        assert errors.count("Traceback") <= 1 + errors.count("direct cause"), errors
    check_discreet(out)
    assert not any((folder / f"{name}.out").exists() for name in said)


def check_discreet(out: Mapping[str, Outcome]) -> None:
    """No process printed the secret, as a number or as a ring element."""
    shown = str(faulty.SECRET)[:5], str(round(faulty.SECRET * 2**16))
    for _, output, errors in out.values():
        quoted = errors.replace("SECRET = ", "")
        assert not any(text in output + quoted for text in shown), output + errors
