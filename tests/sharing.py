"""Helpers of the tests: share plain values, add parts up again, run one party alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mpctensor.encoding import encode
from mpctensor.session import Session
from mpctensor.share import Share
from mpctensor.starting import simulated
from mpctensor.transport import Meter, Opening, SimulatedTransport

NAMES = ("alice", "bob", "carol", "dave", "erin")
UNIT = 1 << 16

# Ring elements at which protocols break first.
SMALL = [1, 2, 15, 16, 17, 255, 256, 65535, 65536, 65537]
LARGE = [1 << 32, (1 << 47) - 1, 1 << 47, 1 << 61, (1 << 62) - 1]
EDGES = torch.tensor([0, *(sign * v for v in (*SMALL, *LARGE) for sign in (1, -1))])


def make_session(n: int = 2, seed: int = 7, **stand_ins: Any) -> Session:
    """A repeatable simulated session of n parties, not on the stack of active sessions."""
    return simulated(NAMES[:n], "james", unit=UNIT, seed=seed, **stand_ins)


def share_raw(session: Session, raw: Tensor, scale: int = UNIT, unit: int = UNIT) -> Share:
    """Secret-share ring elements."""
    parts = session.input(raw, raw.shape, 0)
    return Share.make(session, parts, torch.float32, scale, unit)


def share_value(session: Session, value: Tensor, scale: int = UNIT, unit: int = UNIT) -> Share:
    """Secret-share real numbers."""
    return share_raw(session, encode(value, scale), scale, unit)


def raw_of(share: Share) -> Tensor:
    """The ring elements behind a share of a simulated session."""
    total = torch.zeros(share.shape, dtype=torch.int64)
    for part in share.parts:
        total = total + part
    return total


def value_of(share: Share) -> Tensor:
    """The real numbers behind a share of a simulated session (float64)."""
    return raw_of(share).double() / share.scale


class Recorder(SimulatedTransport):
    """A simulated transport that remembers every public value, in order."""

    def __init__(self, n: int) -> None:
        super().__init__(n, Meter())
        self.rounds: list[list[Tensor]] = []

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        values = super().open(batch)
        self.rounds.append([value.clone() for value in values])
        return values


class Replay:
    """Gives one party the public values of an earlier run, and keeps what the party sends."""

    failure = None

    def __init__(self, rounds: list[list[Tensor]]) -> None:
        self._rounds = iter(rounds)

    def agree(self, *facts: object) -> None:
        """The others are not here to disagree."""

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        values = next(self._rounds)
        assert len(values) == len(batch)
        return [value.clone() for value in values]

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        return self.open([opening])[0]


def run_each_party_alone(n: int, program: Callable[[Session], Share], **settings: Any) -> None:
    """Run a program with all parties, then once per party with the others' parts absent.

    The absent parts raise on any use, so a protocol that looks at another party's part fails. Every
    party must end with the same part as before.
    """
    recorder = Recorder(n)
    expected = program(make_session(n, transport=recorder, **settings))
    for p in range(n):
        alone = make_session(n, local=(p,), transport=Replay(recorder.rounds), **settings)
        result = program(alone)
        assert torch.equal(result.parts[p], expected.parts[p])
