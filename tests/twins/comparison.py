"""A twin of the less-than protocol in plain numpy, for any ring, digit widths and merge groups.

Written from the formulas, not from the kernels: rows are compared with numbers, products of opened
bits are expanded over all subsets. The kernels must match it bit for bit at 64 bits; in tiny rings
its views can be enumerated. Bits are uint8 arrays, one row a plane; ring elements are uint64.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Elements = NDArray[np.uint64]
Name = tuple[str, int]  # ("q", j) or ("l", j): EQ or LT of digit j of a group
Term = frozenset[Name]


@dataclass(frozen=True)
class Structure:
    """How a comparison is cut up.

    ring_bits: k. widths: of the digits, low end first; all k bits for an equality, else k - 1.
    levels: sizes of the groups, level by level. order: LT is wanted, not only EQ.
    """

    ring_bits: int
    widths: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]
    order: bool = True

    def digits(self, values: Elements) -> list[Elements]:
        starts = np.cumsum((0, *self.widths))[:-1]
        return [
            values >> np.uint64(start) & np.uint64((1 << width) - 1)
            for start, width in zip(starts.tolist(), self.widths, strict=True)
        ]

    def groups(self, level: int) -> list[Group]:
        out, first = [], 0
        for index, size in enumerate(self.levels[level]):
            out.append(Group(first, size, self.order, not self.order or index > 0))
            first += size
        return out


@dataclass(frozen=True)
class Group:
    """Digits first .. first + size - 1 of a level, merged; product: EQ of the whole is wanted."""

    first: int
    size: int
    order: bool
    product: bool

    @property
    def opened(self) -> list[Name]:
        """The bits that are opened, in the order of messages."""
        names = [("q", j) for j in range(1, self.size)]
        if self.order:
            names += [("l", j) for j in range(self.size - 1)]
        return names + [("q", 0)] * self.product

    @property
    def monomials(self) -> list[Term]:
        """The products of their masks that are dealt, in order."""
        out = [term for term in self._sets(1) if len(term) > 1]
        if self.order:
            for j in range(self.size - 1):
                out += [term | {("l", j)} for term in self._sets(j + 1)]
        if self.product:
            out += [term | {("q", 0)} for term in self._sets(1)]
        return out

    def _sets(self, first: int) -> list[Term]:
        """Non-empty sets of the q from `first` on, counting in binary."""
        names = [("q", j) for j in range(first, self.size)]
        return [
            frozenset(name for i, name in enumerate(names) if s >> i & 1)
            for s in range(1, 1 << len(names))
        ]

    @property
    def less(self) -> list[Term]:
        """LT of the group, beside its top LT: the XOR of these products."""
        above = [[("q", t) for t in range(j + 1, self.size)] for j in range(self.size - 1)]
        return [frozenset([*qs, ("l", j)]) for j, qs in enumerate(above)]

    @property
    def equal(self) -> Term:
        return frozenset(("q", j) for j in range(self.size))


ORDER_64 = Structure(64, (4,) * 15 + (3,), ((4, 4, 4, 4), (4,)))
EQUALITY_64 = Structure(64, (4,) * 16, ((4, 4, 4, 4), (4,)), order=False)
ORDER_64_WIDE = Structure(64, (7,) * 9, ((9,),))
EQUALITY_64_WIDE = Structure(64, (7,) * 8 + (8,), ((9,),), order=False)


def xor(parts: Sequence[Bits]) -> Bits:
    return reduce(np.bitwise_xor, parts)


def msb(values: Elements, structure: Structure) -> Bits:
    return (values >> np.uint64(structure.ring_bits - 1) & np.uint64(1)).astype(np.uint8)


# What the provider computes


def rows(structure: Structure, r: Elements) -> Bits:
    """The one-hot rows of the digits of r, without their entries 0."""
    found = [
        digit == np.uint64(v)
        for digit, width in zip(structure.digits(r), structure.widths, strict=True)
        for v in range(1, 1 << width)
    ]
    return np.array(found, dtype=np.uint8).reshape(-1, r.size)


def monomials(structure: Structure, level: int, masks: Bits) -> Bits:
    """Products of the masks (of all parties, XORed) of one level."""
    out, at = [], 0
    for group in structure.groups(level):
        value = dict(zip(group.opened, masks[at:], strict=False))
        out += [np.bitwise_and.reduce([value[v] for v in term]) for term in group.monomials]
        at += len(group.opened)
    return np.array(out, dtype=np.uint8).reshape(-1, masks.shape[1])


def beta(structure: Structure, r: Elements, outcome_masks: Bits) -> Bits:
    return outcome_masks[0] ^ msb(r, structure) if structure.order else outcome_masks[0]


# What a party does


@dataclass(frozen=True)
class Dealt:
    """A party's shares: of the rows and monomials, and its own masks. One entry a level."""

    rows: Bits
    masks: tuple[Bits, ...]
    monomials: tuple[Bits, ...]
    outcome_mask: Bits


Found = tuple[list[Bits], list[Bits]]  # EQ and LT of each digit, or of each group


def look_up(structure: Structure, c: Elements, share: Bits, first: bool) -> Found:
    equal, less, at = [], [], 0
    for digit, width in zip(structure.digits(c), structure.widths, strict=True):
        tail = share[at : at + (1 << width) - 1]
        at += len(tail)
        head = np.bitwise_xor.reduce(tail, axis=0) ^ np.uint8(first)
        row = np.vstack([head[None], tail])
        values = np.arange(1 << width, dtype=np.uint64)[:, None]
        equal.append(np.bitwise_xor.reduce(row * (values == digit), axis=0))
        less.append(np.bitwise_xor.reduce(row * (values > digit), axis=0))
    return equal, less


def party(
    structure: Structure, c: Elements, dealt: Dealt, first: bool
) -> Generator[Bits, Bits, None]:
    """Yields the party's messages; is sent what was opened. The last message is the outcome."""
    found = look_up(structure, c, dealt.rows, first)
    for level in range(len(structure.levels)):
        groups = structure.groups(level)
        values = [_values(group, found) for group in groups]
        named = zip(groups, values, strict=True)
        message = np.array([value[name] for group, value in named for name in group.opened])
        opened = yield message ^ dealt.masks[level]
        found = _merge(structure, level, values, opened, dealt, first)
    outcome = found[1] if structure.order else found[0]
    yield outcome[0][None] ^ dealt.outcome_mask


def _values(group: Group, found: Found) -> dict[Name, Bits]:
    equal, less = found
    out = {("q", j): equal[group.first + j] for j in range(group.size)}
    return out | {("l", j): less[group.first + j] for j in range(group.size)}


def _merge(
    structure: Structure, level: int, values: list[dict[Name, Bits]], opened: Bits, dealt: Dealt,
    first: bool,
) -> Found:  # fmt: skip
    equal, less, at, dealt_at = [], [], 0, 0
    for group, value in zip(structure.groups(level), values, strict=True):
        names, terms = group.opened, group.monomials
        public = dict(zip(names, opened[at:], strict=False))
        share = {frozenset([v]): m for v, m in zip(names, dealt.masks[level][at:], strict=False)}
        share |= dict(zip(terms, dealt.monomials[level][dealt_at:], strict=False))
        share[frozenset()] = np.full_like(opened[0], first)
        at, dealt_at = at + len(names), dealt_at + len(terms)
        zero = np.zeros_like(opened[0])
        equal.append(_expand(group.equal, public, share) if group.product else zero)
        below = [_expand(term, public, share) for term in group.less] if group.order else []
        less.append(xor([value["l", group.size - 1], *below]))
    return equal, less


def _expand(term: Term, public: dict[Name, Bits], share: dict[Term, Bits]) -> Bits:
    """A share of the product of (opened ^ mask) over a term: the sum over all subsets of masks."""
    out = np.zeros_like(next(iter(public.values())))
    for masked in subsets(term):
        factors = [public[v] for v in term - masked]
        out ^= np.bitwise_and.reduce([share[masked], *factors])
    return out


def subsets(term: Term) -> list[Term]:
    sizes = range(len(term) + 1)
    return [frozenset(s) for s in chain.from_iterable(combinations(term, n) for n in sizes)]


def run(structure: Structure, c: Elements, dealt: Sequence[Dealt]) -> list[list[Bits]]:
    """All parties in lockstep: per round, every party's message."""
    parties = [party(structure, c, d, p == 0) for p, d in enumerate(dealt)]
    rounds = [[next(p) for p in parties]]
    for _ in structure.levels:
        opened = xor(rounds[-1])
        rounds.append([p.send(opened) for p in parties])
    return rounds


def bit_hat(structure: Structure, c: Elements, outcome: Bits, flip: bool = False) -> Bits:
    """The public part of [x < 0] (of [x == 0]), xor flip; the bit is this xor beta."""
    hat = outcome[0] ^ np.uint8(flip)
    return hat ^ msb(c, structure) if structure.order else hat
