"""Attention by its pieces: on the CPU torch would hand it to one fused kernel without a gradient.

The weights of the softmax are saved for backward, which so computes no exponential again.

Torch gives 0 for a query that may attend to no key. Where there may be such queries a null key
stands behind the others: its value is 0, and its score lies far below those of keys that take part
and far above those of masked ones.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..ops.operands import room_for_fill
from ..ops.registry import front
from ..tensor import SharedTensor, unwrap
from .public import as_secret


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
        additive = mask.logical_not().to(dtype) * lowest if boolean else mask
        return additive, _hides_fills(mask)
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -torch.inf)
    return mask, bool((mask == -torch.inf).all(-1).any())


def _hides_fills(mask: SharedTensor) -> bool:
    """Whether a secret mask may be minus infinity somewhere."""
    return mask.dtype == torch.bool or unwrap(mask).facts.filled


def _lowest(*tensors: Tensor) -> float:
    """The score of a masked key."""
    shares = [x._held for x in tensors if isinstance(x, SharedTensor)]
    return -float(room_for_fill(max(shares[0].session.unit, *(share.unit for share in shares))))


_PARAMETERS = inspect.signature(F.multi_head_attention_forward)


@front(F.multi_head_attention_forward)
def multi_head_attention(*args: Any, **kwargs: Any) -> Any:
    """nn.MultiheadAttention; a query whose keys are all masked gets 0 of the values."""
    call = _PARAMETERS.bind(*args, **kwargs).arguments
    extended = _with_null_key(call)
    with sdpa_kernel(SDPBackend.MATH):  # attention is called where the front door does not see it
        out, weights = F.multi_head_attention_forward(**call)
    return out, weights[..., :-1] if extended and weights is not None else weights


def _with_null_key(call: dict[str, Any]) -> bool:
    """Whether the call has torch's zero key as a null key now: the others' scores are raised."""
    masks = [call.get(name) for name in ("attn_mask", "key_padding_mask")]
    never_empty = call["add_zero_attn"] or call["bias_k"] is not None
    if never_empty or not _may_mask_all(*masks):
        return False
    lowest = _lowest(*(v for v in call.values() if isinstance(v, Tensor)))
    query, key = call["query"], call["key"]
    of_queries, of_keys = (
        m.logical_not() if m is not None and m.dtype == torch.bool else m for m in masks
    )
    if of_queries is None:
        of_queries = torch.zeros(len(query), len(key), dtype=query.dtype)
    if of_keys is not None:
        call["key_padding_mask"] = _additive(of_keys, lowest, query.dtype)[0]
    like = next(v for v in call.values() if isinstance(v, SharedTensor))
    additive = as_secret(_additive(of_queries, lowest, query.dtype)[0], like)  # exact so far away
    call["attn_mask"] = additive - lowest / 2
    call.update(add_zero_attn=True, is_causal=False)
    return True


def _may_mask_all(of_queries: Any, of_keys: Any) -> bool:
    """Whether every key may be masked for some query; plain masks show it."""
    if any(isinstance(m, SharedTensor) and _hides_fills(m) for m in (of_queries, of_keys)):
        return True
    plain = [None if isinstance(m, SharedTensor) else m for m in (of_queries, of_keys)]
    rows, keys = (m if m is None or m.dtype == torch.bool else m == -torch.inf for m in plain)
    if keys is not None and rows is not None:
        keys = keys.view(-1, 1, 1, keys.shape[-1])
        rows = rows if rows.dim() == 2 else rows.view(len(keys), -1, *rows.shape[1:])
        rows = rows | keys
    masked = keys if rows is None else rows
    return masked is not None and bool(masked.all(-1).any())


@front(torch._nested_tensor_from_mask_left_aligned)
def left_aligned(tensor: Tensor, mask: Tensor) -> bool:
    """False: nn.TransformerEncoder packs no secrets into a nested tensor, it masks them."""
    return False
