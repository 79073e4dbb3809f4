"""Attention by its pieces: on the CPU torch would hand it to one fused kernel without a gradient.

The weights of the softmax are saved for backward, which so computes no exponential again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..ops.registry import front


def _by_pieces(function: Callable[..., Any]) -> Callable[..., Any]:
    def attention(*args: Any, **kwargs: Any) -> Any:
        with sdpa_kernel(SDPBackend.MATH):
            return function(*args, **kwargs)

    return attention


# The second calls the first where the front door does not see it.
for _function in (F.scaled_dot_product_attention, F.multi_head_attention_forward):
    front(_function)(_by_pieces(_function))
