"""Comparisons by digit rows, and what follows from a comparison bit.

For c = x + r (opened, any earlier opening serves) and a public threshold T, c' = c - T:
    msb(x - T) = msb(c') xor msb(r) xor [c'_low < r_low], low = the low 63 bits.
The provider deals XOR shares of the one-hot rows of r's digits; rows are looked up at public
positions, merged on masked bits, and the result is opened under a random beta':
    b^ = public, b = b^ xor beta, beta = beta' xor msb(r), [beta] dealt.
By default sixteen digits in two merges: rounds are the opening of c (if new), the two merges, b^;
64 + 34 bits sent an element; dealt 392 for the bit, 456 for ReLU, 552 for ReLU fused with a
truncation by 2^16. In a session for slow links (link="wan") nine digits in one merge: a round less,
64 + 17 bits sent, 1564 more dealt. Right for |x - T| < 2^63.
Digit rows: after the digit decomposition of Rathee et al., "CrypTFlow2", CCS 2020 [RRK+20], with
dealt one-hot rows in place of oblivious transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from .. import kernels
from ..provider import Dealt
from ..provider.requests import BETA, DIGITS, MASKS, threshold_stream
from ..share import Share
from ..transport import Opening
from .opening import Masked, masked, masks, same_session

VALUES_OF = {"none": 0, "bit": 1, "select": 2, "select_shift": 5}


@dataclass
class Comparison:
    """A value against public thresholds, asked of the provider; `run` takes the parties' steps.

    masked: the opened value. planes: per threshold the packed public bits b^. Both after `run`.
    """

    digits: kernels.Digits
    share: Share
    dealt: Dealt
    thresholds: Sequence[int | Tensor]
    kind: str
    flip: bool
    planes: list[Tensor] = field(default_factory=list)
    _lowered: list[tuple[Tensor, int]] = field(default_factory=list)
    _tops: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    @cached_property
    def masked(self) -> Masked:
        return masked(self.share)[0]

    @property
    def n(self) -> int:
        return self.share.here.numel()

    def value(self, party: int, threshold: int, which: int) -> Tensor:
        """A party's share of a dealt value: beta, beta * r, ... in the order of the request."""
        return self.dealt.part(party, self._item(threshold, self.digits.merges + which))

    def source(self, party: int, threshold: int, which: int) -> kernels.Source:
        """Where a kernel finds such a share."""
        return self.dealt.source(party, self._item(threshold, self.digits.merges + which))

    def _item(self, threshold: int, which: int) -> int:
        return 1 + threshold * (self.digits.merges + VALUES_OF[self.kind]) + which

    def run(self) -> Comparison:
        """A round for the opening, if it is new, one for each merge and one for b^."""
        c = self.masked.c
        # c' and what is still to be taken off it, block by block
        self._lowered = [(c, t) if isinstance(t, int) else (c - t, 0) for t in self.thresholds]
        first, *following = self.digits.messages
        opened = self._open(first, self._lookup)
        self.dealt.release(0)
        for level, count in enumerate(following, 1):
            waiting = opened
            opened = self._open(count, lambda p, t: self._merge(level, waiting[t], p, t))
            for t in range(len(self.thresholds)):
                self.dealt.release(self._item(t, level - 1))
        planes = [plane.view(-1) for plane in opened]
        if self.digits.order:
            planes = [
                kernels.bit_hat(c, plane, self.flip, rest)
                for (c, rest), plane in zip(self._lowered, planes, strict=True)
            ]
        self.planes = planes
        self._lowered = []
        return self

    def _open(self, count: int, step: Callable[[int, int], Tensor]) -> list[Tensor]:
        share = self.share
        batch = []
        for t in range(len(self.thresholds)):
            messages = share.each(lambda p, _: step(p, t))
            batch.append(Opening(messages, "xor", count * self.n))
        return share.session.transport.open(batch)

    def _lookup(self, p: int, t: int) -> Tensor:
        """Party p: EQ and LT of every digit at the public index, masked for the first merge."""
        first = p == self.share.session.first
        rows, (c, rest) = self.dealt.source(p, 0), self._lowered[t]
        message, self._tops[p, t] = kernels.lookup(
            self.digits, c, rows, self.dealt.keys[p], self._masks(1, t), first, rest
        )
        return message

    def _merge(self, level: int, opened: Tensor, p: int, t: int) -> Tensor:
        """Party p: products in the opened bits and the dealt monomials, masked for what follows."""
        message, self._tops[p, t] = kernels.merge(
            self.digits,
            level,
            self.n,
            opened,
            self._tops[p, t],
            self.dealt.keys[p],
            self._masks(level, t),
            self.dealt.source(p, self._item(t, level - 1)),
            self._masks(level + 1, t),
            p == self.share.session.first,
        )
        return message

    def _masks(self, level: int, t: int) -> int:
        """The stream that masks what merge `level` opens; after the last merge, the outcome."""
        return threshold_stream(t, (*MASKS[: self.digits.merges], BETA)[level - 1])


def compare(
    x: Share, thresholds: Sequence[int | Tensor], kind: str, shift: int = 0, flip: bool = True
) -> Comparison:
    """[x >= T] for each public threshold T (flip False: [x < T]), in masked form.

    x: flat and dense. thresholds: ring elements, numbers or flat tensors. kind: which products with
    beta are dealt: "bit", "select" (beta r), "select_shift" (with the truncation by 2^shift).
    1. open c = x + r (unless known)
    2. look up EQ and LT of every digit at c - T; mask and open them; merge groups of four
    3. the same for the four groups' results (not in a "wan" session: it merges nine digits at once)
    4. mask the result by beta' and open it
    """
    return begin(x, thresholds, kind, shift, flip).run()


def begin(
    x: Share, thresholds: Sequence[int | Tensor], kind: str, shift: int = 0, flip: bool = True
) -> Comparison:
    """`compare`, of which only the provider has heard: it deals while the parties do others."""
    return _asked(x, "less_than", thresholds, kind, shift, flip)


def compare_zero(x: Share) -> Comparison:
    """[x == 0] in masked form: all digits of c and r agree. x: flat and dense."""
    return _asked(x, "equal", [0], "bit", 0, False).run()


def _asked(
    x: Share, op: str, thresholds: Sequence[int | Tensor], kind: str, shift: int, flip: bool
) -> Comparison:
    session = same_session(x)
    if session.link == "wan":
        op += "_wide"
    dealt = session.deal(op, masks(x), [kind, shift, len(thresholds)])
    return Comparison(DIGITS[op], x, dealt, thresholds, kind, flip)
