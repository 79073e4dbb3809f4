"""Parties and a provider as processes of their own, over plain TCP on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROVIDER = """
import sys, threading
from mpctensor.deployment import load
from mpctensor.provider import Service
config = load(sys.argv[1])
service = Service(config.identity("james"), config.provider.address, config.names,
                  timeout=config.timeout, startup=config.startup, log=print)
print("ready", flush=True)
threading.Event().wait()
"""


def line_up(folder: Path, timeout: float = 20) -> Path:
    """A parties.toml for alice, bob and james on free ports."""
    with ExitStack() as held:
        free = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [s.getsockname()[1] for s in free]
    sections = ("parties.alice", "parties.bob", "provider.james")
    text = f"plain_tcp = true\ntimeout = {timeout}\nstartup = 60\n"
    for section, port in zip(sections, ports, strict=True):
        text += f'[{section}]\naddress = "127.0.0.1:{port}"\n'
    path = folder / "parties.toml"
    path.write_text(text)
    return path


def start(config: Path, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """A Python process; its output is read through `ended`."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env |= {"MPCTENSOR_CONFIG": str(config), **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], env=env, text=True, stdout=pipe, stderr=pipe
    )


@contextmanager
def provider(config: Path) -> Iterator[None]:
    """The provider's service, for as long as the block runs."""
    process = start(config, "-c", PROVIDER, config)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        yield
    finally:
        process.kill()
        process.communicate()


def parties(
    config: Path, script: Path, *arguments: str | Path, faults: Mapping[str, str] | None = None
) -> dict[str, subprocess.Popen[str]]:
    """The script at alice and bob. faults: the variable FAULT of some."""
    return {
        name: start(
            config, script, *arguments, MPCTENSOR_PARTY=name, FAULT=(faults or {}).get(name, "")
        )
        for name in ("alice", "bob")
    }


def ended(
    processes: Mapping[str, subprocess.Popen[str]], seconds: float = 60
) -> dict[str, tuple[int, str, str]]:
    """(exit code, output, errors) of each, once all have ended."""
    try:
        return {
            name: (process.wait(seconds), *process.communicate())
            for name, process in processes.items()
        }
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
