"""Maxima, minima and their positions, max pooling: one tree of comparisons, whose path is kept.

torch's own gradients would index with a secret. As in torch, on ties the gradient of a maximum
along a dimension goes to the first winner, and that of amax, amin and of full reductions is spread
evenly over the winners, which costs a comparison with the result and a division by their count.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import protocols as mpc
from ..ops.operands import filled, retag
from ..ops.pooling import (
    AnyWindows,
    adaptive_max_windows,
    max_pool,
    max_pool_backward,
    max_pool_picked,
    numbers,
    pool_index,
    windows_of,
)
from ..ops.reduce import average, dims_of, evenly
from ..ops.registry import FRONT, front
from ..share import Share
from ..tensor import SharedTensor, wrap

LinearMap = Callable[[Share], Share]
Extremum = namedtuple("Extremum", ["values", "indices"])


class _Along(torch.autograd.Function):
    """(extremum along the last dimension, its path)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, smallest: bool, box: list[Any]) -> Tensor:
        share = x._share  # type: ignore[attr-defined]
        with share.session.operation("min" if smallest else "max"):
            value, ctx.path = (mpc.min_along if smallest else mpc.max_along)(share, -1)
        box.append((share, ctx.path))
        return wrap(retag(value, x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        return _Linear.apply(gradient, "max_backward", ctx.path.route, ctx.path.pick), None, None


class _Linear(torch.autograd.Function):
    """A linear function of a gradient. transposed: its gradient, of which it is the gradient."""

    @staticmethod
    def forward(ctx: Any, g: Any, name: str, direct: LinearMap, transposed: LinearMap) -> Tensor:
        ctx.label, ctx.direct, ctx.transposed = name, direct, transposed
        share = g._share
        with share.session.operation(name):
            return wrap(retag(direct(share), g.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        out = _Linear.apply(gradient, ctx.label, ctx.transposed, ctx.direct)
        return out, None, None, None


class _Over(torch.autograd.Function):
    """Extremum over the last dimension; winners share its gradient evenly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, smallest: bool) -> Tensor:
        share = x._share  # type: ignore[attr-defined]
        with share.session.operation("min" if smallest else "max"):
            value, _ = (mpc.min_along if smallest else mpc.max_along)(share, -1)
        out = wrap(retag(value, x.dtype))
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, out = (tensor._share for tensor in ctx.saved_tensors)
        with x.session.operation("max_backward"):
            winners = mpc.equal(x, out.map(lambda part: part.unsqueeze(-1)))
        spread: LinearMap = lambda g: evenly(g, winners)  # noqa: E731
        gathered: LinearMap = lambda g: average(g, winners)  # noqa: E731
        return _Linear.apply(gradients[0], "max_backward", spread, gathered), None


def _index(share: Share, path: mpc.Path) -> Share:
    if not path.levels:
        size = share.shape[:-1]
        return filled(share, size, 0, torch.int64)
    return path.index()


def _flattened(x: Tensor, dims: list[int]) -> Tensor:
    """The reduced dimensions as one, at the end."""
    kept = [d for d in range(x.dim()) if d not in dims]
    size = [x.shape[d] for d in kept]
    return x.permute((*kept, *dims)).reshape((*size, prod(x.shape[d] for d in dims)))


def _extremum(x: Any, dims: list[int], keepdim: bool, smallest: bool, box: list[Any]) -> Any:
    return _restored(_Along.apply(_flattened(x, dims), smallest, box), x, dims, keepdim)


def _extremum_over(x: Any, dims: list[int], keepdim: bool, smallest: bool) -> Any:
    return _restored(_Over.apply(_flattened(x, dims), smallest), x, dims, keepdim)


def _restored(out: Any, x: Any, dims: list[int], keepdim: bool) -> Any:
    """The result, with its reduced dimensions where they are kept."""
    return out.view([1 if d in dims else n for d, n in enumerate(x.shape)]) if keepdim else out


def _along_dims(name: str, smallest: bool) -> Callable[..., Any]:
    """amax and amin."""

    def handler(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
        _check(name, input, dim)
        return _extremum_over(input, dims_of(input._share, dim), keepdim, smallest)

    return handler


def _check(name: str, x: Any, *dim: Any) -> None:
    if not isinstance(x, SharedTensor):
        raise TypeError(f"{name}() of a plain tensor with secret arguments")
    if x.numel() == 0:  # where that has no extremum torch says so
        getattr(torch, name)(torch.zeros(x.shape, dtype=x.dtype), *dim)


for _name, _smallest in (("amax", False), ("amin", True)):
    for _function in (getattr(torch, _name), getattr(Tensor, _name)):
        FRONT[_function] = _along_dims(_name, _smallest)


def _max_or_min(name: str, smallest: bool, elementwise: Callable[..., Any]) -> Callable[..., Any]:
    """max(x), max(x, dim) -> (values, indices), max(x, other)."""

    def handler(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return elementwise(input, dim if other is None else other)
        _check(name, input, *([] if dim is None else [dim]))
        if dim is None:
            return _extremum_over(input, list(range(input.dim())), False, smallest)
        dims, box = dims_of(input._share, dim), []  # type: ignore[var-annotated]
        values = _extremum(input, dims, keepdim, smallest, box)
        with input._share.session.operation(name):
            index = wrap(_index(*box[0]))
        return Extremum(values, index.view(values.shape))

    return handler


FRONT[torch.max] = FRONT[Tensor.max] = _max_or_min("max", False, torch.maximum)
FRONT[torch.min] = FRONT[Tensor.min] = _max_or_min("min", True, torch.minimum)


def _position(name: str, smallest: bool) -> Callable[..., Any]:
    def handler(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        _check(name, input, dim)
        with torch.no_grad():
            box: list[Any] = []
            dims = dims_of(input._share, dim)
            values = _extremum(input, dims, keepdim, smallest, box)
            with input._share.session.operation(name):
                index = wrap(_index(*box[0]))
        if dim is None and keepdim:
            return index.view([1] * input.dim())
        return index.view(values.shape)

    return handler


FRONT[torch.argmax] = FRONT[Tensor.argmax] = _position("argmax", False)
FRONT[torch.argmin] = FRONT[Tensor.argmin] = _position("argmin", True)


# Max pooling


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, windows: AnyWindows, box: list[Any]) -> Tensor:
        share = x._share
        ctx.windows = windows
        with share.session.operation("max_pool"):
            value, ctx.path = max_pool(share, windows)
        box.append(ctx.path)
        return wrap(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        path, windows = ctx.path, ctx.windows
        spread: LinearMap = lambda g: max_pool_backward(g, path, windows)  # noqa: E731
        picked: LinearMap = lambda g: max_pool_picked(g, path, windows)  # noqa: E731
        return _Linear.apply(gradients[0], "max_pool_backward", spread, picked), None, None


def _pooled(x: Any, windows: AnyWindows, return_indices: bool) -> Any:
    box: list[Any] = []
    out = _MaxPool.apply(x, windows, box)
    if not return_indices:
        return out
    with x._share.session.operation("max_pool"):
        return out, wrap(pool_index(box[0], windows))


def _max_pool_nd(n: int) -> Callable[..., Any]:
    def handler(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        _check_rank(input, n)
        windows = windows_of(input._share, kernel_size, stride, padding, dilation, ceil_mode, n)
        return _pooled(input, windows, return_indices)

    return handler


def _check_rank(x: Any, n: int) -> None:
    if x.dim() not in (n + 1, n + 2):
        raise RuntimeError(f"max_pool{n}d() expects {n + 1}D or {n + 2}D input, got {x.dim()}D")


for _n in (1, 2, 3):
    _pool = _max_pool_nd(_n)
    FRONT[getattr(F, f"max_pool{_n}d")] = _pool
    FRONT[getattr(torch, f"max_pool{_n}d")] = _pool


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        kwargs["return_indices"] = True
        return pool(*args, **kwargs)

    return handler


for _n in (1, 2, 3):
    FRONT[getattr(F, f"max_pool{_n}d_with_indices")] = _with_indices(_max_pool_nd(_n))


def _adaptive_nd(n: int) -> Callable[..., Any]:
    def handler(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        _check_rank(input, n)
        wanted = numbers(output_size, n)
        given = input.shape[-n:]
        output = [given[i] if size is None else size for i, size in enumerate(wanted)]
        return _pooled(input, adaptive_max_windows(input._share, output), return_indices)

    return handler


for _n in (1, 2, 3):
    FRONT[getattr(F, f"adaptive_max_pool{_n}d")] = _adaptive_nd(_n)


@front(F.one_hot)
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """A secret index as a secret one-hot row: index == 0, 1, ..., n - 1."""
    if num_classes < 0:
        raise ValueError("one_hot of a secret index needs num_classes: the largest index is secret")
    return (tensor.unsqueeze(-1) == torch.arange(num_classes)).to(torch.int64)
