"""Weight normalisation by its pieces: torch's fused one has no gradient on shares."""

from __future__ import annotations

from typing import Any

import torch

from ..ops.registry import front


@front(torch._weight_norm)
def weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """g v / |v|, with a norm for each index of `dim` (-1: one for all)."""
    return v * (g / torch.norm_except_dim(v, 2, dim))
