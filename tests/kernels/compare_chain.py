"""The comparison kernels in the order in which a provider and n parties call them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from mpctensor import kernels
from mpctensor.kernels import Source

ROWS, MASKS_1, MONOMIALS_1, MASKS_2, MONOMIALS_2, OUTCOME, VALUES = 0, 1, 2, 3, 4, 5, 10
MASKS, MONOMIALS = (MASKS_1, MASKS_2), (MONOMIALS_1, MONOMIALS_2)
MASK = 77  # the stream of the parties' shares of r


@dataclass
class Chain:
    """n parties comparing x; all tensors of one run are kept for inspection.

    messages: per round, of every party. dealt: the last party's corrections.
    """

    x: Tensor
    parties: int
    digits: kernels.Digits = kernels.LESS
    threshold: int = 0
    messages: list[list[Tensor]] = field(default_factory=list)
    dealt: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = [bytes([p + 1] * 16) for p in range(self.parties)]
        self.mask_keys = [bytes([p + 101] * 16) for p in range(self.parties)]
        self.every, self.others = b"".join(self.keys), b"".join(self.keys[:-1])
        self.n = self.x.numel()
        self.r = kernels.prg(b"".join(self.mask_keys), MASK, 0, self.n)
        self.c = self.x + self.r - self.threshold
        self.deal()

    def deal(self) -> None:
        digits = self.digits
        self.dealt["rows"] = kernels.rows_deal(digits, self.r, self.others, ROWS)
        for i in range(digits.merges):
            self.dealt[f"monomials {i + 1}"] = kernels.merge_deal(
                digits, i + 1, self.n, self.every, MASKS[i], self.others, MONOMIALS[i]
            )
        if digits.order:
            self.beta = kernels.beta_deal(self.r, self.every, OUTCOME)
        else:
            self.beta = kernels.prg_bundle(self.every, OUTCOME, 1, self.n)[0]

    def source(self, party: int, correction: Tensor, stream: int) -> Source:
        return correction if party == self.parties - 1 else (self.keys[party], stream)

    def open(self, messages: list[Tensor]) -> Tensor:
        self.messages.append(messages)
        return reduce(torch.bitwise_xor, messages)

    def hat(self, flip: bool = False) -> Tensor:
        """All merges; the public plane b^, where b^ xor beta is the outcome."""
        opened, tops = self._looked_up()
        for level in range(1, self.digits.merges + 1):
            opened, tops = self._merged(level, opened, tops)
        opened = opened.view(-1)
        if self.digits.order:
            return kernels.bit_hat(self.c, opened, flip)
        return ~opened if flip else opened

    def _looked_up(self) -> tuple[Tensor, list[Tensor]]:
        found = []
        for p, key in enumerate(self.keys):
            rows = self.source(p, self.dealt["rows"], ROWS)
            found.append(kernels.lookup(self.digits, self.c, rows, key, MASKS_1, p == 0))
        return self.open([message for message, _ in found]), [tops for _, tops in found]

    def _merged(
        self, level: int, opened: Tensor, tops: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        masks, stream = MASKS[level - 1], MONOMIALS[level - 1]
        following = OUTCOME if level == self.digits.merges else MASKS[level]
        found = []
        for p, key in enumerate(self.keys):
            monomials = self.source(p, self.dealt[f"monomials {level}"], stream)
            found.append(
                kernels.merge(
                    self.digits, level, self.n, opened, tops[p], key, masks, monomials, following,
                    p == 0,
                )
            )  # fmt: skip
        return self.open([message for message, _ in found]), [tops for _, tops in found]

    def bit(self, hat: Tensor) -> Tensor:
        return kernels.bit_values(hat ^ self.beta, self.n)

    def select(self, hat: Tensor) -> Tensor:
        """The sum of all shares of b x."""
        values = kernels.select_deal(self.beta, self.r, self.others, VALUES)
        self.dealt |= {"beta": values[0], "beta r": values[1]}
        return sum(
            kernels.select_share(hat, self.c, (self.mask_keys[p], MASK), *shares, p == 0)
            for p, shares in enumerate(self._value_sources(values))
        )

    def select_shift(self, hat: Tensor, f: int) -> Tensor:
        """The sum of all shares of b (x / 2^f)."""
        values = kernels.relu_shift_deal(self.beta, self.r, f, self.others, VALUES)
        self.dealt |= {f"shift {i}": value for i, value in enumerate(values)}
        return sum(
            kernels.select_shift_share(hat, self.c, f, *shares, p == 0)
            for p, shares in enumerate(self._value_sources(values))
        )

    def _value_sources(self, values: list[Tensor]) -> list[list[Source]]:
        return [
            [self.source(p, value, VALUES + i) for i, value in enumerate(values)]
            for p in range(self.parties)
        ]
