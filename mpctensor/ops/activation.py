"""Activations and their gradients; what a forward pass compared, its backward pass finds again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError
from ..share import Share
from .compare import POSITIVE, ge, gt, kept, le, lt, positive_bit, relation_name, remember
from .creation import mask_like, write
from .operands import (
    as_float,
    compared,
    converted,
    end_of_range,
    exact,
    factor,
    filled,
    is_number,
    result_dtype,
    retag,
    scalar,
    shares_of,
    term,
)
from .pointwise import mul, product, scaled
from .reduce import as_rows, dims_of, with_dims
from .registry import implements

aten = torch.ops.aten


@implements(aten.relu.default)
def relu(x: Share) -> Share:
    """max(x, 0), with the pending truncation in the same step."""
    y, bit = mpc.relu(x)
    remember(y, POSITIVE, bit)
    remember(x, POSITIVE, bit)
    return y


@implements(aten.relu_.default)
def relu_(x: Share) -> Share:
    y, bit = mpc.relu(x)
    write(x, y)
    remember(x, POSITIVE, bit)
    return x


@implements(aten.threshold.default)
def threshold(x: Share, level: Any, value: Any) -> Share:
    """x where x > level, else value."""
    if level == 0 and value == 0:
        return relu(x)
    return retag(mpc.select(_above(x, level), x, term(x, value)), x.dtype)


def _above(x: Share, level: Any) -> Share:
    return positive_bit(x) if level == 0 else mpc.positive(mpc.sub(x, compared(x, level)))


@implements(aten.threshold_backward.default)
def threshold_backward(gradient: Any, x: Any, level: Any) -> Share:
    if not isinstance(x, Share):
        return mul(gradient, x > level)
    return product(_above(x, level), factor(x, gradient))


@implements(aten.leaky_relu.default)
def leaky_relu(x: Share, slope: Any = 0.01) -> Share:
    """slope x + (1 - slope) relu(x)."""
    above, bit = mpc.relu(x, fuse=False)
    out = mpc.add(scaled(x, slope), scaled(above, 1 - exact(float(slope))))
    remember(x, POSITIVE, bit)
    if slope > 0:
        remember(out, POSITIVE, bit)
    return out


@implements(aten.leaky_relu_backward.default)
def leaky_relu_backward(gradient: Any, x: Share, slope: Any, is_result: bool) -> Share:
    gradient = factor(x, gradient)
    kept = scaled(product(positive_bit(x), gradient), 1 - exact(float(slope)))
    return mpc.add(scaled(gradient, slope), kept)


@implements(aten._prelu_kernel.default)
def prelu(x: Any, weight: Any) -> Share:
    """relu(x) - weight relu(-x)."""
    like = shares_of(x, weight)[0]
    x = term(like, x)
    above, bit = mpc.relu(x, fuse=False)
    remember(x, POSITIVE, bit)
    return mpc.add(above, mpc.mul(factor(like, weight), mpc.sub(x, above)))


@implements(aten._prelu_kernel_backward.default)
def prelu_backward(gradient: Any, x: Any, weight: Any) -> tuple[Share, Share]:
    like = shares_of(gradient, x, weight)[0]
    gradient, x = factor(like, gradient), term(like, x)
    above = product(positive_bit(x), gradient)
    below = mpc.sub(gradient, above)
    to_x = mpc.add(above, mpc.mul(factor(like, weight), below))
    return to_x, mpc.mul(x, below)


# Bounds


@implements(aten.clamp.default, aten.clamp.Tensor)
def clamp(x: Any, low: Any = None, high: Any = None) -> Share:
    """x held between bounds; a public bound beyond everything that x can be is no bound."""
    like = shares_of(x, low, high)[0]
    x = term(like, x)
    dtype = result_dtype(x, *(b for b in (low, high) if b is not None))
    secret = [isinstance(bound, Share) for bound in (low, high)]
    if any(secret):
        out = x if low is None else mpc.maximum(x, compared(x, low, above=False))[0]
        if high is not None:
            out = mpc.minimum(out, compared(x, high, below=False))[0]
        return retag(out, dtype)
    if low is not None and high is not None:
        low = min(low, high) if is_number(low) and is_number(high) else _lower(low, high)
    return _held_between(converted(x, dtype), low, high, strict=False)


def _lower(low: Any, high: Any) -> Tensor:
    """min(low, high): where the bounds cross, the upper one counts."""
    return torch.minimum(torch.as_tensor(low), torch.as_tensor(high))


def _held_between(x: Share, low: Any, high: Any, strict: bool) -> Share:
    """x between public bounds; the comparison bits are kept for the backward pass.

    strict: for a gradient that is 0 at the bounds (hardtanh), not 1 (clamp).
    """
    bounds = _bound(x, low, -1), _bound(x, high, 1)
    if bounds == (None, None):
        return x.clone()
    out, *bits = mpc.bounded(x, *bounds, strict=strict)
    for bit, bound, relation in zip(bits, (low, high), (">", "<"), strict=True):
        number = scalar(bound)
        if bit is not None and number is not None:
            remember(x, relation_name(relation + "=" * (not strict), number), bit)
    return retag(out, x.dtype)


def _bound(x: Share, bound: Any, side: int) -> Share | None:
    """side: 1 for an upper bound, -1 for a lower one."""
    number = scalar(bound)
    if bound is None or (number is not None and side * number >= end_of_range(x, x.dtype)):
        return None
    return compared(x, bound, below=side < 0, above=side > 0)


@implements(aten.clamp_min.default, aten.clamp_min.Tensor)
def clamp_min(x: Share, low: Any) -> Share:
    return relu_above(x, low) if scalar(low) == 0 else clamp(x, low)


def relu_above(x: Share, low: Any) -> Share:
    out, bit = mpc.relu(x, fuse=False)
    remember(x, POSITIVE, bit)
    return out


@implements(aten.clamp_max.default, aten.clamp_max.Tensor)
def clamp_max(x: Share, high: Any) -> Share:
    return clamp(x, None, high)


@implements(aten.hardtanh.default)
def hardtanh(x: Share, low: Any = -1, high: Any = 1) -> Share:
    return _held_between(x, low, high, strict=True)


@implements(aten.hardtanh_backward.default)
def hardtanh_backward(gradient: Any, x: Share, low: Any, high: Any) -> Share:
    return product(mpc.both(gt(x, low), lt(x, high)), factor(x, gradient))


@implements(aten.hardshrink_backward.default, aten.softshrink_backward.default)
def shrink_backward(gradient: Any, x: Share, bound: Any) -> Share:
    """The gradient where |x| > bound."""
    gradient = factor(x, gradient)
    inside = mpc.both(ge(x, -bound), le(x, bound))
    return mpc.sub(gradient, product(inside, gradient))


# Softmax

SOFTMAX = "softmax"


def _half(x: Share, half_to_float: bool) -> Share:
    return retag(x, torch.float32) if half_to_float else as_float(x)


def _over_one(x: Share, dim: int) -> bool:
    """Whether softmax is over a single class, or there are no elements at all."""
    return x.here.numel() == 0 or x.here.dim() == 0 or x.shape[dim] == 1


@implements(aten._softmax.default, aten._safe_softmax.default)
def softmax(x: Share, dim: int, half_to_float: Any = False) -> Share:
    x = _half(x, half_to_float is True)
    return filled(x, x.shape, 1, x.dtype) if _over_one(x, dim) else mpc.softmax(x, dim)


@implements(aten._softmax_backward_data.default)
def softmax_backward(gradient: Any, y: Share, dim: int, dtype: torch.dtype) -> Share:
    """y (g - sum(g y))."""
    gradient = factor(y, gradient)
    weighted = mpc.mul(gradient, y)
    total = mpc.total(weighted, [dim], True)
    return retag(mpc.sub(weighted, mpc.mul(y, total)), dtype)


@implements(aten._log_softmax.default)
def log_softmax(x: Share, dim: int, half_to_float: bool = False) -> Share:
    """log(softmax(x)); where a gradient may follow, softmax comes with it."""
    x = _half(x, half_to_float)
    if _over_one(x, dim):
        probabilities, out = (filled(x, x.shape, number, x.dtype) for number in (1, 0))
    elif not torch.is_grad_enabled():
        return mpc.log_softmax(x, dim)
    else:
        probabilities, out = mpc.softmax_and_log(x, dim)
    remember(out, SOFTMAX, probabilities)
    return out


@implements(aten._log_softmax_backward_data.default)
def log_softmax_backward(gradient: Any, y: Share, dim: int, dtype: torch.dtype) -> Share:
    """g - softmax sum(g)."""
    gradient = factor(y, gradient)
    probabilities = kept(y, SOFTMAX, mpc.exp)
    total = mpc.total(gradient, [dim], True)
    return retag(mpc.sub(gradient, mpc.mul(probabilities, total)), dtype)


@implements(aten.logsumexp.default)
def logsumexp(x: Share, dim: Any, keepdim: bool = False) -> Share:
    """log(sum(exp(x))) over one or several dimensions."""
    x, dims = as_float(x), dims_of(x, dim)
    rows = x.map(lambda part: as_rows(part, dims))
    if rows.here.numel() == 0 and rows.shape[-1] == 0:
        raise EncodingError("logsumexp() of no entries is -inf, which shares cannot hold")
    out = (
        rows.map(lambda part: part.squeeze(-1)) if _over_one(rows, -1) else mpc.logsumexp(rows, -1)
    )
    out = out.map(lambda part: part.reshape(rows.shape[:-1]))
    return out.map(lambda part: with_dims(part, x.shape, dims) if keepdim else part).clone()


@implements(aten.dropout.default)
def dropout(x: Share, p: float, train: bool) -> Share:
    return native_dropout(x, p, train)[0]


@implements(aten.native_dropout.default)
def native_dropout(x: Share, p: float, train: bool | None) -> tuple[Share, Share]:
    """x / (1 - p) where a public random mask is 1 (the same at all parties)."""
    if not train or p == 0:
        return x.clone(), filled(x, x.shape, 1, torch.bool)
    if p == 1:
        return scaled(x, 0), filled(x, x.shape, 0, torch.bool)
    mask = mask_like(x, 1 - p)
    return scaled(mpc.mul(x, mask), 1 / (1 - exact(p))), retag(mask, torch.bool)
