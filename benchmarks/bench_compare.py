"""The kernels of one ReLU of 10^6 elements: provider, two parties, openings; stage by stage.

The wide kind merges nine digits of 7 bits at once, as sessions with link="wan" do. Everything that
a simulated session computes is in here once: masks, what is dealt, both parties' steps and the sums
that openings take. Protocol bookkeeping in Python is not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import torch
from torch import Tensor

from mpctensor import kernels

SIZE = 1_000_000
REPEATS = 7
MASK_KEYS = (bytes(range(16)), bytes(range(16, 32)))
KEYS = (bytes(range(32, 48)), bytes(range(48, 64)))
ROWS, BETA, VALUES = 0, 5, 6
MASKS, MONOMIALS = (1, 3), (2, 4)
WORK = {
    "relu": (kernels.LESS, False),
    "relu and truncation": (kernels.LESS, True),
    "relu, wide": (kernels.LESS_WIDE, False),
}
F = 16


class Stages:
    """Time spent, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] += perf_counter() - start


def relu(digits: kernels.Digits, x: tuple[Tensor, Tensor], shift: bool, stages: Stages) -> Tensor:
    """Both parties and the provider; returns the sum of the parties' results."""
    n, stage = x[0].numel(), stages.stage
    every, first_key = KEYS[0] + KEYS[1], KEYS[0]
    with stage("open c = x + r"):
        sent = [kernels.prg_combine(x[p], MASK_KEYS[p], 1, 0, "add") for p in (0, 1)]
        c = sent[0].add_(sent[1])
    with stage("provider: r"):
        r = kernels.prg(MASK_KEYS[0] + MASK_KEYS[1], 1, 0, n)
    with stage("provider: rows"):
        rows = kernels.rows_deal(digits, r, first_key, ROWS)
    with stage("provider: monomials"):
        monomials = [
            kernels.merge_deal(digits, i + 1, n, every, MASKS[i], first_key, MONOMIALS[i])
            for i in range(digits.merges)
        ]
    with stage("provider: values"):
        beta = kernels.beta_deal(r, every, BETA)
        if shift:
            values = kernels.relu_shift_deal(beta, r, F, first_key, VALUES)
        else:
            values = kernels.select_deal(beta, r, first_key, VALUES)

    def source(p: int, correction: Tensor, stream: int) -> kernels.Source:
        return correction if p else (KEYS[0], stream)

    masks = (*MASKS[: digits.merges], BETA)
    with stage("parties: lookup"):
        steps = [
            kernels.lookup(digits, c, source(p, rows, ROWS), KEYS[p], masks[0], p == 0)
            for p in (0, 1)
        ]
    for i, dealt in enumerate(monomials):
        with stage("open bits"):
            opened = steps[0][0].bitwise_xor_(steps[1][0])
        with stage("parties: merge"):
            steps = [
                kernels.merge(
                    digits, i + 1, n, opened, steps[p][1], KEYS[p], masks[i],
                    source(p, dealt, MONOMIALS[i]), masks[i + 1], p == 0,
                )
                for p in (0, 1)
            ]  # fmt: skip
    with stage("open bits"):
        plane = kernels.bit_hat(c, steps[0][0].bitwise_xor_(steps[1][0]), True)
    with stage("parties: select"):
        out = []
        for p in (0, 1):
            shares = [source(p, value, VALUES + i) for i, value in enumerate(values)]
            if shift:
                out.append(kernels.select_shift_share(plane, c, F, *shares, p == 0))
            else:
                mask = (MASK_KEYS[p], 1)
                out.append(kernels.select_share(plane, c, mask, *shares, p == 0))
    return out[0].add_(out[1])


def _secret() -> Tensor:
    low = torch.randint(0, 2**32, (SIZE,))
    return (torch.randint(0, 2**32, (SIZE,)) << 32 | low) >> torch.randint(0, 64, (SIZE,))


def run(report: Callable[[str, float, str], None]) -> None:
    plain, isa = _secret(), kernels.isa()
    share = kernels.prg(KEYS[1], 99, 0, SIZE)
    x = (share, plain - share)
    for name in ("portable", "avx2", "avx512"):
        try:
            kernels.force_isa(name)
        except ValueError:
            continue
        for work, (digits, shift) in WORK.items():
            label = f"{work}, {name}, {torch.get_num_threads()} threads"
            runs = [_timed(digits, x, plain, shift) for _ in range(REPEATS)]
            total, stages = min(runs, key=lambda run: run[0])
            report(f"{label}, 10^6 elements", 1e3 * total, "ms")
            if name == isa and not shift:
                for stage, spent in stages.seconds.items():
                    report(f"  {stage}", 1e9 * spent / SIZE, "ns/element")
    kernels.force_isa(isa)


def _timed(
    digits: kernels.Digits, x: tuple[Tensor, Tensor], plain: Tensor, shift: bool
) -> tuple[float, Stages]:
    stages = Stages()
    start = perf_counter()
    out = relu(digits, x, shift, stages)
    total = perf_counter() - start
    error = out - (plain.clamp(min=0) >> (F if shift else 0))
    if not bool(((error == 0) | (shift & (error == 1))).all()):
        raise RuntimeError("the benchmark's ReLU is wrong")
    return total, stages
