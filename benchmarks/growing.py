"""One measurement of `bench_growth`, in a process of its own: `python -m benchmarks.growing`.

The arguments are a work and a size. The process is a party where the environment says so, else all
of them. It writes a line of JSON: seconds of each repetition, the most memory that the first one
took beyond what was there before, rounds and bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

import mpctensor as mpc

from .growth import WORKS

OPERATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "mul": torch.mul,
    "relu": torch.relu,
    "matmul": torch.matmul,
}
FEW, MANY, ENOUGH = 3, 50, 10**7  # repetitions at least and at most; elements in all of them
SMALL = 8  # what warms up is of this size


def measured(name: str, size: int) -> dict[str, Any]:
    """A work at a size; the operands are new each time, as an opened value is not opened again."""
    work, operation = WORKS[name], OPERATIONS[name]
    operation(*operands(work.operands, work.shape(SMALL)))
    seconds, memory = [], 0
    for turn in range(max(FEW, min(MANY, ENOUGH // work.elements(size)))):
        given = operands(work.operands, work.shape(size))
        before = reset_peak()
        start = perf_counter()
        with mpc.cost() as cost:
            operation(*given)
        seconds.append(perf_counter() - start)
        if turn == 0:
            memory = status("VmHWM") - before
    return {
        "seconds": seconds,
        "memory": memory,
        "rounds": cost.rounds,
        "sent": cost.bytes_sent,
        "dealt": cost.provider_bytes,
    }


def operands(count: int, shape: Sequence[int]) -> list[torch.Tensor]:
    """Secrets of the first party."""
    mine = mpc.party() in (None, "alice")
    return [
        mpc.encrypt(torch.randn(shape) if mine else None, src="alice", shape=shape)
        for _ in range(count)
    ]


def reset_peak() -> int:
    """Begin a new peak at what the process holds now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(entry: str) -> int:
    """An entry of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(entry + ":"))


if __name__ == "__main__":
    mpc.init()
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
