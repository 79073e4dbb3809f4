"""Norms of any order, and what is made of them: their gradients are powers of |x| / norm.

torch's own formula is |x|^(p - 1) / norm^(p - 1), whose terms rest or vanish where their ratio
does not. Orders that need no powers (0, 1, 2, infinity) are torch's.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.lineage import fine_digits
from ..ops.norms import OF_THEIR_OWN, PowerNorm, power_norm
from ..ops.operands import is_number, retag
from ..ops.reduce import as_rows, dims_of, with_dims
from ..ops.registry import front
from ..tensor import SharedTensor, unwrap, wrap
from .curves import absolute, needs_gradient, power


class _Norm(torch.autograd.Function):
    """The norm over the last dimension. alternating: of x^p, p odd, instead of |x|^p."""

    @staticmethod
    def forward(ctx: Any, x: Any, order: float, alternating: bool) -> Tensor:
        share = x._share
        with share.session.operation("norm"):
            ctx.norm = power_norm(share, order, alternating)
        out = wrap(retag(ctx.norm.value, x.dtype))
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, out = ctx.saved_tensors
        norm: PowerNorm = ctx.norm
        (gradient,) = gradients
        if norm.steep and isinstance(gradient, SharedTensor):
            gradient = _FineDigits.apply(gradient)
        if torch.is_grad_enabled():
            slope = _recorded_slope(x, out.unsqueeze(-1), norm)
        else:
            with x._share.session.operation("norm_backward"):
                slope = wrap(norm.slope())
        return gradient.unsqueeze(-1) * slope, None, None


class _FineDigits(torch.autograd.Function):
    """A copy of x whose digits below the unit count in products; recorded as any other."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        return wrap(fine_digits(unwrap(x).clone()))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0]


def _recorded_slope(x: Any, out: Any, norm: PowerNorm) -> Any:
    """`PowerNorm.slope` by functions that have gradients."""
    steep = power(absolute(x) / out, float(norm.order - 1))
    return steep * ((out > 0) if norm.alternating else torch.sign(x))


def row_norm(x: Any, order: float, alternating: bool = False) -> Any:
    """The norm of an order that needs powers, over the last dimension."""
    return _Norm.apply(x, order, alternating)


def _by_powers(x: Any, order: Any) -> bool:
    return is_number(order) and order not in OF_THEIR_OWN and needs_gradient(x) and x.numel() > 0


@front(torch.linalg.vector_norm)
def vector_norm(
    input: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(sum |x|^p)^(1/p)."""
    if not _by_powers(input, ord):
        return torch.linalg.vector_norm(input, ord, dim, keepdim, dtype=dtype)
    x = input if dtype is None else input.to(dtype)
    dims = dims_of(x._share, dim)
    out = row_norm(as_rows(x, dims), ord)
    return with_dims(out, x.shape, dims) if keepdim else out


@front(torch.norm, Tensor.norm)
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """torch.norm: that of vectors, but for p = "nuc"."""
    if not _by_powers(input, p):
        return torch.norm(input, p, dim, keepdim, dtype=dtype)
    return vector_norm(input, p, dim, keepdim, dtype=dtype)


@front(torch.linalg.norm)
def linalg_norm(
    input: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """torch.linalg.norm: of vectors, or of matrices where two dimensions are meant."""
    dims = dims_of(input._share, dim)
    if len(dims) != 1 or not _by_powers(input, ord):
        return torch.linalg.norm(input, ord, dim, keepdim, dtype=dtype)
    return vector_norm(input, ord, dims, keepdim, dtype=dtype)


@front(torch.dist, Tensor.dist)
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The norm of input - other."""
    return norm(input - other, p)


@front(F.normalize)
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """x over its norm, where that is above eps."""
    if not _by_powers(input, p):
        return F.normalize(input, p, dim, eps)
    return input / vector_norm(input, p, dim, True).clamp_min(eps)


@front(F.pairwise_distance)
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The norm of each row of x1 - x2 + eps."""
    if p in OF_THEIR_OWN:
        return F.pairwise_distance(x1, x2, p, eps, keepdim)
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@front(F.triplet_margin_loss)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How much farther the positive is from the anchor than the negative, with a margin."""
    if p in OF_THEIR_OWN or size_average is not None or reduce is not None:
        rest = (margin, p, eps, swap, size_average, reduce, reduction)
        return F.triplet_margin_loss(anchor, positive, negative, *rest)
    return F.triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )
