"""The bilinear maps that a product request can name: what they compute, their sizes, their cost.

params of a request: the map's name, the options of a convolution (stride, padding, dilation,
groups, and for a gradient the size that it lacks), the size of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from torch import Tensor

from .. import kernels
from ..errors import RequestError
from .fields import integer, integers, word
from .requests import Request

Size = tuple[int, ...]

# How many parameters a map has besides its name and the result's size.
OPTIONS = {"mul": 0, "matmul": 0, "conv": 4, "conv_input": 5, "conv_weight": 5}
CLASS_WORK = 1 << 12  # of a residue class of conv_input, which is a matrix product of its own
MOST_STEP = 1 << 24  # of strides and dilations: the kernels multiply them by sizes

CONVOLUTIONS: dict[str, Callable[..., Tensor]] = {
    "conv": kernels.conv,
    "conv_input": kernels.conv_input,
    "conv_weight": kernels.conv_weight,
}


def bilinear(name: str, params: Sequence[Any], a: Tensor, b: Tensor, **into: Any) -> Tensor:
    """The product of a and b by the map's name; params: its options, as in the request.

    into: out, accumulate, negate of the ring kernels (not for "mul").
    """
    if name == "mul":
        return a * b
    if name == "matmul":
        return kernels.matmul(a, b, **into)
    stride, padding, dilation, groups, *size = params
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, **into}
    return CONVOLUTIONS[name](a, b, *size, **options)


# Sizes


def product_size(name: str, params: Sequence[Any], a: Sequence[int], b: Sequence[int]) -> Size:
    """The size of the result, from those of the operands; ValueError where they do not fit."""
    if name in CONVOLUTIONS:
        x, w, out = convolved(name, params, a, b)
        return {"conv": out, "conv_input": x, "conv_weight": w}[name]
    if name == "mul":
        fits, size = tuple(a) == tuple(b), tuple(a)
    else:
        fits = min(len(a), len(b)) >= 2 and tuple(a[:-2]) == tuple(b[:-2]) and a[-1] == b[-2]
        size = (*a[:-1], *b[-1:])
    if not fits:
        raise ValueError(f"operands of size {tuple(a)} and {tuple(b)} have no {name}")
    return size


def convolved(
    name: str, params: Sequence[Any], a: Sequence[int], b: Sequence[int]
) -> tuple[Size, Size, Size]:
    """The sizes of input, kernel and output, of which a and b are two and the third is implied."""
    stride, padding, dilation, groups, *rest = params
    if min(len(a), len(b)) < 3:
        raise ValueError(f"operands of size {tuple(a)} and {tuple(b)} have no {name}")
    x, w, out = tuple(a), tuple(b), None
    if name == "conv_input":
        x, out = tuple(rest[0]), x
    elif name == "conv_weight":
        w, out = (b[1], a[1] // max(groups, 1), *rest[0]), w
    geometry = kernels.Geometry("size", x, w, stride, padding, dilation, groups)
    if out not in (None, geometry.out_shape):
        raise ValueError(f"the gradient has size {out}, the convolution {geometry.out_shape}")
    return x, w, geometry.out_shape


def check_params(request: Request) -> None:
    """Raise RequestError unless the params are those of a map that fits the operands' sizes."""
    name = word("map", request.params[0] if request.params else None, OPTIONS)
    if len(request.params) != 2 + OPTIONS[name]:
        raise RequestError(f"{name} has {2 + OPTIONS[name]} parameters, not {len(request.params)}")
    _, *options, declared = request.params
    a, b = (operand.size for operand in request.operands)
    if options:
        _check_options(name, options, len(a))
    try:
        size = product_size(name, options, a, b)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if integers("size", declared) != size:
        raise RequestError(f"`size` is {tuple(declared)}, but the operands give {size}")


def _check_options(name: str, options: Sequence[Any], dims: int) -> None:
    stride, padding, dilation, groups, *size = options
    spatial = max(0, dims - 2)
    integers("stride", stride, 1, MOST_STEP, spatial)
    integers("padding", padding, count=spatial)
    integers("dilation", dilation, 1, MOST_STEP, spatial)
    integer("groups", groups, 1)
    for entry in size:
        integers("size", entry, count=dims if name == "conv_input" else spatial)


# Cost


def work_of(request: Request) -> tuple[int, int]:
    """(multiply-adds and steps of loops, words of memory besides operands and result)."""
    name, *options, size = request.params
    a, b = (operand.size for operand in request.operands)
    if name == "mul":
        return prod(size), 0
    if name == "matmul":
        tables = volume(a[:-2]) * (a[-2] + 3) + a[-1] + b[-1]
        return volume((*a, b[-1])), 4 * tables
    return _conv_work(name, options, *convolved(name, options, a, b))


def volume(size: Sequence[int]) -> int:
    """The elements of a tensor of this size, if sizes of 0 were 1: what loops and tables follow."""
    return prod(max(1, n) for n in size)


def _conv_work(name: str, options: Sequence[Any], x: Size, w: Size, out: Size) -> tuple[int, int]:
    multiply_adds = volume(out) * volume(w[1:])
    tables = 2 * (volume(x) + volume(w) + volume(out))
    if name != "conv_input":
        return multiply_adds, tables + volume(x[:2]) * prod(_padded(options, x, w, out))
    padded = volume(out[:2]) * prod(_scattered(options, x, w, out))
    loops, residues = _residue_work(options[0], x, w)
    return multiply_adds + loops, tables + padded + residues


def _residue_work(stride: Sequence[int], x: Size, w: Size) -> tuple[int, int]:
    """Steps and words that conv_input spends on the residue classes of the stride."""
    counts = [min(s, n) for s, n in zip(stride, x[2:], strict=True)]
    found = sum(count * k for count, k in zip(counts, w[2:], strict=True))
    each = x[1] + w[0] + sum(w[2:]) + CLASS_WORK
    return found + prod(counts) * each, 16 * (sum(counts) + sum(w[2:]))


def _padded(options: Sequence[Any], x: Size, w: Size, out: Size) -> list[int]:
    """The spatial size of the input between its zeros, as csrc/ring/conv.cpp copies it."""
    stride, padding, dilation, *_ = options
    dims = zip(x[2:], w[2:], out[2:], stride, padding, dilation, strict=True)
    return [max(n + z, (o - 1) * s + (k - 1) * d + 1) for n, k, o, s, z, d in dims]


def _scattered(options: Sequence[Any], x: Size, w: Size, out: Size) -> list[int]:
    """The spatial size of the gradient between its zeros, at most."""
    stride, padding, dilation, *_ = options
    dims = zip(x[2:], w[2:], out[2:], stride, padding, dilation, strict=True)
    return [
        max(0, (k - 1) * d - z) // s + max(o, (n + z - 1) // s + 1) for n, k, o, s, z, d in dims
    ]
