"""Norms over windows: lp_pool. torch's are (sum of x^p)^(1/p), with x^p as signed as x."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.registry import FRONT
from ..ops.windows import Windows, numbers, windows_of
from . import maxima  # noqa: F401 (enters the max pools)
from .norms import row_norm


def _lp_pool(n: int) -> Callable[..., Any]:
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1]
    largest = FRONT[(F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]]

    def handler(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        """The norm over each window; no sign is worked out for p = 1 and 2.

        Where torch has nan it is 0 (odd p, a negative sum), or that of |x| (fractional p).
        """
        kernel = numbers(kernel_size, n)
        if abs(norm_type) == inf:
            sign = 1 if norm_type > 0 else -1
            return sign * largest(sign * input.abs(), kernel, stride, 0, 1, ceil_mode)
        step = kernel if stride is None else numbers(stride, n)
        if norm_type in (1, 2):
            means = average(input.pow(norm_type), kernel, step, 0, ceil_mode)
            return (means * prod(kernel)).pow(1.0 / norm_type)
        windows = windows_of(input._share, kernel, step, 0, 1, ceil_mode, n)
        beyond = 0 if norm_type > 0 else inf  # which adds nothing
        elements = _unfolded(input, windows, beyond)
        if norm_type == -1:
            norms = _Harmonic.apply(elements)
        else:
            norms = row_norm(elements, norm_type, norm_type % 2 == 1)
        if windows.padded == tuple(input.shape[-n:]):
            return norms
        counts = _unfolded(torch.ones(input.shape[-n:]), windows, 0).sum(-1)  # torch's are means
        return norms * (prod(kernel) / counts) ** (1.0 / norm_type)

    return handler


class _Harmonic(torch.autograd.Function):
    """1 / sum(1 / x) over the last dimension, 0 where an x is; its gradient is (result / x)^2."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        out = 1 / (1 / x).sum(-1) * (x != 0).all(-1)
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, out = ctx.saved_tensors
        return gradients[0].unsqueeze(-1) * (out.unsqueeze(-1) / x).square()


def _unfolded(x: Any, windows: Windows, beyond: float) -> Any:
    """(*lead, *output, K): every window's elements; beyond: what those outside the input are."""
    pads: list[int] = []
    for padded, size in zip(windows.padded[::-1], reversed(x.shape), strict=False):
        pads += [0, padded - size]
    x = F.pad(x, pads, value=beyond) if any(pads) else x
    for kernel, step in zip(windows.kernel, windows.stride, strict=True):
        x = x.unfold(-windows.n, kernel, step)  # the elements become the last dimension
    return x.flatten(-windows.n)


for _n in (1, 2, 3):
    FRONT[getattr(F, f"lp_pool{_n}d")] = _lp_pool(_n)
