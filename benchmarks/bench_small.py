"""Operations on few elements: what Python and C++ cost beside an empty wrapper subclass.

The wrapper unwraps, calls the same function of torch, and wraps; nothing else. Ours does the steps
of both parties in one process, and of the provider where the operation needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

import mpctensor as mpc

Report = Callable[[str, float, str], None]
ELEMENTS = (1, 100, 1000)
BATCHES, BATCH = 150, 12  # the fastest batch counts: others were interrupted


class Wrapper(Tensor):
    """An empty wrapper subclass around an int64 tensor."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapper:
        wrapper: Wrapper = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=torch.float32)
        wrapper.inner = inner
        return wrapper

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Wrapper:
        return Wrapper(func(*[x.inner if isinstance(x, Wrapper) else x for x in args]))


WORK: dict[str, Callable[[Tensor, Tensor], object]] = {
    "x + y": lambda x, y: x + y,
    "x + 1": lambda x, y: x + 1,
    "x * 0.5": lambda x, y: x * 0.5,
    "-x": lambda x, y: -x,
    "x.sum()": lambda x, y: x.sum(),
    "x.view(-1)": lambda x, y: x.view(-1),
    "x * y": lambda x, y: x * y,
    "x > y": lambda x, y: x > y,
    "relu(x + y)": lambda x, y: (x + y).relu(),
}


def microseconds(work: Callable[[], object]) -> float:
    """Of one call, in the fastest batch."""
    best = float("inf")
    for _ in range(BATCHES):
        start = perf_counter()
        for _ in range(BATCH):
            work()
        best = min(best, (perf_counter() - start) / BATCH)
    return 1e6 * best


def run(report: Report) -> None:
    with mpc.init():
        for n in ELEMENTS:
            plain = torch.randn(n)
            x, y = mpc.encrypt(plain), mpc.encrypt(plain)
            empty = Wrapper(torch.zeros(n, dtype=torch.int64))
            for name, work in WORK.items():
                taken = microseconds(lambda: work(x, y))
                report(f"{n} elements, {name}", taken, "us")
                wrapped = microseconds(lambda: work(empty, empty))
                report("    times the empty wrapper", taken / wrapped, "x")
