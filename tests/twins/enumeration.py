"""Enumeration of one party's randomness in a tiny ring, and what the others see meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.twins.comparison import xor

Bits = NDArray[np.uint8]  # one row a bit
Elements = NDArray[np.uint64]
Spec = dict[str, int]  # name -> number of bits


@dataclass(frozen=True)
class World:
    """All parties' randomness: the honest party's runs over every value, the others' is drawn.

    own: what every party expands from its seed. dealt: shares that all but the last expand.
    """

    parties: int
    honest: int
    bits: list[dict[str, Bits]]
    count: int

    @staticmethod
    def make(parties: int, honest: int, own: Spec, dealt: Spec, draw: int) -> World:
        rng = np.random.default_rng(draw)
        specs = [{**own, **dealt} if p < parties - 1 else own for p in range(parties)]
        count = 1 << sum(specs[honest].values())
        bits = []
        for p, spec in enumerate(specs):
            values, at = {}, 0
            for name, size in spec.items():
                if p == honest:
                    positions = np.arange(at, at + size)[:, None]
                    values[name] = (np.arange(count) >> positions & 1).astype(np.uint8)
                else:
                    drawn = rng.integers(0, 2, (size, 1), dtype=np.uint8)
                    values[name] = np.broadcast_to(drawn, (size, count))
                at += size
            bits.append(values)
        return World(parties, honest, bits, count)

    def inputs(self, secret: int, ring_bits: int, draw: int = 0) -> list[Elements]:
        """Shares of a secret: the honest party's is what the others' drawn ones leave."""
        rng = np.random.default_rng((draw, 7))
        shares = rng.integers(0, 1 << ring_bits, self.parties)
        shares[self.honest] = 0
        shares[self.honest] = (secret - shares.sum()) % (1 << ring_bits)
        return [np.full(self.count, share, dtype=np.uint64) for share in shares.tolist()]

    def each(self, name: str) -> list[Bits]:
        return [bits[name] for bits in self.bits if name in bits]

    def elements(self, name: str) -> list[Elements]:
        return [to_elements(bits) for bits in self.each(name)]

    def dealt(self, name: str, value: Bits) -> tuple[list[Bits], list[Bits]]:
        """XOR shares of a value, and what of them reaches the view."""
        others = self.each(name)
        correction = xor([value, *others])
        return [*others, correction], self.seen(correction)

    def dealt_sum(self, name: str, value: Elements, bits: int) -> list[Bits]:
        """The same for additive shares: the part in the view."""
        return self.seen(to_bits(value - sum(self.elements(name)), bits))

    def seen(self, correction: Bits) -> list[Bits]:
        """A correction is seen where the last party is not the honest one."""
        return [] if self.honest == self.parties - 1 else [correction]


def to_elements(bits: Bits) -> Elements:
    weights = np.uint64(1) << np.arange(len(bits), dtype=np.uint64)[:, None]
    return (bits * weights).sum(axis=0, dtype=np.uint64)


def to_bits(values: Elements, bits: int) -> Bits:
    return (values >> np.arange(bits, dtype=np.uint64)[:, None] & np.uint64(1)).astype(np.uint8)


def histogram(view: list[Bits]) -> NDArray[np.int64]:
    """How often each view occurs."""
    joined = np.vstack(view)
    return np.bincount(to_elements(joined).astype(np.int64), minlength=1 << len(joined))


View = Callable[[int], list[Bits]]


def is_uniform(view: View, secrets: range) -> bool:
    return all(len(set(histogram(view(secret)).tolist())) == 1 for secret in secrets)


def leaks(view: View, secrets: range) -> bool:
    """Two secrets give different distributions: a distinguisher exists."""
    first, *rest = (histogram(view(secret)) for secret in secrets)
    return any(not np.array_equal(first, other) for other in rest)
