"""Running extrema and their positions, running products, running sums of exponentials."""

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
