"""The PRG against torch's own generator and against the bound of the machine, on one thread."""

import torch

from benchmarks.bounds import Report, beside_bound, interleaved
from mpctensor import kernels

KEYS = bytes(range(32))
SIZE = 1 << 20


def run(report: Report) -> None:
    threads, isa = torch.get_num_threads(), kernels.isa()
    torch.set_num_threads(1)
    data = torch.zeros(SIZE, dtype=torch.int64)
    for name in ("portable", "avx2", "avx512"):
        try:
            kernels.force_isa(name)
        except ValueError:
            continue
        taken, baseline = interleaved(lambda: kernels.prg(KEYS[:16], 1, 0, SIZE), data.random_)
        report(f"prg, 1 key, {name}", 8e-9 * SIZE / taken, "GB/s")
        report("    times the speed of torch random_()", baseline / taken, "x")
    kernels.force_isa(isa)
    for keys in (1, 2):
        some = KEYS[: 16 * keys]
        drawn = (some, 1, 0, SIZE)
        beside_bound(report, f"prg, {keys} key(s)", SIZE, kernels.prg, *drawn, words=keys * SIZE)
        added = (data, some, 1, 0, "add")
        beside_bound(
            report, f"prg_combine, {keys} key(s)", SIZE, kernels.prg_combine, *added,
            words=keys * SIZE,
        )  # fmt: skip
    torch.set_num_threads(threads)
