"""Running extrema and their positions, products and running products, sums of exponentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..ops.operands import filled
from ..ops.registry import front
from ..tensor import wrap
from .chosen import chosen, index_of
from .curves import needs_gradient
from .order import along, back
from .pieces import logaddexp


def _extremum(name: str) -> Callable[..., Any]:
    """(values, indices); on ties the later index, as in torch."""

    def handler(input: Any, dim: int) -> Any:
        row, place = along(input, dim)
        if row.numel():
            choose = lambda share: mpc.running(share, name == "cummin")  # noqa: E731
            values, choices = chosen(row, name, choose)
            pair = values, index_of(row, name, choices)
        else:
            pair = row.clone(), wrap(filled(row._share, row.shape, 0, torch.int64))
        return getattr(torch.return_types, name)([back(v, input, place) for v in pair])

    return handler


front(torch.cummax, Tensor.cummax)(_extremum("cummax"))
front(torch.cummin, Tensor.cummin)(_extremum("cummin"))


def _scan(row: Any, combine: Callable[..., Any]) -> Any:
    """The running combination along the last dimension, in ceil(log2 n) levels."""
    d = 1
    while d < row.shape[-1]:
        later = combine(row[..., d:], row[..., :-d])
        row = torch.cat([row[..., :d], later], -1)
        d *= 2
    return row


@front(torch.logcumsumexp, Tensor.logcumsumexp)
def logcumsumexp(input: Any, dim: int) -> Any:
    """torch.logcumsumexp, in levels of logaddexp."""
    row, place = along(input, dim)
    return back(_scan(row, logaddexp), input, place)


@front(torch.cumprod, Tensor.cumprod)
def cumprod(input: Any, dim: int, *, dtype: torch.dtype | None = None) -> Any:
    """torch.cumprod, in levels of products: the gradient divides nothing, so zeros are right."""
    whole = torch.int64 if not input.is_floating_point() else input.dtype
    row, place = along(input.to(dtype or whole), dim)
    out = _scan(row, torch.mul)
    return back(out.clone() if out is row else out, input, place)


@front(torch.prod, Tensor.prod)
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """torch.prod, in levels of products: gradients of any order divide nothing."""
    over = () if dim is None else (dim, keepdim)
    if not needs_gradient(input) or input.numel() == 0:
        return torch.prod(input, *over, dtype=dtype)
    x = input if dtype is None else input.to(dtype)
    row = x.reshape(-1) if dim is None else along(x, dim)[0]
    row = row.clone() if row.shape[-1] == 1 else row
    while row.shape[-1] > 1:
        even = row.shape[-1] // 2 * 2
        pairs = row[..., 0:even:2] * row[..., 1:even:2]
        row = torch.cat([pairs, row[..., even:]], -1) if even < row.shape[-1] else pairs
    kept = keepdim and dim is not None and x.dim() > 0
    return row.movedim(-1, dim) if kept else row.squeeze(-1)
