"""Running extrema and their positions; the running logarithm of a sum of exponentials."""

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


@front(torch.logcumsumexp, Tensor.logcumsumexp)
def logcumsumexp(input: Any, dim: int) -> Any:
    """torch.logcumsumexp, in ceil(log2 n) levels of logaddexp."""
    row, place = along(input, dim)
    d = 1
    while d < row.shape[-1]:
        sums = torch.logaddexp(row[..., d:], row[..., :-d])
        row = torch.cat([row[..., :d], sums], -1)
        d *= 2
    return back(row, input, place)
