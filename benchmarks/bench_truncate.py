"""Truncation kernels: provider and two parties, by the wrap bit and by opening, 10^6 elements."""

from collections.abc import Callable

import torch

from benchmarks.bench_prg import seconds
from mpctensor import kernels

SIZE = 1_000_000
KEYS = (bytes(range(16)), bytes(range(16, 32)))
BITS, PRODUCT, MASK, COINS = 1, 2, 3, 5
F, D = 16, 1000


def run(report: Callable[[str, float, str], None]) -> None:
    first = kernels.prg(KEYS[0], 99, 0, SIZE)
    x = (first, torch.randint(-(2**61), 2**61, (SIZE,)) - first)
    planes = [kernels.prg_bundle(key, BITS, 1, SIZE)[0] for key in KEYS]
    coins = kernels.prg(KEYS[1], COINS, 0, SIZE)
    messages = [kernels.wrap_open(x[p], 2**62 * (1 - p), planes[p]) for p in (0, 1)]
    products = [(KEYS[0], PRODUCT), kernels.wrap_deal(*planes, SIZE, KEYS[0], PRODUCT)]
    r = kernels.prg(KEYS[0] + KEYS[1], MASK, 0, SIZE)
    steps: dict[str, Callable[[], object]] = {
        "wrap_open": lambda: kernels.wrap_open(x[0], 2**62, planes[0]),
        "wrap_deal": lambda: kernels.wrap_deal(*planes, SIZE, KEYS[0], PRODUCT),
        "wrap_shift, from a stream": lambda: kernels.wrap_shift(
            x[0], 0, *messages, planes[0], products[0], F
        ),
        "wrap_shift, from a correction": lambda: kernels.wrap_shift(
            x[1], 1, *messages, planes[1], products[1], F
        ),
        "wrap_divide": lambda: kernels.wrap_divide(
            x[1], 1, *messages, planes[1], products[1], D, coins
        ),
        "open_shift_deal": lambda: kernels.open_shift_deal(r, F, KEYS[0], PRODUCT),
        "open_shift": lambda: kernels.open_shift(r, (KEYS[0], 7), (KEYS[0], 8), F, True),
        "open_divide_deal": lambda: kernels.open_divide_deal(r, D, KEYS[0], PRODUCT),
        "open_divide": lambda: kernels.open_divide(r, (KEYS[0], 7), (KEYS[0], 8), D, True),
    }
    for name, step in steps.items():
        report(
            f"{name}, {torch.get_num_threads()} threads", 1e9 * seconds(step) / SIZE, "ns/element"
        )
