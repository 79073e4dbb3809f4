"""The larger or smaller of two: the gradient finds the bits of the one comparison.

As in torch each operand gets half of the gradient where they are equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..ops.operands import compared, result_dtype, retag, shares_of
from ..ops.registry import front
from ..tensor import SharedTensor, wrap


class _Larger(torch.autograd.Function):
    """max(x, y). The gradient takes 1 round; it is g where y > x and where y >= x, halved, to y."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Tensor:
        held = [v._share if isinstance(v, SharedTensor) else v for v in (x, y)]
        like = shares_of(*held)[0]
        with like.session.operation("maximum"):
            value, *bits = mpc.larger(*(compared(like, v, above=False) for v in held))
        ctx.bits, ctx.sizes = [wrap(bit) for bit in bits], (x.shape, y.shape)
        return wrap(retag(value, result_dtype(*held)))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (g,) = gradients
        above, at_least = ctx.bits
        to_y = (above * g + at_least * g) * 0.5
        return tuple(
            to.sum_to_size(size) for to, size in zip((g - to_y, to_y), ctx.sizes, strict=True)
        )


def _needs_gradient(*operands: Any) -> bool:
    return torch.is_grad_enabled() and any(v.requires_grad for v in operands)


@front(torch.maximum, Tensor.maximum)
def maximum(input: Any, other: Any) -> Any:
    """torch.maximum."""
    if not _needs_gradient(input, other):
        return torch.maximum(input, other)
    return _Larger.apply(input, other)


@front(torch.minimum, Tensor.minimum)
def minimum(input: Any, other: Any) -> Any:
    """torch.minimum: -max(-x, -y)."""
    if not _needs_gradient(input, other):
        return torch.minimum(input, other)
    return -_Larger.apply(-input, -other)
