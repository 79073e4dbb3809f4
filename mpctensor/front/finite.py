"""isfinite, which torch composes of comparisons: shares are finite, for all to see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..ops.operands import filled
from ..ops.registry import front
from ..tensor import wrap


@front(torch.isfinite, Tensor.isfinite)
def isfinite(input: Any) -> Tensor:
    share = input._share
    return wrap(filled(share, share.shape, 1, torch.bool))
