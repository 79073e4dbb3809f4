"""Holding the argument of a function within its domain, from the opening that evaluates it.

Bits b = b^ xor beta from comparisons of the same c; the provider deals every function value of r
also times beta, so that b * f needs no further message:
    [b f] = F(c) (b^ [E] + (1 - 2 b^) [beta E]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import kernels
from ...provider import BitView, Operand
from ...share import Share
from ..comparison import Comparison, compare


@dataclass(frozen=True)
class Clip:
    """x against one or two public bounds. inside: the public b^ of [low <= x (< high)]."""

    outcome: Comparison
    inside: Tensor

    @property
    def phase_of(self) -> Tensor:
        """The opened c of the argument, flat."""
        return self.outcome.masked.c

    @property
    def operands(self) -> list[Operand]:
        """What a request for function values names: the mask, and the bits whose xor is beta."""
        n = self.outcome.n
        request = self.outcome.dealt.request
        bits = [BitView(request, t, n, (n,), (1,), 0) for t in range(len(self.outcome.planes))]
        return [self.outcome.masked.mask, *bits]

    def keep(self, plain: Tensor, times_beta: Tensor) -> Tensor:
        """A party's share of b E from its shares of E and beta E."""
        return torch.where(self.inside, plain - times_beta, times_beta)

    def bit(self, party: int, bound: int) -> Tensor:
        """A party's share of [x >= bound] as 0 or 1; for two bounds only."""
        plane, beta = self.outcome.planes[bound], self.outcome.value(party, bound, 0)
        return kernels.bit_share(plane, beta, party == self.outcome.masked.share.session.first)


def clip(flat: Share, bounds: Sequence[int]) -> Clip:
    """Compare flat x with one or two ring elements, low before high.

    4 rounds (3 where x is open); 34 bits sent and 96 dealt (160 for two) a bound, 232 dealt once.
    """
    outcome = compare(flat, list(bounds), "none" if len(bounds) == 1 else "bit")
    plane = outcome.planes[0]
    for other in outcome.planes[1:]:
        plane = plane ^ other
    return Clip(outcome, kernels.bit_values(plane, outcome.n) != 0)
