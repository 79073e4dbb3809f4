"""Bags of embeddings: rows of a table, added up, averaged or compared.

The indices may be secret; which of them are in a bag is public.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import SecretLeakError
from ..ops.registry import FRONT, front
from ..tensor import SharedTensor
from .positions import embedding_of


def _bags(
    input: Tensor, offsets: Any, include_last_offset: bool, padding_idx: int | None
) -> tuple[Tensor, Tensor, int]:
    """(places in the flat input, the bag of each, number of bags), without the padding."""
    if isinstance(offsets, SharedTensor):
        raise SecretLeakError(
            "`embedding_bag`: `offsets` is secret, and the sizes of the bags would show it:"
            " decrypt() it, or sum rows of F.embedding with a mask"
        )
    if input.dim() not in (1, 2):
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if (input.dim() == 2) != (offsets is None):
        raise ValueError("offsets has to be None for a 2D input, and a 1D Tensor for a 1D input")
    if offsets is None:
        bag = torch.arange(input.shape[0]).repeat_interleave(input.shape[1])
        count = input.shape[0]
    else:
        starts = offsets[:-1] if include_last_offset else offsets
        bag = torch.searchsorted(starts, torch.arange(input.numel()).to(starts.dtype), right=True)
        bag, count = bag - 1, starts.numel()
    places = torch.arange(input.numel())
    kept = places if padding_idx is None else places[input.reshape(-1) != padding_idx]
    return kept, bag[kept], count


@front(F.embedding_bag)
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """F.embedding_bag with public offsets; indices, table and weights may be secret."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError("per_sample_weights with a mode other than sum")
    if isinstance(input, SharedTensor) and (max_norm is not None or padding_idx is not None):
        raise NotImplementedError(
            "a secret index with max_norm or padding_idx, which follow the rows used"
        )
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    places, bag, count = _bags(input, offsets, include_last_offset, padding_idx)
    if max_norm is not None:
        with torch.no_grad():
            torch.embedding_renorm_(weight.detach(), input, max_norm, norm_type)
    rows = embedding_of(weight, input.reshape(-1)[places], -1, scale_grad_by_freq, sparse)
    if mode == "max":
        return _largest(rows, bag, count)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1)[places].unsqueeze(1)
    total = rows.new_zeros(count, rows.shape[1]).index_add(0, bag, rows)
    sizes = bag.bincount(minlength=count).clamp(min=1)
    return total / sizes.unsqueeze(1) if mode == "mean" else total


def _largest(rows: Any, bag: Tensor, count: int) -> Any:
    """The maximum of each bag; a shorter one repeats its last row. Zeros for empty bags."""
    sizes = bag.bincount(minlength=count)
    filled = sizes.nonzero().view(-1)
    if not filled.numel():
        return rows.new_zeros(count, rows.shape[1])
    sizes = sizes[filled]
    starts = sizes.cumsum(0) - sizes
    steps = torch.arange(int(sizes.max()))
    candidates = rows[starts.unsqueeze(1) + torch.minimum(steps, sizes.unsqueeze(1) - 1)]
    largest = FRONT[torch.max](candidates, 1).values
    return rows.new_zeros(count, rows.shape[1]).index_copy(0, filled, largest)
