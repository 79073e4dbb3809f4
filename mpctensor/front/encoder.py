"""What torch fuses in evaluation where a Transformer layer and its input are plain.

A secret mask reaches these functions alone; they are taken apart as the layers themselves are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.registry import front
from .attention import multi_head_attention

_OF_KEYS = 1  # the mask type of padding; others are (queries, keys) or (batch, heads, ...)


@front(torch._native_multi_head_attention)
def native_attention(
    query: Any,
    key: Any,
    value: Any,
    embed_dim: int,
    heads: int,
    projection: Any,
    projection_bias: Any,
    out: Any,
    out_bias: Any,
    mask: Any = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """nn.MultiheadAttention in evaluation, batch first."""
    of_keys, of_queries = (mask, None) if mask_type == _OF_KEYS else (None, mask)
    if of_queries is not None and of_queries.dim() == 4:
        of_queries = of_queries.flatten(0, 1)
    attended, weights = multi_head_attention(
        *(x.transpose(0, 1) for x in (query, key, value)),
        *(embed_dim, heads, projection, projection_bias, None, None, False, 0.0, out, out_bias),
        training=False,
        key_padding_mask=of_keys,
        attn_mask=of_queries,
        need_weights=need_weights,
        average_attn_weights=average_attn_weights,
    )
    return attended.transpose(0, 1), weights


@front(torch._transformer_encoder_layer_fwd)
def encoder_layer(
    src: Any,
    embed_dim: int,
    heads: int,
    projection: Any,
    projection_bias: Any,
    out: Any,
    out_bias: Any,
    gelu: bool,
    norm_first: bool,
    eps: float,
    norm1: Any,
    norm1_bias: Any,
    norm2: Any,
    norm2_bias: Any,
    wide: Any,
    wide_bias: Any,
    narrow: Any,
    narrow_bias: Any,
    mask: Any = None,
    mask_type: int | None = None,
) -> Tensor:
    """nn.TransformerEncoderLayer in evaluation, batch first."""

    def attended(x: Any) -> Any:
        weights = (projection, projection_bias, out, out_bias)
        return native_attention(
            *(x, x, x, embed_dim, heads, *weights, mask, False), mask_type=mask_type
        )[0]

    def fed(x: Any) -> Any:
        inner = F.linear(x, wide, wide_bias)
        return F.linear(F.gelu(inner) if gelu else F.relu(inner), narrow, narrow_bias)

    def first(x: Any) -> Any:
        return F.layer_norm(x, (embed_dim,), norm1, norm1_bias, eps)

    def second(x: Any) -> Any:
        return F.layer_norm(x, (embed_dim,), norm2, norm2_bias, eps)

    if norm_first:
        x = src + attended(first(src))
        return x + fed(second(x))
    x = first(src + attended(src))
    return second(x + fed(x))
