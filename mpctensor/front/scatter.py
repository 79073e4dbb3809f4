"""Products of what meets at a position: torch's gradient divides them by each factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..ops.indexing import public_index
from ..ops.registry import front
from ..ops.scatter import Meeting, for_every_slice


def _with_products(function: Callable[..., Any], each: Callable[..., Any]) -> Callable[..., Any]:
    """scatter_reduce or index_reduce, where products are recorded level by level.

    each: (index, dim, source) to a position for every element of the source.
    """

    def handler(
        input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Any:
        public_index(getattr(index, "_share", index))
        if reduce != "prod":
            return function(input, dim, index, src, reduce, include_self=include_self)
        meeting = Meeting(input.shape, dim, each(index, dim, src), include_self)
        values = meeting.gathered(input, src)
        for left, right, alone in meeting.levels:
            values = torch.cat([values[left] * values[right], values[alone]])
        return meeting.placed(input, values)

    return handler


front(torch.scatter_reduce, Tensor.scatter_reduce)(
    _with_products(torch.scatter_reduce, lambda index, dim, source: index)
)
front(torch.index_reduce, Tensor.index_reduce)(_with_products(torch.index_reduce, for_every_slice))
