"""cdist and pdist: all distances between the rows of two matrices, or of one."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ..ops.registry import front
from ..tensor import on_zeros
from .norms import vector_norm


@front(torch.cdist)
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """torch.cdist. x1: (*, m, d), x2: (*, n, d); (*, m, n).

    p = 2 comes from one matrix product, whatever compute_mode says: |x|^2 + |y|^2 - 2 x y is exact
    in the ring, so that nothing is lost where rows are close. Other p by the differences.
    """
    on_zeros(torch.cdist, x1, x2, p, compute_mode)
    if p == 2:
        return _squares(x1, x2).sqrt()
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


@front(torch.pdist, F.pdist)
def pdist(input: Any, p: float = 2.0) -> Any:
    """F.pdist: the distances of all pairs of rows, as a vector."""
    on_zeros(torch.pdist, input, p)
    one, other = torch.triu_indices(input.shape[0], input.shape[0], 1)
    if p == 2:
        return _squares(input, input)[one, other].sqrt()
    return _norm(input[one] - input[other], p)


def _squares(x: Any, y: Any) -> Any:
    """Squared distances of all pairs of rows."""
    own, others = x.square().sum(-1), y.square().sum(-1)
    return own.unsqueeze(-1) + others.unsqueeze(-2) - 2 * (x @ y.transpose(-1, -2))


def _norm(x: Any, p: float) -> Any:
    """The p-norm along the last dimension."""
    if p == 0:
        return (x != 0).sum(-1).to(x.dtype) + 0 * x.sum(-1)  # whose gradient is 0, not none
    return vector_norm(x, p, -1)
