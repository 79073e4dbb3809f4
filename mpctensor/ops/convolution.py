"""Convolutions and their two backward maps; transposed ones are the backward map in the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .operands import factor, result_dtype, retag, shares_of, term
from .registry import implements

aten = torch.ops.aten


def _spread(values: Sequence[int], n: int) -> tuple[int, ...]:
    """One number per spatial dimension."""
    return tuple(values) if len(values) == n else tuple(values) * n


def _add_bias(out: Share, bias: Any) -> Share:
    if bias is None:
        return out
    column = term(out, bias).map(lambda part: part.view(-1, *[1] * (len(out.shape) - 2)))
    return retag(mpc.add(out, column), out.dtype)


@implements(aten.convolution.default, aten._convolution.default)
def convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *cudnn: bool,
) -> Share:
    like = shares_of(x, weight, bias)[0]
    n = len(x.shape) - 2
    stride, padding, dilation = (_spread(v, n) for v in (stride, padding, dilation))
    if x.shape[1] != (weight.shape[0] if transposed else weight.shape[1] * groups):
        raise ValueError("channels of input and weight do not agree")
    dtype = result_dtype(x, weight)
    if not shares_of(x, weight):
        plain = aten.convolution.default(
            x, weight, None, stride, padding, dilation, transposed, output_padding, groups
        )
        return _add_bias(factor(like, plain), bias)
    secret, kernel = factor(like, x), factor(like, weight)
    if transposed:
        extra = _spread(output_padding, n)
        size = _transposed_size(x, weight, stride, padding, dilation, extra, groups)
        secret = _filled_up(secret, extra, stride)
        out = mpc.conv_input(secret, kernel, size, stride, padding, dilation, groups)
    else:
        out = mpc.conv(secret, kernel, stride, padding, dilation, groups)
    return retag(_add_bias(out, bias), dtype)


def _filled_up(x: Share, extra: Sequence[int], stride: Sequence[int]) -> Share:
    """x with a zero at its ends for each whole stride of output padding."""
    pads = [side for e, s in zip(extra, stride, strict=True) for side in (e // s, 0)][::-1]
    return x.map(lambda part: aten.constant_pad_nd.default(part, pads)) if any(pads) else x


def _transposed_size(
    x: Any,
    weight: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    extra: Sequence[int],
    groups: int,
) -> tuple[int, ...]:
    spatial = [
        (x.shape[i + 2] - 1) * stride[i]
        - 2 * padding[i]
        + dilation[i] * (weight.shape[i + 2] - 1)
        + extra[i]
        + 1
        for i in range(len(stride))
    ]
    return (x.shape[0], weight.shape[1] * groups, *spatial)


@implements(aten.convolution_backward.default)
def convolution_backward(
    gradient: Any,
    x: Any,
    weight: Any,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Share | None, Share | None, Share | None]:
    """Gradients in x, weight and bias, those that are wanted."""
    like = shares_of(gradient, x, weight)[0]
    gradient, x, weight = (factor(like, value) for value in (gradient, x, weight))
    n = len(x.shape) - 2
    stride, padding, dilation = (_spread(v, n) for v in (stride, padding, dilation))
    kernel = tuple(weight.shape[2:])
    to_x = to_weight = to_bias = None
    if transposed:
        size = x.shape
        x = _filled_up(x, _spread(output_padding, n), stride)
        if wanted[0]:
            to_x = mpc.conv(gradient, weight, stride, padding, dilation, groups)
            to_x = to_x.map(lambda part: part[tuple(slice(s) for s in size)])
        if wanted[1]:
            to_weight = mpc.conv_weight(gradient, x, kernel, stride, padding, dilation, groups)
    else:
        if wanted[0]:
            to_x = mpc.conv_input(
                gradient, weight, tuple(x.shape), stride, padding, dilation, groups
            )
        if wanted[1]:
            to_weight = mpc.conv_weight(x, gradient, kernel, stride, padding, dilation, groups)
    if wanted[2]:
        to_bias = mpc.total(gradient, [0, *range(2, n + 2)])
    return to_x, to_weight, to_bias
