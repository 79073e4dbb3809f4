"""Comparisons by digit rows, and what follows from a comparison bit.

For c = x + r (opened, any earlier opening serves) and a public threshold T, c' = c - T:
    msb(x - T) = msb(c') xor msb(r) xor [c'_low < r_low], low = the low 63 bits.
The provider deals XOR shares of the one-hot rows of r's digits; rows are looked up at public
positions, merged on masked bits in two levels, and the result is opened under a random beta':
    b^ = public, b = b^ xor beta, beta = beta' xor msb(r), [beta] dealt.
Rounds: opening of c (if new), two merges, b^. 64 + 34 bits sent an element; dealt 392 for the bit,
456 for ReLU, 552 for ReLU fused with a truncation by 2^16. Right for |x - T| < 2^63.
Digit rows: after the digit decomposition of Rathee et al., "CrypTFlow2", CCS 2020 [RRK+20], with
dealt one-hot rows in place of oblivious transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .. import kernels
from ..provider import Dealt
from ..provider.requests import BETA, MASKS_1, MASKS_2, threshold_stream
from ..share import Share
from ..transport import Opening
from .opening import Masked, masked, same_session

VALUES_OF = {"none": 0, "bit": 1, "select": 2, "select_shift": 5}


@dataclass(frozen=True)
class Digits:
    """The kernels of one kind of comparison, and how many planes each merge opens."""

    lookup: Callable[..., Any]
    merge: Callable[..., Any]
    planes: tuple[int, int]


LESS_THAN = Digits(kernels.lookup, kernels.merge, (27, 6))
EQUAL = Digits(kernels.equal_lookup, kernels.equal_merge, (16, 4))


@dataclass
class Comparison:
    """One opened value against public thresholds: the steps of each party, and the outcome.

    planes: after `run`, per threshold the packed public bits b^.
    """

    op: str
    masked: Masked
    dealt: Dealt
    shifted: list[Tensor]
    kind: str
    planes: list[Tensor] = field(default_factory=list)
    _tops: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.masked.share.here.numel()

    def value(self, party: int, threshold: int, which: int) -> Tensor:
        """A party's share of a dealt value: beta, beta * r, ... in the order of the request."""
        return self.dealt.part(party, self._item(threshold, 2 + which))

    def _item(self, threshold: int, which: int) -> int:
        return 1 + threshold * (2 + VALUES_OF[self.kind]) + which

    def run(self, flip: bool) -> None:
        """Three rounds: the two merges and b^."""
        digits = EQUAL if self.op == "equal" else LESS_THAN
        opened = self._open(digits.planes[0], lambda p, t: self._lookup(digits, p, t))
        for level, count in ((1, digits.planes[1]), (2, 1)):
            waiting = opened
            opened = self._open(count, lambda p, t: self._merge(digits, level, waiting[t], p, t))
        planes = [plane.view(-1) for plane in opened]
        if self.op == "less_than":
            planes = [
                kernels.bit_hat(c, b, flip) for c, b in zip(self.shifted, planes, strict=True)
            ]
        self.planes = planes

    def _open(self, count: int, step: Callable[[int, int], Tensor]) -> list[Tensor]:
        share = self.masked.share
        batch = []
        for t in range(len(self.shifted)):
            messages = share.each(lambda p, _: step(p, t))
            batch.append(Opening(messages, "xor", count * self.n))
        return share.session.transport.open(batch)

    def _lookup(self, digits: Digits, p: int, t: int) -> Tensor:
        """Party p: EQ and LT of every digit at the public index, masked for the first merge."""
        first = p == self.masked.share.session.first
        masks = threshold_stream(t, MASKS_1)
        rows = self.dealt.source(p, 0)
        return self._keep(
            p, t, digits.lookup(self.shifted[t], rows, self.dealt.keys[p], masks, first)
        )

    def _merge(self, digits: Digits, level: int, opened: Tensor, p: int, t: int) -> Tensor:
        """Party p: products in the opened bits and the dealt monomials, masked for what follows."""
        first = p == self.masked.share.session.first
        own, following = ((MASKS_1, MASKS_2), (MASKS_2, BETA))[level - 1]
        streams = threshold_stream(t, own), threshold_stream(t, following)
        monomials = self.dealt.source(p, self._item(t, level - 1))
        out = digits.merge(
            level,
            self.n,
            opened,
            self._tops.get((p, t)),
            self.dealt.keys[p],
            streams[0],
            monomials,
            streams[1],
            first,
        )
        return self._keep(p, t, out)

    def _keep(self, p: int, t: int, out: tuple[Tensor, Tensor] | Tensor) -> Tensor:
        """A step's message; what the party does not open waits for the next step."""
        if isinstance(out, tuple):
            out, self._tops[p, t] = out
        return out


def compare(
    x: Share, thresholds: Sequence[int | Tensor], kind: str, shift: int = 0, flip: bool = True
) -> Comparison:
    """[x >= T] for each public threshold T (flip False: [x < T]), in masked form.

    x: flat and dense. thresholds: ring elements, numbers or flat tensors. kind: which products with
    beta are dealt: "bit", "select" (beta r), "select_shift" (with the truncation by 2^shift).
    1. open c = x + r (unless known)
    2. look up EQ and LT of every digit at c - T; mask and open them; merge groups of four
    3. the same for the four groups' results
    4. mask the result by beta' and open it
    """
    return _comparison(x, "less_than", thresholds, kind, shift, flip)


def compare_zero(x: Share) -> Comparison:
    """[x == 0] in masked form: all sixteen digits of c and r agree. x: flat and dense."""
    return _comparison(x, "equal", [0], "bit", 0, False)


def _comparison(
    x: Share, op: str, thresholds: Sequence[int | Tensor], kind: str, shift: int, flip: bool
) -> Comparison:
    session = same_session(x)
    m = masked(x)[0]
    dealt = session.deal(op, [m.mask], [kind, shift, len(thresholds)])
    shifted = [m.c if isinstance(t, int) and t == 0 else m.c - t for t in thresholds]
    comparison = Comparison(op, m, dealt, shifted, kind)
    comparison.run(flip)
    return comparison
