"""Holding the argument of a function within its domain, from the opening that evaluates it.

Bits b = b^ xor beta from comparisons of the same c; the provider deals every function value of r
also times beta, so that b * f needs no further message:
    [b f] = F(c) (b^ [E] + (1 - 2 b^) [beta E]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from ... import kernels
from ...provider import BitView, Operand
from ...share import Share
from ..bits import MaskedBit, bit_of, masked_bit
from ..comparison import Comparison, begin
from ..opening import Masked, masked, masks


@dataclass(frozen=True)
class _Outcome:
    """What a clip's rounds give. inside: the public b^ of [low <= x (< high)]."""

    masked: Masked
    inside: Tensor
    bits: Sequence[MaskedBit]


class Clip:
    """Flat x against public bounds. The rounds are taken when their outcome is first needed: what
    is to be evaluated is asked of the provider before, so that it deals meanwhile.

    operands: what a request for function values names: the mask, and the bits whose xor is beta.
    """

    def __init__(self, flat: Share, found: Comparison | Sequence[MaskedBit], kept: str) -> None:
        """found: the comparison that is to run, or the bits that an earlier one left.

        kept: under what name to leave the bits with x's storage; nowhere if empty.
        """
        self._flat, self._found, self._kept = flat, found, kept
        if isinstance(found, Comparison):
            n, request = found.n, found.dealt.request
            views = [BitView(request, t, n, (n,), (1,), 0) for t in range(len(found.thresholds))]
        else:
            views = [BitView(b.request, b.threshold, b.n, (b.n,), (1,), 0) for b in found]
        self.operands: list[Operand] = [*masks(flat), *views]

    @cached_property
    def _outcome(self) -> _Outcome:
        found = self._found
        if not isinstance(found, Comparison):
            planes = [bit.plane for bit in found]
            return _Outcome(masked(self._flat)[0], _inside(planes, found[0].n), found)
        found.run()
        bits: list[MaskedBit] = []
        if found.kind != "none":
            size = self._flat.shape
            bits = [_masked_bit(found, t, size) for t in range(len(found.thresholds))]
        if self._kept:
            self._flat.facts.derived[self._kept] = bits
        return _Outcome(found.masked, _inside(found.planes, found.n), bits)

    @property
    def phase_of(self) -> Tensor:
        """The opened c of the argument, flat."""
        return self._outcome.masked.c

    def keep(self, plain: Tensor, times_beta: Tensor) -> Tensor:
        """A party's share of b E from its shares of E and beta E."""
        return torch.where(self._outcome.inside, plain - times_beta, times_beta)

    def bit(self, party: int, bound: int) -> Tensor:
        """A party's share of [x >= bound] as 0 or 1; not where the clip is for `below` only."""
        made = self._outcome.bits[bound]
        return kernels.bit_share(made.plane, made.beta[party], self._is_first(party))

    def times(self, party: int, bound: int) -> Tensor:
        """A party's share of [x >= bound] * x, flat; for clips made with `products`."""
        opened, found = self._outcome.masked, self._found
        assert isinstance(found, Comparison)
        beta, beta_r = (found.source(party, bound, i) for i in (0, 1))
        first = self._is_first(party)
        return kernels.select_share(
            found.planes[bound], opened.c, opened.mask_source(party), beta, beta_r, first
        )

    def _is_first(self, party: int) -> bool:
        return party == self._flat.session.first


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
        return Clip(flat, held, "")
    kind = "none" if len(bounds) == 1 else "select" if products else "bit"
    return Clip(flat, begin(flat, list(bounds), kind), name if keep and flat.whole else "")


def _masked_bit(outcome: Comparison, bound: int, size: torch.Size) -> MaskedBit:
    made = masked_bit(bit_of(outcome, bound, size))
    assert made is not None
    return made


def _inside(planes: Sequence[Tensor], n: int) -> Tensor:
    """The public part of the exclusive or of bits."""
    return kernels.bit_values(reduce(torch.bitwise_xor, planes), n) != 0
