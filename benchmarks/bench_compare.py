"""The kernels of one ReLU of 10^6 elements: provider, two parties, openings; stage by stage.

The wide kind merges nine digits of 7 bits at once, as sessions with link="wan" do. Everything that
a simulated session computes is in here once: masks, what is dealt, both parties' steps and the sums
that openings take. Protocol bookkeeping in Python is not. Then the kernels one by one, each beside
the bound of its bytes and AES blocks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import torch
from torch import Tensor

from benchmarks.bounds import Report, beside_bound
from mpctensor import kernels

SIZE = 1_000_000
SMALL = 100_000  # dealt rows in the last-level cache; those of SIZE elements are not
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


def beside_bounds(report: Report, digits: kernels.Digits, n: int, kind: str) -> None:
    """Every kernel of one comparison beside its bound: provider, party 0 (streams) and party 1."""

    def line(name: str, kernel: Callable[..., object], *operands: object, words: int = 0) -> None:
        beside_bound(report, f"{name}{kind}", n, kernel, *operands, words=words)

    every, key = KEYS[0] + KEYS[1], KEYS[0]
    c, plane = kernels.prg(KEYS[0], 7, 0, n), kernels.words(n)
    r = kernels.prg(every, 1, 0, n)
    rows = kernels.rows_deal(digits, r, key, ROWS)
    sent, dealt = digits.messages, digits.rows * plane
    line("rows_deal", kernels.rows_deal, digits, r, key, ROWS, words=dealt)
    own = (key, MASKS[0])
    look = (digits, c, (key, ROWS), *own, True)
    line("lookup, party 0", kernels.lookup, *look, words=dealt + sent[0] * plane)
    look = (digits, c, rows, *own, False)
    line("lookup, party 1", kernels.lookup, *look, words=sent[0] * plane)
    message, tops = kernels.lookup(*look)
    masks = (*MASKS[: digits.merges], BETA)
    for i, products in enumerate(digits.monomials):
        deal = (digits, i + 1, n, every, masks[i], key, MONOMIALS[i])
        dealt = products * plane
        line(f"merge_deal {i + 1}", kernels.merge_deal, *deal, words=2 * sent[i] * plane + dealt)
        masked = (sent[i] + sent[i + 1]) * plane
        step = (digits, i + 1, n, message, tops, key, masks[i])
        step0 = (*step, (key, MONOMIALS[i]), masks[i + 1], True)
        step1 = (*step, kernels.merge_deal(*deal), masks[i + 1], False)
        line(f"merge {i + 1}, party 0", kernels.merge, *step0, words=masked + dealt)
        line(f"merge {i + 1}, party 1", kernels.merge, *step1, words=masked)
        message, tops = kernels.merge(*step1)


def selections_beside_bounds(report: Report, n: int) -> None:
    """The kernels from the outcome of a comparison to shares, as above."""

    def line(name: str, kernel: Callable[..., object], *operands: object, words: int = 0) -> None:
        beside_bound(report, name, n, kernel, *operands, words=words)

    every, key = KEYS[0] + KEYS[1], KEYS[0]
    c, r, plane = kernels.prg(key, 7, 0, n), kernels.prg(every, 1, 0, n), kernels.words(n)
    opened = kernels.prg(key, 8, 0, plane)
    line("bit_hat", kernels.bit_hat, c, opened, True)
    line("beta_deal", kernels.beta_deal, r, every, BETA, words=2 * plane)
    beta, hat = kernels.beta_deal(r, every, BETA), kernels.bit_hat(c, opened, True)
    streams = [(key, VALUES + i) for i in range(5)]
    mask = (MASK_KEYS[0], 1)
    line("select_deal", kernels.select_deal, beta, r, key, VALUES, words=2 * n)
    values = kernels.select_deal(beta, r, key, VALUES)
    share = (hat, c, mask)
    line("select_share, party 0", kernels.select_share, *share, *streams[:2], True, words=3 * n)
    line("select_share, party 1", kernels.select_share, *share, *values, False, words=n)
    deal = (beta, r, F, key, VALUES)
    line("relu_shift_deal", kernels.relu_shift_deal, *deal, words=5 * n)
    values, share = kernels.relu_shift_deal(*deal), (hat, c, F)
    line(
        "select_shift_share, party 0", kernels.select_shift_share, *share, *streams, True,
        words=5 * n,
    )  # fmt: skip
    line("select_shift_share, party 1", kernels.select_shift_share, *share, *values, False)


def run(report: Report) -> None:
    print(f"  {kernels.isa()}, {torch.get_num_threads()} threads")
    for n in (SMALL, SIZE):
        beside_bounds(report, kernels.LESS, n, f", {n} elements")
    beside_bounds(report, kernels.LESS_WIDE, SMALL, f", wide, {SMALL} elements")
    selections_beside_bounds(report, SIZE)
    totals(report)


def totals(report: Report) -> None:
    """Whole ReLUs, by instruction set."""
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
