"""Norms of any order p, and what their gradients need.

Powers are taken of numbers near 1: of |x| over its largest element (p < 0: its smallest), by the
difference of their logarithms, so that none rests or vanishes where the norm itself fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .lineage import fine_digits, nonnegative
from .operands import as_float, converted, exact, filled, retag
from .reduce import as_rows, dims_of, largest, with_dims
from .registry import implements

aten = torch.ops.aten

OF_THEIR_OWN = (0, 1, 2, inf, -inf)  # orders that need no powers

SPARE, MOST_SPARE = 1 << 34, 1 << 16  # powers up to 1 have so many values beside those of the unit


@dataclass(frozen=True)
class PowerNorm:
    """(sum |x|^p)^(1/p) over the last dimension; 0 where that has a 0 and p < 0, as in torch.

    falls: log(|x| / norm). signs: of x. alternating: the sum is of x^p, p odd, and the norm 0 where
    that is not positive (where torch has nan).
    """

    value: Share
    order: Fraction
    falls: Share
    signs: Share
    alternating: bool

    def slope(self) -> Share:
        """The derivative by x: sign(x) (|x| / norm)^(p - 1), without the sign if alternating.

        6 rounds, 9 if alternating. With fine digits where it is at most 1.
        """
        spare = 1 if self.steep else min(MOST_SPARE, SPARE // self.falls.unit)
        steep = mpc.raised(self.falls, self.order - 1, Fraction(spare))
        if self.alternating:
            right = mpc.positive(self.value).map(lambda part: part.unsqueeze(-1))
            out = mpc.bit_mul(right, steep)
        else:
            out = mpc.mul(steep, self.signs)
        return out if self.steep else fine_digits(mpc.scaled(out, Fraction(1, spare)))

    @property
    def steep(self) -> bool:
        """Whether slopes are above 1 and not below: the digits below a gradient's unit count."""
        return 0 < self.order < 1


def power_norm(x: Share, order: float, alternating: bool = False) -> PowerNorm:
    """The norm of an order other than 0, 1 and infinity, over the last dimension.

    29 rounds (p < 0: 36), and 4 for each doubling of the number of elements.
    """
    p = exact(order)
    size, signs = mpc.magnitude(as_float(x))
    edge, _ = (mpc.max_along if p > 0 else mpc.min_along)(size, -1)
    column = edge.map(lambda part: part.unsqueeze(-1))
    logs = mpc.fine_log(mpc.concatenate(lambda parts: torch.cat(tuple(parts), -1), [size, column]))
    falls = mpc.sub(logs.map(lambda part: part[..., :-1]), logs.map(lambda part: part[..., -1:]))
    powers = mpc.raised(falls, p)
    total = mpc.total(mpc.mul(powers, signs) if alternating else powers, [-1])
    rest = mpc.fine_log(total)
    spread = mpc.raised(rest, 1 / abs(p))
    value = mpc.mul(edge, spread) if p > 0 else mpc.divide(edge, spread, True, fine=True)
    rest = mpc.scaled(rest, 1 / p).map(lambda part: part.unsqueeze(-1))
    return PowerNorm(nonnegative(value), p, mpc.sub(falls, rest), signs, alternating)


@implements(aten.linalg_vector_norm.default)
def vector_norm(
    x: Share,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Share:
    """(sum |x|^p)^(1/p); the number of entries that are not 0 for p = 0."""
    x = converted(x, dtype) if dtype is not None else as_float(x)
    dims = dims_of(x, dim)
    if ord == 2:
        root = mpc.sqrt(mpc.total(mpc.square(x), dims, keepdim))
        return nonnegative(retag(root, x.dtype))
    if ord == 1:
        return mpc.total(mpc.absolute(x)[0], dims, keepdim)
    if ord == 0:
        other = mpc.invert(mpc.equal(x, filled(x, (), 0, x.dtype)))
        return converted(mpc.total(other, dims, keepdim), x.dtype)
    if abs(ord) == inf:
        return largest(mpc.absolute(x)[0], dims, keepdim, smallest=ord < 0)
    if x.here.numel() == 0:
        return mpc.total(x, dims, keepdim)
    norm = power_norm(x.map(lambda part: as_rows(part, dims)), ord)
    return norm.value.map(lambda part: with_dims(part, x.shape, dims) if keepdim else part)
