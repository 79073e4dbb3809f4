"""The PRG against torch's own generator: filling int64 tensors on one thread."""

from collections.abc import Callable
from time import perf_counter

import torch

from mpctensor import kernels

KEYS = bytes(range(32))
SIZE = 1 << 20


def seconds(work: Callable[[], object], repeats: int = 30) -> float:
    """The shortest of several runs."""
    best = float("inf")
    for _ in range(repeats):
        start = perf_counter()
        work()
        best = min(best, perf_counter() - start)
    return best


def run(report: Callable[[str, float, str], None]) -> None:
    threads, isa = torch.get_num_threads(), kernels.isa()
    torch.set_num_threads(1)
    data = torch.zeros(SIZE, dtype=torch.int64)
    gigabytes = 8 * SIZE / 1e9
    baseline = seconds(data.random_)
    report("torch random_(), one thread", gigabytes / baseline, "GB/s")
    for name in ("portable", "avx2", "avx512"):
        try:
            kernels.force_isa(name)
        except ValueError:
            continue
        for keys in (1, 2):
            taken = seconds(lambda: kernels.prg_combine(data, KEYS[: 16 * keys], 1, 0, "add", data))
            report(f"prg_combine, {keys} key(s), {name}", gigabytes / taken, "GB/s")
            if keys == 1:
                report(f"times torch's speed, {name}", baseline / taken, "x")
    kernels.force_isa(isa)
    torch.set_num_threads(threads)
