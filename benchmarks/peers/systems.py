"""The systems: which processes each consists of, on loopback.

A party, the provider and plain torch have `threads` threads. A simulated session, two parties and
the provider in one process, has as many as two parties.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mpctensor.command.throwaway import deployment, reserved_port
from mpctensor.starting import CONFIG_VARIABLE, PARTIES, PARTY_VARIABLE, PROVIDER

from .members import Failure, Member, Members
from .prepare import PEERS, interpreter, prepare

STARTUP = 180.0  # seconds


@dataclass
class Place:
    """Where a system is being started: `stack` ends what goes with it."""

    stack: ExitStack
    threads: int

    def __post_init__(self) -> None:
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))

    def member(
        self,
        name: str,
        module: str,
        *arguments: str,
        threads: int | None = None,
        python: str | Path = sys.executable,
        **variables: str,
    ) -> Member:
        member = Member(
            (python, "-m", module, *arguments),
            self.folder / f"{name}.log",
            threads or self.threads,
            variables,
        )
        self.stack.callback(member.end)
        return member


def _module(name: str) -> str:
    return f"{__package__}.run_{name}"


def _alone(module: str, parties: int) -> Callable[[Place], Members]:
    return lambda place: Members(
        [place.member(module, _module(module), threads=parties * place.threads)]
    )


def _deployed(*bits: str, plain: bool = False) -> Callable[[Place], Members]:
    def start(place: Place) -> Members:
        config = str(place.stack.enter_context(deployment(PARTIES, PROVIDER, plain=plain)))
        provider = place.member(PROVIDER, "mpctensor", "provider", "--config", config)
        parties = [
            place.member(
                name,
                _module("mpctensor"),
                *bits,
                **{CONFIG_VARIABLE: config, PARTY_VARIABLE: name},
            )
            for name in PARTIES
        ]
        return Members(parties, [provider])

    return start


def _crypten(place: Place) -> Members:
    variables = {
        "WORLD_SIZE": "2",
        "RENDEZVOUS": f"file://{place.folder / 'rendezvous'}",
        "DISTRIBUTED_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    python = interpreter("crypten")
    return Members(
        [
            place.member(f"party{rank}", _module("crypten"), python=python, RANK=rank, **variables)
            for rank in "01"
        ]
    )


def _spu(place: Place) -> Members:
    ports = [place.stack.enter_context(reserved_port()) for _ in range(2)]
    addresses = [f"127.0.0.1:{port}" for port in ports]
    python = interpreter("spu")
    return Members(
        [
            place.member(f"party{rank}", _module("spu"), rank, *addresses, python=python)
            for rank in "01"
        ]
    )


SYSTEMS: dict[str, Callable[[Place], Members]] = {
    "mpctensor": _deployed(),
    "mpctensor-18": _deployed("18"),
    "mpctensor-plain": _deployed(plain=True),
    "mpctensor-simulated": _alone("mpctensor", len(PARTIES)),
    "crypten": _crypten,
    "spu": _spu,
    "torch": _alone("torch", 1),
}


class System:
    """One system, which starts when it is needed, and anew after it has failed."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.versions = name, dict[str, str]()
        self._threads, self._stack = threads, ExitStack()
        self._members: Members | None = None
        self._missing: str | None = None

    def members(self) -> Members:
        """Its processes; Failure where they do not start."""
        if self._members is None:
            self._prepare()
            members = SYSTEMS[self.name](Place(self._stack, self._threads))
            self.versions = members.replies(STARTUP)[0]["versions"]
            self._members = members
        return self._members

    def _prepare(self) -> None:
        """The peer's environment; what has failed once is not tried again."""
        if self.name in PEERS and self._missing is None:
            try:
                prepare(self.name)
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                self._missing = f"no environment: {error}"
        if self._missing is not None:
            raise Failure(self._missing)

    def end(self) -> None:
        self._stack.close()
        self._members = None
