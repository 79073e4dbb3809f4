"""Parties and a provider as processes of their own, on loopback; over TLS unless told otherwise."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mpctensor.command.keys import make_all
from mpctensor.deployment import load
from tests.deployed.forked import Forked

ROOT = Path(__file__).parents[2]
JAMES = Path(__file__).with_name("james.py")
Process = subprocess.Popen[str] | Forked


def line_up(
    folder: Path,
    names: Sequence[str] = ("alice", "bob"),
    *,
    timeout: float = 20,
    startup: float = 60,
    plain: bool = False,
) -> Path:
    """A parties.toml for these parties and james, on free ports, with certificates made for it."""
    with ExitStack() as held:
        free = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in (*names, "james")
        ]
        ports = [s.getsockname()[1] for s in free]
    text = f"timeout = {timeout}\nstartup = {startup}\n"
    text += "plain_tcp = true\n" if plain else 'ca = "ca.pem"\n'
    sections = [*(("parties", name) for name in names), ("provider", "james")]
    for (section, name), port in zip(sections, ports, strict=True):
        text += f'[{section}.{name}]\naddress = "127.0.0.1:{port}"\n'
        if not plain:
            text += f'certificate = "{name}.pem"\nkey = "{name}.key"\n'
    path = folder / "parties.toml"
    path.write_text(text)
    if not plain:
        make_all(load(path))
    return path


def start(config: Path, *arguments: str | Path, **variables: str) -> Process:
    """A script, or a Python of its own for options (`-m pytest`); `ended` reads what it prints."""
    words = [str(argument) for argument in arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env |= {"MPCTENSOR_CONFIG": str(config), **variables}
    if not words[0].startswith("-"):
        return Forked(words, env)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *words], env=env, text=True, stdout=pipe, stderr=pipe)


@contextmanager
def provider(config: Path) -> Iterator[Process]:
    """The provider's service, for as long as the block runs."""
    process = start(config, JAMES, config)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


def parties(
    config: Path,
    *arguments: str | Path,
    names: Sequence[str] = ("alice", "bob"),
    faults: Mapping[str, str] | None = None,
) -> dict[str, Process]:
    """Python with these arguments at every party. faults: the variable FAULT of some."""
    return {
        name: start(config, *arguments, MPCTENSOR_PARTY=name, FAULT=(faults or {}).get(name, ""))
        for name in names
    }


def ended(processes: Mapping[str, Process], seconds: float = 60) -> dict[str, tuple[int, str, str]]:
    """(exit code, output, errors) of each, once all have ended."""
    try:
        results = {
            name: process.communicate(timeout=seconds) for name, process in processes.items()
        }
        return {name: (processes[name].returncode, *texts) for name, texts in results.items()}
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()


def run(
    folder: Path,
    *arguments: str | Path,
    names: Sequence[str] = ("alice", "bob"),
    seconds: float = 60,
    plain: bool = False,
) -> dict[str, tuple[int, str, str]]:
    """Everybody on loopback, to the end."""
    config = line_up(folder, names, timeout=seconds, plain=plain)
    with provider(config):
        return ended(parties(config, *arguments, names=names), seconds)
