"""Random programs of views, writes in place and arithmetic give what plain torch gives.

A program keeps a pool of pairs (plain tensor, secret tensor). Every step applies one operation to
both; aliases made by views stay in the pool, so that a write through one of them must be seen by
all, and what was known about the old value must be gone. The seed makes a failure repeatable.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mpctensor

TOLERANCE, LARGEST, STEPS, POOL = 0.02, 60.0, 25, 14
Operation = tuple[str, Callable[..., Any], str]  # name, function, kinds of its operands (f, i, b)

VIEWS = {
    "transpose": lambda x: x.transpose(0, -1),
    "first": lambda x: x.select(0, 0),
    "last column": lambda x: x.select(-1, -1),
    "slice": lambda x: x[..., 1:],
    "every second": lambda x: x[::2],
    "new dimension": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x.squeeze(),
    "diagonal": lambda x: x.diagonal(),
    "permute": lambda x: x.permute(*range(1, x.dim()), 0),
    "flat": lambda x: x.view(-1),
    "split": lambda x: x.split(1)[-1],
    "unbind": lambda x: x.unbind(-1)[0],
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "as_strided": lambda x: x.as_strided((2,), (1,)),
    "expand": lambda x: x.expand(2, *x.shape),
}
WRITES: list[Operation] = [
    ("add_", lambda x, y: x.add_(y), "ff"),
    ("add_ alpha", lambda x, y: x.add_(y, alpha=-0.5), "ff"),
    ("mul_", lambda x, y: x.mul_(y), "ff"),
    ("copy_", lambda x, y: x.copy_(y), "ff"),
    ("copy_ integers", lambda x, y: x.copy_(y), "fi"),
    ("lerp_", lambda x, y: x.lerp_(y, 0.25), "ff"),
    ("addcmul_", lambda x, y, z: x.addcmul_(y, z, value=0.5), "fff"),
    ("number", lambda x: x.mul_(1 / 3), "f"),
    ("small number", lambda x: x.mul_(1e-3), "f"),
    ("div_", lambda x: x.div_(-4), "f"),
    ("shift", lambda x: x.add_(0.1), "f"),
    ("fill_", lambda x: x.fill_(0.3), "f"),
    ("zero_", lambda x: x.zero_(), "f"),
    ("neg_", lambda x: x.neg_(), "f"),
    ("relu_", lambda x: x.relu_(), "f"),
    ("clamp_", lambda x: x.clamp_(-1, 1.5), "f"),
    ("abs_", lambda x: x.abs_(), "f"),
    ("set first", lambda x: x.__setitem__(0, 1.5), "f"),
    ("set last", lambda x: x.__setitem__((..., -1), -2), "f"),
    ("set positions", lambda x: x.__setitem__(torch.tensor([0]), 0.25), "f"),
    ("set part", lambda x, y: x.__setitem__(slice(0, 1), y), "ff"),
    ("masked_fill_", lambda x, b: x.masked_fill_(b, 0.5), "fb"),
    ("integers", lambda x, y: x.add_(y), "ii"),
    ("fill bits", lambda b: b.fill_(True), "b"),
    ("flip bits", lambda b: b.logical_not_(), "b"),
    ("and_", lambda b, a: b.logical_and_(a), "bb"),
]
PURE: list[Operation] = [
    ("add", torch.add, "ff"),
    ("sub", torch.sub, "ff"),
    ("mul", torch.mul, "ff"),
    ("matmul", torch.matmul, "ff"),
    ("gram", lambda x: x @ x.t(), "f"),
    ("maximum", torch.maximum, "ff"),
    ("stack", lambda x, y: torch.stack([x, y], -1), "ff"),
    ("cat", lambda x, y: torch.cat([x, y]), "ff"),
    ("scaled", lambda x: x * 0.1 - 1, "f"),
    ("divided", lambda x: (2 - x) / 3, "f"),
    ("square", torch.square, "f"),
    ("cube", lambda x: x**3, "f"),
    ("relu", torch.relu, "f"),
    ("leaky relu", lambda x: F.leaky_relu(x, 0.25), "f"),
    ("clamp", lambda x: x.clamp(-1.5, 1), "f"),
    ("abs", torch.abs, "f"),
    ("sum", lambda x: x.sum(0, keepdim=True), "f"),
    ("mean", lambda x: x.mean(-1), "f"),
    ("cumsum", lambda x: x.cumsum(0), "f"),
    ("pad", lambda x: F.pad(x, (1, 0), value=0.5), "f"),
    ("flip", lambda x: x.flip(0), "f"),
    ("pick", lambda x: x[torch.tensor([0, 0])], "f"),
    ("clone", lambda x: x.clone(), "f"),
    ("deepcopy", copy.deepcopy, "f"),
    ("ones", lambda x: torch.ones_like(x) * 0.75, "f"),
    ("where", torch.where, "bff"),
    ("bit times", lambda b, x: b * x, "bf"),
    ("and", lambda a, b: a & b, "bb"),
    ("xor", lambda a, b: a ^ b, "bb"),
    ("not", lambda b: ~b, "b"),
    ("any", lambda b: b.any(), "b"),
    ("integer product", torch.mul, "ii"),
    ("integer equality", lambda x, y: x == y, "ii"),
    ("integer clamp", lambda x: x.clamp(-2, 2), "i"),
    ("mixed", lambda x, y: x * y, "if"),
    ("to float", lambda x: x.float(), "i"),
]


def kind_of(x: Tensor) -> str:
    return "f" if x.is_floating_point() else "b" if x.dtype is torch.bool else "i"


def twin(x: Tensor) -> Tensor:
    """A copy with the same strides, on a storage of its own."""
    flat = x.as_strided((x.untyped_storage().nbytes() // x.element_size(),), (1,), 0).clone()
    return flat.as_strided(x.shape, x.stride(), x.storage_offset())


class Program:
    """A random program, run on plain and on secret tensors side by side."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.pool: list[tuple[Tensor, Tensor]] = []
        self.log: list[str] = []

    def step(self) -> None:
        if len(self.pool) < 3 or self.random.random() < 0.08:
            self.encrypt()
            return
        family = self.random.choice(["view", "write", "write", "pure", "pure", "compare", "reuse"])
        getattr(self, family)()

    def encrypt(self) -> None:
        dims = self.random.choice((0, 1, 2, 2, 3))
        size = [self.random.choice((1, 2, 3, 4)) for _ in range(dims)]
        kind = self.random.choice("ffffib")
        raw = torch.randint(-96, 97, size, generator=self.generator)
        plain = {"f": raw / 32, "i": raw % 7 - 3, "b": raw > 0}[kind]
        self.log.append(f"encrypt {kind} {size}")
        self.pool.append((plain, mpctensor.encrypt(plain)))

    def operands(self, kinds: str) -> list[int] | None:
        found = []
        for kind in kinds:
            candidates = [i for i, (plain, _) in enumerate(self.pool) if kind_of(plain) == kind]
            if not candidates:
                return None
            found.append(self.random.choice(candidates))
        return found

    def view(self) -> None:
        name, fn = self.random.choice(list(VIEWS.items()))
        self.apply(name, fn, [self.random.randrange(len(self.pool))], True)

    def pure(self) -> None:
        name, fn, kinds = self.random.choice(PURE)
        self.apply(name, fn, self.operands(kinds), True)

    def write(self) -> None:
        name, fn, kinds = self.random.choice(WRITES)
        places = self.operands(kinds)
        if places is None or self.overlaps(places):
            return
        self.apply(name, fn, places, False)

    def overlaps(self, places: list[int]) -> bool:
        """Where torch promises nothing: a target that shows an element twice or meets its view."""
        target, *others = (self.pool[i][0] for i in places)
        inside = any(s == 0 and n > 1 for s, n in zip(target.stride(), target.shape, strict=True))
        where = target.untyped_storage().data_ptr()
        return inside or any(other.untyped_storage().data_ptr() == where for other in others)

    def compare(self) -> None:
        """Compare with a number that no element is close to."""
        number = self.random.choice([0.0, 0.5, -1.0])
        places = self.operands("f")
        if places and bool(((self.pool[places[0]][0] - number).abs() > 2 * TOLERANCE).all()):
            compared = self.random.choice([torch.gt, torch.ge, torch.lt, torch.le])
            self.apply(f"compare {number}", lambda x: compared(x, number), places, True)

    def reuse(self) -> None:
        """Use a value, write to it through a view, use it again."""
        use = self.random.choice([torch.square, torch.relu, torch.abs, lambda x: x @ x.t()])

        def run(x: Tensor) -> tuple[Tensor, Tensor]:
            before = use(x)
            x[0].add_(0.5)
            return before, use(x)

        places = self.operands("f")
        if places and not self.overlaps(places):
            self.apply("reuse", run, places, True)

    def apply(
        self, name: str, fn: Callable[..., Any], places: list[int] | None, keep: bool
    ) -> None:
        """The operation on both; skipped where plain torch refuses it or numbers grow too large."""
        if places is None or not self.is_small(fn, [self.pool[i][0] for i in places]):
            return
        self.log.append(f"{name} {places}")
        plain = fn(*(self.pool[i][0] for i in places))
        secret = fn(*(self.pool[i][1] for i in places))
        if keep:
            several = isinstance(plain, tuple)
            self.pool.extend(zip(plain, secret, strict=True) if several else [(plain, secret)])
        while len(self.pool) > POOL:
            self.pool.pop(self.random.randrange(len(self.pool)))

    def is_small(self, fn: Callable[..., Any], plain: list[Tensor]) -> bool:
        copies = [twin(x) for x in plain]
        try:
            out = fn(*copies)
        except (RuntimeError, IndexError, TypeError, ValueError):
            return False
        seen = [*copies, *(out if isinstance(out, tuple) else [out])]
        tensors = [x.double() for x in seen if isinstance(x, Tensor) and x.numel()]
        return all(bool(x.isfinite().all()) and float(x.abs().max()) < LARGEST for x in tensors)

    def check(self) -> None:
        for i, (plain, secret) in enumerate(self.pool):
            got = secret.detach().decrypt()  # type: ignore[attr-defined]
            assert (got.shape, got.dtype) == (plain.shape, plain.dtype), f"entry {i}: {self.log}"
            error = (got.double() - plain.double()).abs()
            assert not error.numel() or float(error.max()) < TOLERANCE, f"entry {i}: {self.log}"


MODES = (torch.enable_grad, torch.no_grad, torch.inference_mode)


def run(seed: int, parties: int) -> None:
    with mpctensor.init(("alice", "bob", "carol")[:parties], seed=seed):
        program = Program(seed)
        with MODES[seed % len(MODES)]():
            for _ in range(STEPS):
                program.step()
            program.check()


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("block", range(10))
def test_random_programs(block: int, parties: int) -> None:
    for seed in range(30 * block, 30 * block + 30):
        run(seed + 10_000 * parties, parties)
