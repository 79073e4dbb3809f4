"""A twin of truncation by 2^f in plain numpy, for a ring of any number of bits.

Written from the formulas: bits of z's sharing are combined as integers. Ring elements are uint64
below 2^k, bits uint8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Elements = NDArray[np.uint64]


@dataclass(frozen=True)
class Ring:
    """Z mod 2^bits; truncation is right for |z| < 2^(bits - 2)."""

    bits: int

    @property
    def offset(self) -> np.uint64:
        return np.uint64(1 << self.bits - 2)

    def wrap(self, values: Elements) -> Elements:
        return values & np.uint64((1 << self.bits) - 1)

    def msb(self, values: Elements) -> Bits:
        return (self.wrap(values) >> np.uint64(self.bits - 1)).astype(np.uint8)

    def power(self, exponent: int) -> np.uint64:
        return np.uint64(1 << exponent)


def wrap_message(ring: Ring, x: Elements, bit: Bits, party: int) -> Bits:
    """What a party opens: the top bit of its share (party 0: with the offset), masked."""
    return ring.msb(x + ring.offset if party == 0 else x) ^ bit


def wrap_correction(ring: Ring, a: Bits, b: Bits, first: Elements) -> Elements:
    """Party 1's share of a b, where `first` is party 0's."""
    return ring.wrap((a & b).astype(np.uint64) - first)


def wrap_finish(
    ring: Ring, x: Elements, party: int, e0: Bits, e1: Bits, own: Bits, product: Elements, f: int
) -> Elements:
    """A share of z / 2^f: m_0 m_1 from m_i = e_i - (2 e_i - 1) own_i and the dealt product."""
    a, b = e0.astype(np.uint64), e1.astype(np.uint64)
    one, two, mine = np.uint64(1), np.uint64(2), own.astype(np.uint64)
    sign = (one - two * a) * (one - two * b)
    if party == 0:
        both = a * b + b * (one - two * a) * mine + sign * product
        top = a ^ mine
        share = ring.wrap(x + ring.offset)
        floor = (share >> np.uint64(f)) - (ring.offset >> np.uint64(f))
    else:
        both = a * (one - two * b) * mine + sign * product
        top = b ^ mine
        rest = (x & np.uint64((1 << f) - 1)) != 0
        floor = (x >> np.uint64(f)) + rest.astype(np.uint64)
    return ring.wrap(floor - (top - both) * ring.power(ring.bits - f))


def open_values(ring: Ring, r: Elements, f: int) -> tuple[Elements, Elements]:
    """What is dealt for truncation by opening: r >> f and the top bit of r."""
    return r >> np.uint64(f), ring.msb(r).astype(np.uint64)


def open_finish(
    ring: Ring, c: Elements, rho: Elements, mu: Elements, f: int, first: bool
) -> Elements:
    """A share of z / 2^f from c = z + r and shares of `open_values`."""
    shifted = ring.wrap(c + ring.offset)
    wrapped = np.uint64(1) - ring.msb(shifted).astype(np.uint64)
    public = (shifted >> np.uint64(f)) - (ring.offset >> np.uint64(f))
    out = wrapped * ring.power(ring.bits - f) * mu - rho
    return ring.wrap(out + public if first else out)
