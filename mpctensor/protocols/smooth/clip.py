"""Holding the argument of a function within its domain, from the opening that evaluates it.

Bits b = b^ xor beta from comparisons of the same c; the provider deals every function value of r
also times beta, so that b * f needs no further message:
    [b f] = F(c) (b^ [E] + (1 - 2 b^) [beta E]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ... import kernels
from ...provider import BitView, Operand
from ...share import Share
from ..bits import MaskedBit, bit_of, masked_bit
from ..comparison import Comparison, compare
from ..opening import Masked, masked


@dataclass(frozen=True)
class Clip:
    """x against public bounds. inside: the public b^ of [low <= x (< high)].

    bits: [x >= bound] for each bound, where their shares are wanted; views: how a request names
    them. outcome: the comparison, where it was made for this clip.
    """

    masked: Masked
    inside: Tensor
    views: Sequence[BitView]
    bits: Sequence[MaskedBit]
    outcome: Comparison | None

    @property
    def phase_of(self) -> Tensor:
        """The opened c of the argument, flat."""
        return self.masked.c

    @property
    def operands(self) -> list[Operand]:
        """What a request for function values names: the mask, and the bits whose xor is beta."""
        return [self.masked.mask, *self.views]

    def keep(self, plain: Tensor, times_beta: Tensor) -> Tensor:
        """A party's share of b E from its shares of E and beta E."""
        return torch.where(self.inside, plain - times_beta, times_beta)

    def bit(self, party: int, bound: int) -> Tensor:
        """A party's share of [x >= bound] as 0 or 1; not where the clip is for `below` only."""
        made = self.bits[bound]
        return kernels.bit_share(made.plane, made.beta[party], self._is_first(party))

    def times(self, party: int, bound: int) -> Tensor:
        """A party's share of [x >= bound] * x, flat; for clips made with `products`."""
        assert self.outcome is not None
        beta, beta_r = (self.outcome.value(party, bound, i) for i in (0, 1))
        r = self.masked.mask_part(party)
        plane, c = self.outcome.planes[bound], self.masked.c
        return kernels.select_share(plane, c, r, beta, beta_r, self._is_first(party))

    def _is_first(self, party: int) -> bool:
        return party == self.masked.share.session.first


def clip(flat: Share, bounds: Sequence[int], products: bool = False, keep: bool = False) -> Clip:
    """Compare flat x with one or two ring elements, low before high.

    products: for [x >= bound] * x too. keep: leave the bits with x's storage, where the next clip
    at these bounds finds them and needs no message.
    4 rounds (3 where x is open); 34 bits sent and 96 dealt (160 for two, 224 with products) a
    bound, 232 dealt once.
    """
    name = f"clip {bounds}"
    held: Sequence[MaskedBit] | None = flat.facts.derived.get(name) if flat.whole else None
    if held is not None and not products:
        return _of_bits(masked(flat)[0], held)
    kind = "none" if len(bounds) == 1 else "select" if products else "bit"
    outcome = compare(flat, list(bounds), kind)
    request, n = outcome.dealt.request, outcome.n
    views = [BitView(request, t, n, (n,), (1,), 0) for t in range(len(bounds))]
    bits: list[MaskedBit] = []
    if kind != "none":
        bits = [_masked_bit(outcome, t, flat.shape) for t in range(len(bounds))]
    if keep and flat.whole:
        flat.facts.derived[name] = bits
    return Clip(outcome.masked, _inside(outcome.planes, n), views, bits, outcome)


def _of_bits(opened: Masked, bits: Sequence[MaskedBit]) -> Clip:
    views = [BitView(bit.request, bit.threshold, bit.n, (bit.n,), (1,), 0) for bit in bits]
    return Clip(opened, _inside([bit.plane for bit in bits], bits[0].n), views, bits, None)


def _masked_bit(outcome: Comparison, bound: int, size: torch.Size) -> MaskedBit:
    made = masked_bit(bit_of(outcome, bound, size))
    assert made is not None
    return made


def _inside(planes: Sequence[Tensor], n: int) -> Tensor:
    """The public part of the exclusive or of bits."""
    return kernels.bit_values(reduce(torch.bitwise_xor, planes), n) != 0
