"""Packing sequences at public lengths, and back: torch's own order, found on public places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SecretLeakError
from ..ops.registry import front
from ..tensor import SharedTensor


@front(torch._pack_padded_sequence)
def pack_padded_sequence(x: Any, lengths: Any, batch_first: bool) -> tuple[Tensor, Tensor]:
    """(the steps of all sequences, sizes of the batches): torch's own order, on places."""
    if isinstance(lengths, SharedTensor):
        raise SecretLeakError(
            "`lengths` is secret, and would show in the shape of what is packed: keep the padded"
            " sequences and multiply with a mask (torch.arange(n) < lengths.unsqueeze(-1))"
        )
    steps = x.shape[:2]
    places = torch.arange(steps.numel()).view(steps)
    order, sizes = torch._pack_padded_sequence(places, lengths, batch_first)
    return x.flatten(0, 1).index_select(0, order), sizes


@front(torch._pad_packed_sequence)
def pad_packed_sequence(
    data: Any, sizes: Any, batch_first: bool, padding: float, length: int
) -> tuple[Tensor, Tensor]:
    """(padded sequences, lengths): each place shows a step, or a last row of padding."""
    count = len(data)
    steps = torch.arange(count) - count  # so that padding by 0 names the last row
    order, lengths = torch._pad_packed_sequence(steps, sizes, batch_first, 0, length)
    rows = torch.cat([data, data.new_full((1, *data.shape[1:]), padding)])
    return rows.index_select(0, order.flatten() + count).unflatten(0, order.shape), lengths
