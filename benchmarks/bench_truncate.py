"""Truncation kernels: provider and two parties, by the wrap bit and by opening, 10^6 elements."""

from collections.abc import Callable

import torch

from benchmarks.bounds import Report, beside_bound
from mpctensor import kernels

SIZE = 1_000_000
KEYS = (bytes(range(16)), bytes(range(16, 32)))
BITS, PRODUCT, MASK, COINS = 1, 2, 3, 5
F, D = 16, 1000


def run(report: Report) -> None:
    first = kernels.prg(KEYS[0], 99, 0, SIZE)
    x = (first, torch.randint(-(2**61), 2**61, (SIZE,)) - first)
    planes = [kernels.prg_bundle(key, BITS, 1, SIZE)[0] for key in KEYS]
    coins = kernels.prg(KEYS[1], COINS, 0, SIZE)
    messages = [kernels.wrap_open(x[p], 2**62 * (1 - p), planes[p]) for p in (0, 1)]
    stream, dealt = (KEYS[0], PRODUCT), kernels.wrap_deal(*planes, SIZE, KEYS[0], PRODUCT)
    r = kernels.prg(KEYS[0] + KEYS[1], MASK, 0, SIZE)
    rho, mu = (KEYS[0], 7), (KEYS[0], 8)
    plane = kernels.words(SIZE)
    print(f"  {kernels.isa()}, {torch.get_num_threads()} threads")

    def line(name: str, kernel: Callable[..., object], *operands: object, words: int = 0) -> None:
        beside_bound(report, name, SIZE, kernel, *operands, words=words)

    line("wrap_open", kernels.wrap_open, x[0], 2**62, (KEYS[0], BITS), words=plane)
    line("wrap_deal", kernels.wrap_deal, *planes, SIZE, KEYS[0], PRODUCT, words=SIZE)
    wrap = (x[0], 0, *messages, (KEYS[0], BITS), stream, F)
    line("wrap_shift, party 0", kernels.wrap_shift, *wrap, words=SIZE + plane)
    wrap = (x[1], 1, *messages, (KEYS[1], BITS), dealt, F)
    line("wrap_shift, party 1", kernels.wrap_shift, *wrap, words=plane)
    wrap = (x[0], 0, *messages, (KEYS[0], BITS), stream, D, coins)
    line("wrap_divide, party 0", kernels.wrap_divide, *wrap, words=SIZE + plane)
    wrap = (x[1], 1, *messages, (KEYS[1], BITS), dealt, D, coins)
    line("wrap_divide, party 1", kernels.wrap_divide, *wrap, words=plane)
    line("open_shift_deal", kernels.open_shift_deal, r, F, KEYS[0], PRODUCT, words=2 * SIZE)
    line("open_shift, party 0", kernels.open_shift, r, rho, mu, F, True, words=2 * SIZE)
    line("open_shift, party 1", kernels.open_shift, r, x[0], x[1], F, False)
    line("open_divide_deal", kernels.open_divide_deal, r, D, KEYS[0], PRODUCT, words=2 * SIZE)
    line("open_divide, party 0", kernels.open_divide, r, rho, mu, D, True, words=2 * SIZE)
    line("open_divide, party 1", kernels.open_divide, r, x[0], x[1], D, False)
