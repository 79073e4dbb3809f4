"""The decimal grid of `fix_precision`: which numbers are kept, and how finely they are carried.

A value is encoded toward zero on the grid of base ** digits and decoded to the nearest point of
that grid. In base 10 it is carried with two guard digits: a training run of twenty steps then ends
within a few points of the grid of plaintext training; without them rounding errors pile up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..encoding import encode
from ..errors import SessionError
from ..session import MAX_PRECISION, check_precision

GUARD = {2: 1, 10: 100}  # the unit of the carried value is so much finer than the grid
MAX_DIGITS = 5


@dataclass(frozen=True, order=True)
class Grid:
    """The numbers n / step; values are carried as multiples of 1 / unit."""

    unit: int
    step: int

    @staticmethod
    def make(base: int, digits: int) -> Grid:
        """The grid of `fix_precision(base=, precision_fractional=)`. Raises SessionError."""
        step = check_precision(digits, base)
        unit = step * GUARD[base]
        if unit > 1 << MAX_PRECISION:
            raise SessionError(
                f"`precision_fractional` is {digits}, too large for the ring, which carries two"
                f" guard digits more, and twice as many in a product: use at most {MAX_DIGITS}"
            )
        return Grid(unit, step)

    @staticmethod
    def of_unit(unit: int) -> Grid:
        """The grid of a value that is carried in this unit."""
        guard = GUARD[10] if unit > 1 and 10 ** (len(str(unit)) - 1) == unit else 1
        return Grid(unit, max(1, unit // guard))

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
