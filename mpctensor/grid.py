"""Precision: which numbers fixed point keeps, and how finely they are carried.

In base 2 the grid is that of the ring. In base 10 a value is encoded toward zero on the grid of
10^digits and decoded to the nearest point of that grid, but carried with two guard digits: a
training run of twenty steps then ends within a few points of the grid of plaintext training;
without them rounding errors pile up.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from .encoding import RANGE_BITS, describe_scale, encode
from .errors import SessionError

GUARD = {2: 1, 10: 100}  # the unit of the carried value is so much finer than the grid
DIGITS = {2: 16, 10: 3}  # where none are asked for; 3 + 2 decimal digits are about 16 bits
MOST = {2: 24, 10: 5}


@dataclass(frozen=True, order=True)
class Grid:
    """The numbers n / step; values are carried as multiples of 1 / unit."""

    unit: int
    step: int

    @staticmethod
    def make(base: int = 2, digits: int | None = None) -> Grid:
        """The grid of `digits` fractional digits in `base` 2 or 10. Raises SessionError."""
        if base not in GUARD:
            raise SessionError(
                f"`base` is {base!r}; use 2 (fractional bits) or 10 (decimal digits)"
            )
        if digits is None:
            digits = DIGITS[base]
        if isinstance(digits, bool) or not isinstance(digits, int) or digits < 0:
            raise SessionError(
                f"`precision` is {digits!r}; use a whole number of digits, 0 or more"
            )
        if digits > MOST[base]:
            guard = " and four guard digits" if base == 10 else ""
            raise SessionError(
                f"`precision` is {digits} in base {base}, too large for the ring: a product carries"
                f" twice the digits{guard} in {RANGE_BITS} bits; use at most {MOST[base]}"
            )
        step = base**digits
        return Grid(step * GUARD[base], step)

    @staticmethod
    def of_unit(unit: int) -> Grid:
        """The grid of a value that is carried in this unit."""
        guard = GUARD[10] if unit > 1 and 10 ** (len(str(unit)) - 1) == unit else 1
        return Grid(unit, max(1, unit // guard))

    @property
    def guarded(self) -> bool:
        """Whether values are carried more finely than they are shown: base 10."""
        return self.unit != self.step

    @property
    def base(self) -> int:
        """What the digits are in."""
        return 10 if self.guarded else 2

    @property
    def digits(self) -> int:
        """How many there are behind the point: `precision`."""
        return round(log(self.step, self.base))

    def __str__(self) -> str:
        """`16 fractional bits`, `3 fractional digits`."""
        return describe_scale(self.step)

    def truncated(self, value: Tensor) -> Tensor:
        """Toward zero onto the grid; a decimal such as 0.29, which its float just misses, stays.

        Raises EncodingError for NaN and for what the ring cannot hold.
        """
        encode(value, self.unit)
        scaled = value.detach().to(torch.float64) * self.step
        nearest = scaled.round()
        slack = scaled.abs() * torch.finfo(value.dtype).eps
        kept = torch.where((scaled - nearest).abs() <= slack, nearest, scaled.trunc())
        return (kept / self.step).to(value.dtype)

    def nearest(self, value: Tensor) -> Tensor:
        """The nearest point of the grid."""
        return _rounded(value, self.step)

    def carried(self, value: Tensor) -> Tensor:
        """The nearest multiple of 1 / unit."""
        return _rounded(value, self.unit)

    def integers(self, value: Tensor) -> Tensor:
        """The nearest grid points as integers n of n / step (int64)."""
        return (value.detach().to(torch.float64) * self.step).round().to(torch.int64)


def _rounded(value: Tensor, scale: int) -> Tensor:
    exact = value.detach().to(torch.float64)
    return ((exact * scale).round() / scale).to(value.dtype)
