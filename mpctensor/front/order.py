"""Sorting and what is read off a sorted row: sort, topk, kthvalue, medians, quantiles.

Ties are stable: the lowest index first, as with torch's stable=True, where torch leaves the order
open too. Values come with secret int64 indices. Which protocol runs, in how many rounds, follows
from the sizes: see `protocols.order`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError, SecretLeakError
from ..ops.operands import filled
from ..ops.reduce import dims_of
from ..ops.registry import front
from ..tensor import SharedTensor, on_zeros, wrap
from .chosen import Shared, chosen, index_of


def along(x: Any, dim: int) -> tuple[Any, int]:
    """(x with the dimension at its end, the dimension); a number is a row of one. IndexError."""
    if not isinstance(x, SharedTensor):
        raise TypeError("a plain tensor cannot be ordered by a secret; encrypt it too")
    place = dims_of(x._share, dim)
    return (x.movedim(place[0], -1), place[0]) if place else (x.unsqueeze(0), 0)


def back(values: Any, x: Any, dim: int) -> Any:
    """The inverse of `along`, for a result with as many dimensions."""
    return values.movedim(-1, dim) if x.dim() else values.squeeze(0)


def _ordered(
    name: str, x: Any, start: int, stop: int, largest: bool = False, index: bool = True
) -> tuple[Any, Any]:
    """Ranks start .. stop - 1 along the last dimension: (values, their indices where asked for)."""
    size = (*x.shape[:-1], stop - start)
    if 0 in size:
        none = wrap(filled(x._share, size, 0, torch.int64))
        return x[..., start:stop], none
    values, choices = chosen(x, name, lambda share: mpc.ordered(share, start, stop, largest))
    return values, index_of(x, name, choices) if index else None


def _sorted(name: str, x: Any, dim: int, descending: bool, index: bool = True) -> tuple[Any, Any]:
    row, place = along(x, dim)
    values, indices = _ordered(name, row, 0, row.shape[-1], bool(descending), index)
    return back(values, x, place), back(indices, x, place) if index else None


@front(torch.sort, Tensor.sort)
def sort(input: Any, dim: Any = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """torch.sort: (values, indices), always stable."""
    return torch.return_types.sort(_sorted("sort", input, dim, descending))


@front(torch.msort, Tensor.msort)
def msort(input: Any) -> Any:
    """torch.msort: sorted along dim 0."""
    return _sorted("msort", input, 0, False, index=False)[0]


@front(torch.argsort, Tensor.argsort)
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """torch.argsort: the secret indices of `sort`."""
    with torch.no_grad():
        return _sorted("argsort", input, dim, descending)[1]


@front(torch.topk, Tensor.topk)
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """torch.topk: (values, indices), in order whatever `sorted` says."""
    row, place = along(input, dim)
    if not 0 <= k <= row.shape[-1]:
        raise RuntimeError("selected index k out of range")
    values, indices = _ordered("topk", row, 0, k, largest)
    return torch.return_types.topk((back(values, input, place), back(indices, input, place)))


@front(torch.kthvalue, Tensor.kthvalue)
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """torch.kthvalue: (k-th smallest, its index)."""
    row, place = along(input, dim)
    if not 1 <= k <= row.shape[-1]:
        raise RuntimeError("kthvalue(): selected number k out of range for dimension")
    return torch.return_types.kthvalue(_one("kthvalue", input, row, place, k - 1, keepdim))


def _one(name: str, x: Any, row: Any, dim: int, rank: int, keepdim: bool) -> tuple[Any, Any]:
    """(value, index) of one rank."""
    value, index = (back(v, x, dim) for v in _ordered(name, row, rank, rank + 1))
    return (value, index) if keepdim or not x.dim() else (value.squeeze(dim), index.squeeze(dim))


def _median(name: str) -> Callable[..., Any]:
    """The lower median: of all elements, or (values, indices) along a dimension."""

    def handler(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        row, place = (input.reshape(-1), 0) if dim is None else along(input, dim)
        if input.numel() == 0 and (dim is None or row.shape[-1] == 0):
            if dim is None:
                raise EncodingError(f"{name}() of no elements is nan, which shares cannot hold")
            raise IndexError("median(): Expected reduction dim to have non-zero size")
        rank = (row.shape[-1] - 1) // 2
        if dim is None:
            return Shared.apply(row, name, lambda share: _value_of_rank(share, rank))
        pair = _one(name, input, row, place, rank, keepdim)
        return getattr(torch.return_types, name)(pair)

    return handler


def _value_of_rank(share: Any, rank: int) -> Any:
    return mpc.ordered(share, rank, rank + 1)[0].map(lambda part: part.squeeze(-1))


front(torch.median, Tensor.median)(_median("median"))
front(torch.nanmedian, Tensor.nanmedian)(_median("nanmedian"))  # shares hold no nan


def _quantile(name: str) -> Callable[..., Any]:
    """Quantiles at public places q, between the neighbours as `interpolation` says."""

    def handler(
        input: Any,
        q: Any,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Any:
        if isinstance(q, SharedTensor) or not isinstance(input, SharedTensor):
            raise SecretLeakError(
                f"`{name}` at a secret place would show it: q must be a public number or tensor"
            )
        shape = on_zeros(
            getattr(torch, name), input, q, dim, keepdim, interpolation=interpolation
        ).shape
        row, _ = (input.reshape(-1), 0) if dim is None else along(input, dim)
        places = torch.as_tensor(q, dtype=torch.float64).reshape(-1) * (row.shape[-1] - 1)
        values = _between(name, row, places, interpolation)
        if isinstance(q, Tensor) and q.dim():
            values = values.movedim(-1, 0)
        return values.reshape(shape)

    return handler


def _between(name: str, row: Any, places: Tensor, interpolation: str) -> Any:
    """The sorted row at fractional places, along the last dimension."""
    exact = {"lower": torch.floor, "higher": torch.ceil, "nearest": torch.round}
    low, high = places.floor().long(), places.ceil().long()
    if interpolation in exact:
        low = high = exact[interpolation](places).long()
    start = int(low.min()) if low.numel() else 0
    stop = int(high.max()) + 1 if low.numel() else 0
    values, _ = _ordered(name, row, start, stop, index=False)
    lower = values[..., low - start]
    if bool((low == high).all()):
        return lower
    weight = torch.full_like(places, 0.5) if interpolation == "midpoint" else places - low
    upper = values[..., high - start]
    return lower + (upper - lower) * weight.to(row.dtype)


front(torch.quantile, Tensor.quantile)(_quantile("quantile"))
front(torch.nanquantile, Tensor.nanquantile)(_quantile("nanquantile"))  # shares hold no nan
