"""Sequences of several lengths in one tensor: torch would write them into plain memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.registry import front


@front(torch._C._nn.pad_sequence)
def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Each padded to the longest, then stacked: nothing is sent."""
    longest = max(len(sequence) for sequence in sequences)

    def padded(sequence: Tensor) -> Tensor:
        lack = longest - len(sequence)
        ends = (0, lack) if padding_side == "right" else (lack, 0)
        return F.pad(sequence, (0, 0) * (sequence.dim() - 1) + ends, value=padding_value)

    return torch.stack([padded(s) for s in sequences], 0 if batch_first else 1)
