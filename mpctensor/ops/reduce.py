"""Sums, means, variances, running sums, products and extrema."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .operands import converted, filled, retag
from .pointwise import product
from .registry import implements
from .smooth import sqrt

aten = torch.ops.aten
prims = torch.ops.prims


def dims_of(x: Share, dim: Any) -> list[int]:
    """The reduced dimensions, counted from the front; None and () mean all."""
    n = x.here.dim()
    if dim is None or (isinstance(dim, (list, tuple)) and not dim):
        return list(range(n))
    given = [operator.index(d) for d in (dim if isinstance(dim, (list, tuple)) else [dim])]
    for d in given:
        if not -max(n, 1) <= d < max(n, 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-max(n, 1)},"
                f" {max(n, 1) - 1}], but got {d})"
            )
    return [d % n for d in given] if n else []


def one_of(name: str, x: Share, dims: Sequence[int], correction: float = 0) -> Fraction:
    """1 / (number of elements reduced - correction); torch's nan of too few has no shares."""
    freedom = Fraction(prod(x.shape[d] for d in dims)) - Fraction(correction)
    if freedom <= 0:
        raise EncodingError(
            f"{name}() over dimensions {list(dims)} of shape {tuple(x.shape)}, correction"
            f" {correction}, is not a number, which shares cannot hold; reduce more elements"
        )
    return 1 / freedom


def _total(x: Share, dims: Sequence[int], keepdim: bool, dtype: torch.dtype | None) -> Share:
    if dtype is not None:
        x = converted(x, dtype)
    out = mpc.total(x, dims, keepdim)
    return out if x.dtype.is_floating_point or dtype is not None else retag(out, torch.int64)


@implements(aten.sum.default)
def sum_all(x: Share, *, dtype: torch.dtype | None = None) -> Share:
    return _total(x, dims_of(x, None), False, dtype)


@implements(aten.sum.dim_IntList)
def sum_dims(
    x: Share, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Share:
    return _total(x, dims_of(x, dim), keepdim, dtype)


@implements(prims.sum.default)
def sum_prims(x: Share, dim: Any, *, output_dtype: torch.dtype | None = None) -> Share:
    return _total(x, list(dim), False, output_dtype)


def _floats_only(name: str, x: Share, dtype: torch.dtype | None) -> Share:
    if dtype is not None:
        return converted(x, dtype)
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point"
            f" or complex dtype. Got: {x.dtype}"
        )
    return x


@implements(aten.mean.default)
def mean_all(x: Share, *, dtype: torch.dtype | None = None) -> Share:
    return mean_dims(x, None, dtype=dtype)


@implements(aten.mean.dim)
def mean_dims(
    x: Share, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Share:
    x = _floats_only("mean", x, dtype)
    dims = dims_of(x, dim)
    return mpc.scaled(mpc.total(x, dims, keepdim), one_of("mean", x, dims))


def moments(x: Share, dims: Sequence[int], correction: float = 1) -> tuple[Share, Share, Share]:
    """(mean, variance, x - mean), the dimensions kept."""
    mean = mean_dims(x, dims, True)
    centred = mpc.sub(x, mean)
    squares = mpc.total(mpc.square(centred), dims, True)
    return mean, mpc.scaled(squares, one_of("var", x, dims, correction)), centred


def _drop(x: Share, dims: Sequence[int], keepdim: bool) -> Share:
    return x if keepdim else x.map(lambda part: part.squeeze(tuple(dims)))


@implements(aten.var.correction, aten.var.dim, aten.var.default)
def var(
    x: Share,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Share:
    return var_mean(x, dim, unbiased, keepdim, correction=correction)[0]


@implements(aten.var_mean.correction, aten.var_mean.dim, aten.var_mean.default)
def var_mean(
    x: Share,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Share, Share]:
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    x = _floats_only("var", x, None)
    dims = dims_of(x, dim)
    mean, variance, _ = moments(x, dims, float(unbiased) if correction is None else correction)
    return _drop(variance, dims, keepdim), _drop(mean, dims, keepdim)


@implements(aten.std.correction, aten.std.dim, aten.std.default)
def std(x: Share, *args: Any, **kwargs: Any) -> Share:
    return sqrt(var(x, *args, **kwargs))


@implements(aten.std_mean.correction)
def std_mean(x: Share, *args: Any, **kwargs: Any) -> tuple[Share, Share]:
    variance, mean = var_mean(x, *args, **kwargs)
    return sqrt(variance), mean


@implements(aten.cumsum.default)
def cumsum(x: Share, dim: int, *, dtype: torch.dtype | None = None) -> Share:
    x = converted(x, dtype or (x.dtype if x.dtype.is_floating_point else torch.int64))
    return x.map(lambda part: part.cumsum(dim))


# Products: a tree, or a scan, of log2(n) levels


@implements(aten.prod.default)
def prod_all(x: Share, *, dtype: torch.dtype | None = None) -> Share:
    return prod_dim(x.map(lambda part: part.reshape(-1)), 0, dtype=dtype)


@implements(aten.prod.dim_int)
def prod_dim(
    x: Share, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Share:
    x = converted(x, dtype or (x.dtype if x.dtype.is_floating_point else torch.int64))
    if x.here.dim() == 0:
        return x.clone()
    if x.shape[dim] == 0:
        size = [1 if d == dim % x.here.dim() else n for d, n in enumerate(x.shape)]
        ones = filled(x, size, 1, x.dtype)
        return ones if keepdim else ones.map(lambda part: part.squeeze(dim))
    if x.shape[dim] == 1:
        return x.clone() if keepdim else x.map(lambda part: part.squeeze(dim)).clone()
    rest = x.map(lambda part: part.movedim(dim, 0))
    while rest.shape[0] > 1:
        even = rest.shape[0] // 2 * 2
        pairs = product(
            rest.map(lambda part: part[0:even:2]), rest.map(lambda part: part[1:even:2])
        )
        odd = rest.map(lambda part: part[even:])
        rest = mpc.concatenate(lambda parts: torch.cat(tuple(parts)), [pairs, odd])
    return rest.map(lambda part: part.movedim(0, dim) if keepdim else part.squeeze(0))


@implements(aten.cumprod.default)
def cumprod(x: Share, dim: int, *, dtype: torch.dtype | None = None) -> Share:
    x = converted(x, dtype or (x.dtype if x.dtype.is_floating_point else torch.int64))
    if x.here.dim() == 0 or x.shape[dim] <= 1:
        return x.clone()
    scan, step = x.map(lambda part: part.movedim(dim, 0)), 1
    while step < scan.shape[0]:
        later = product(
            scan.map(lambda part: part[step:]), scan.map(lambda part: part[: part.shape[0] - step])
        )
        head = scan.map(lambda part: part[:step])
        scan = mpc.concatenate(lambda parts: torch.cat(tuple(parts)), [head, later])
        step *= 2
    return scan.map(lambda part: part.movedim(0, dim))


# Extrema


def as_rows(tensor: Tensor, dims: Sequence[int]) -> Tensor:
    """The reduced dimensions as one, at the end."""
    kept = [d for d in range(tensor.dim()) if d not in dims]
    size = [tensor.shape[d] for d in kept]
    return tensor.permute((*kept, *dims)).reshape((*size, prod(tensor.shape[d] for d in dims)))


def with_dims(out: Tensor, size: Sequence[int], dims: Sequence[int]) -> Tensor:
    """What was reduced over dims, with these as 1; size: before."""
    return out.reshape([1 if d in dims else n for d, n in enumerate(size)])


def largest(x: Share, dims: Sequence[int], keepdim: bool, smallest: bool = False) -> Share:
    """The maximum (minimum) over several dimensions, through one tree."""
    rows = x.map(lambda part: as_rows(part, dims))
    out, _ = (mpc.min_along if smallest else mpc.max_along)(rows, -1)
    return out.map(lambda part: with_dims(part, x.shape, dims) if keepdim else part)


def evenly(gradient: Share, winners: Share) -> Share:
    """The gradient shared among the winners (bits; the last dimension was reduced)."""
    gradient = gradient.map(lambda part: part.unsqueeze(-1))
    if winners.shape[-1] == 1:
        return gradient.clone()
    return mpc.bit_mul(winners, mpc.mul(gradient, _one_in(winners)))


def average(values: Share, winners: Share) -> Share:
    """The mean of the values where the winners are: the transpose of `evenly`."""
    if winners.shape[-1] == 1:
        return values.map(lambda part: part.squeeze(-1)).clone()
    kept = mpc.total(mpc.bit_mul(winners, values), [-1], True)
    return mpc.mul(kept, _one_in(winners)).map(lambda part: part.squeeze(-1))


def _one_in(winners: Share) -> Share:
    """1 / the number of winners, read at that position; 1 round."""
    n = winners.shape[-1]
    row = mpc.one_hot(mpc.total(winners, [-1], True), n + 1, first=1)
    inverses = 1 / torch.arange(1, n + 1, dtype=torch.float64)
    unit = winners.session.unit
    out = mpc.mul(row, mpc.constant(winners.session, inverses, unit, unit=unit))
    return mpc.total(retag(out, torch.get_default_dtype()), [-1])


@implements(aten.amax.default)
def amax(x: Share, dim: Any = (), keepdim: bool = False) -> Share:
    return largest(x, dims_of(x, dim), keepdim)


@implements(aten.amin.default)
def amin(x: Share, dim: Any = (), keepdim: bool = False) -> Share:
    return largest(x, dims_of(x, dim), keepdim, smallest=True)


@implements(prims.amax.default)
def amax_prims(x: Share, dim: Any) -> Share:
    return largest(x, list(dim), False)


@implements(aten.any.default)
def any_all(x: Share) -> Share:
    return any_dims(x, None)


@implements(aten.any.dim, aten.any.dims)
def any_dims(x: Share, dim: Any = None, keepdim: bool = False) -> Share:
    """Whether a bit is set somewhere: the count is positive. No dimensions (): each by itself."""
    bits = converted(x, torch.bool)
    if isinstance(dim, (list, tuple)) and not dim:
        return bits.clone()
    return mpc.positive(mpc.total(bits, dims_of(x, dim), keepdim))


@implements(aten._is_any_true.default)
def is_any_true(x: Share) -> Any:
    """What anomaly detection reads at once: plain where the bits are public, as those of isnan."""
    known = x.public
    return any_dims(x, None) if known is None else (known != 0).any()


@implements(aten._is_all_true.default)
def is_all_true(x: Share) -> Any:
    known = x.public
    return all_dims(x, None) if known is None else (known != 0).all()


@implements(aten.all.default)
def all_all(x: Share) -> Share:
    return all_dims(x, None)


@implements(aten.all.dim, aten.all.dims)
def all_dims(x: Share, dim: Any = None, keepdim: bool = False) -> Share:
    return mpc.invert(any_dims(mpc.invert(converted(x, torch.bool)), dim, keepdim))
