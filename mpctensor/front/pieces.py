"""Functions that torch writes with a comparison, a branch or a copy too many, by fewer pieces.

Autograd records the pieces, so gradients of any order are torch's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.lineage import fine_digits
from ..ops.operands import is_number
from ..ops.pointwise import LARGE_NUMERATOR
from ..ops.registry import front
from ..tensor import SharedTensor, unwrap, wrap
from .curves import absolute, needs_gradient

# torch's gradient of sgn is a plain zero tensor, which is no gradient of a secret
front(torch.sgn, Tensor.sgn)(torch.sign)


@front(torch.logaddexp, Tensor.logaddexp)
def logaddexp(input: Any, other: Any) -> Any:
    """log(exp(x) + exp(y)) = y + softplus(x - y), whose slope, sigmoid(x - y), divides nothing."""
    return other + F.softplus(input - other)


@front(Tensor.__rtruediv__)
def over(input: Any, other: Any) -> Any:
    """number / x; torch's 1 / x times the number has no room for the digits of large ones."""
    if not is_number(other) or abs(other) < LARGE_NUMERATOR:
        return other * torch.reciprocal(input)
    return torch.div(torch.tensor(float(other), dtype=torch.float64), input)


@front(torch.copysign, Tensor.copysign)
def copysign(input: Any, other: Any) -> Any:
    """|x| with the sign of y: torch's own gradient would divide by x."""
    size = absolute(input) if isinstance(input, SharedTensor) else torch.as_tensor(input).abs()
    sign = 1.0 - 2.0 * torch.signbit(torch.as_tensor(other))
    return size * (sign + 0 * other if needs_gradient(other) else sign)  # that of other is 0


@front(F.rrelu, torch.rrelu)
def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """x where x > 0, else a slope times x; while training the slopes are public random numbers."""
    if lower > upper:
        raise ValueError(f"lower={lower} must not exceed upper={upper}")
    x = input.clone() if inplace else input  # what the gradient reads must not change
    if training:
        slopes = torch.rand_like(x.detach()) * (upper - lower) + lower
        above = F.relu(x)
        out = above + slopes * (x - above)
    else:
        out = F.leaky_relu(x, (lower + upper) / 2)
    return input.copy_(out) if inplace else out


@front(torch.rrelu_)
def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    return rrelu(input, lower, upper, training, inplace=True)


class _GaussianNLL(torch.autograd.Function):
    """(log(v) + d^2 / v) / 2 through q = d / v, which keeps the digits that d^2 would lose.

    The gradients are q g and (1 / v - q^2) g / 2, whose terms nearly cancel where d^2 is about v:
    they are divided anew, as finely as backward passes divide.
    """

    @staticmethod
    def forward(ctx: Any, d: Any, v: Any) -> Tensor:
        ctx.save_for_backward(d, v)
        return (torch.log(v) + d * (d * torch.reciprocal(v))) * 0.5

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (g,) = gradients
        d, v = ctx.saved_tensors
        if isinstance(g, SharedTensor):  # often far below 1, beside slopes far above
            g = wrap(fine_digits(unwrap(g).clone()))
        inverse = torch.reciprocal(v)
        q = d * inverse
        to_v = ((inverse - q.square()) * g * 0.5).sum_to_size(v.shape)
        return q * g, to_v


@front(F.gaussian_nll_loss)
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log(var) + (x - target)^2 / var) / 2, with var held above eps.

    A negative variance, which torch refuses, cannot be told and counts as eps. An eps below half a
    unit, as the default is at 16 bits, counts as 0: a variance of 0 then adds log(2^-16) / 2 alone.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    held = _variance(input, var, eps)
    losses: Any = _GaussianNLL.apply(input - target, held)
    if full:
        losses = losses + 0.5 * log(2 * pi)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def _has_or_lacks_one(size: Sequence[int], of: Sequence[int]) -> bool:
    """Whether two sizes are alike, but that one dimension may be 1."""
    differing = [n for n, m in zip(size, of, strict=False) if n != m]
    return len(size) == len(of) and differing in ([], [1])


def _variance(input: Any, var: Any, eps: float) -> Any:
    """The variance, at least eps, broadcast to the input; its gradient passes the bound."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        return torch.full_like(input, max(var, eps))
    if tuple(var.shape) == tuple(input.shape[:-1]):
        var = var.unsqueeze(-1)
    elif not _has_or_lacks_one(var.shape, input.shape):
        raise ValueError("var is of incorrect size")
    if not isinstance(var, SharedTensor) and bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    with torch.no_grad():
        missing = F.relu(eps - var)
    return var + missing
