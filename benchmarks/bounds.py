"""Kernels beside the bound of the machine: memory or AES, whichever takes longer.

The bound is measured, not quoted: in turns with the kernel and on the same threads, `stream` reads
and writes arrays as long as all that the kernel reads and writes, and `aes` makes as many blocks as
its streams have, keeping none. The bytes are those of the tensors that a kernel takes and returns;
the words of its streams follow from its formula and are given by the caller. Nothing else is
counted: not the formula itself, and not what passes over a block twice while it is in the cache;
nor fresh memory, whose pages take longer than most kernels: outputs lie where earlier ones did.
"""

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor

from mpctensor.kernels import bounds

Report = Callable[[str, float, str], None]
Work = Callable[[], object]

SECONDS = 1.0  # spent on one line
RECYCLED = 31 << 20  # bytes: below the 32 MB up to which glibc may keep what is freed
KEY = bytes(range(16))


def interleaved(*works: Work) -> list[float]:
    """The shortest time of each, run in turns so that a slow spell hits all.

    Every turn starts with a run that is not timed: what fits a cache is there, for all alike.
    """
    repeats = []
    for work in works:
        work()
        start = perf_counter()
        work()
        repeats.append(max(1, int(1e-3 / (perf_counter() - start))))
    best = [float("inf")] * len(works)
    rounds, end = 0, perf_counter() + SECONDS
    while rounds < 3 or perf_counter() < end:
        for i, work in enumerate(works):
            work()
            start = perf_counter()
            for _ in range(repeats[i]):
                work()
            best[i] = min(best[i], (perf_counter() - start) / repeats[i])
        rounds += 1
    return best


def beside_bound(
    report: Report, name: str, n: int, kernel: Callable[..., object], *operands: object, words: int
) -> None:
    """Three lines for a kernel on n elements: its counts and time, its bound, the ratio.

    words: of all streams that the kernel expands.
    """
    torch.empty(RECYCLED, dtype=torch.uint8)  # freed at once, and the allocator keeps blocks
    reads, writes, blocks = _words(operands), _words(kernel(*operands)), (words + 1) // 2
    source, out = torch.zeros(reads, dtype=torch.int64), torch.zeros(writes, dtype=torch.int64)
    taken, memory, aes = interleaved(
        lambda: kernel(*operands),
        lambda: bounds.stream(source, out),
        lambda: bounds.aes(KEY, blocks),
    )
    counts = f"{8 * reads / n:.4g} B in, {8 * writes / n:.4g} B out, {blocks / n:.3g} blocks"
    report(f"{name}: {counts}", 1e9 * taken / n, "ns/element")
    each = f"memory {1e9 * memory / n:.3f}, AES {1e9 * aes / n:.3f}"
    report(f"    bound: {each}", 1e9 * max(memory, aes) / n, "ns/element")
    report("    times the bound", taken / max(memory, aes), "x")


def _words(values: object) -> int:
    """Words of the int64 tensors in a nest of tuples and lists."""
    if isinstance(values, Tensor):
        return values.numel()
    if isinstance(values, list | tuple):
        return sum(map(_words, values))
    return 0
