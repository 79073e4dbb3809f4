"""Attention by its pieces: on the CPU torch would hand it to one fused kernel without a gradient.

The weights of the softmax are saved for backward, which so computes no exponential again.

Torch gives 0 for a query that may attend to no key. Where there may be such queries a null key
stands behind the others: its value is 0, and its score lies far below those of keys that take part
and far above those of masked ones.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..ops.operands import room_for_fill
from ..ops.registry import front
from ..tensor import SharedTensor


@front(F.scaled_dot_product_attention)
def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """softmax(query key^T + mask) value; True in a mask, which may be secret, means: takes part."""
    if attn_mask is not None:
        lowest = _lowest(query, key, value, attn_mask)
        attn_mask, may_be_empty = _additive(attn_mask, lowest, query.dtype)
        if may_be_empty:
            full = attn_mask.expand(*attn_mask.shape[:-1], key.size(-2))
            attn_mask = F.pad(full, (0, 1), value=lowest / 2)
            key, value = (F.pad(x, (0, 0, 0, 1)) for x in (key, value))
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(query, key, value, attn_mask, *args, **kwargs)


def _additive(mask: Tensor, lowest: float, dtype: torch.dtype) -> tuple[Tensor, bool]:
    """(what to add to the scores, whether a row of it may be masked everywhere)."""
    if isinstance(mask, SharedTensor):
        boolean = mask.dtype == torch.bool
        return (mask.logical_not().to(dtype) * lowest if boolean else mask), boolean
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -torch.inf)
    return mask, bool((mask == -torch.inf).all(-1).any())


def _lowest(*tensors: Tensor) -> float:
    """The score of a masked key."""
    shares = [x._held for x in tensors if isinstance(x, SharedTensor)]
    return -float(room_for_fill(max(shares[0].session.unit, *(share.unit for share in shares))))


@front(F.multi_head_attention_forward)
def multi_head_attention(*args: Any, **kwargs: Any) -> Any:
    with sdpa_kernel(SDPBackend.MATH):  # attention is called where the front door does not see it
        return F.multi_head_attention_forward(*args, **kwargs)


@front(torch._nested_tensor_from_mask_left_aligned)
def left_aligned(tensor: Tensor, mask: Tensor) -> bool:
    """False: nn.TransformerEncoder packs no secrets into a nested tensor, it masks them."""
    return False
