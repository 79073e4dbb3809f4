"""Maxima, minima and their positions, max pooling: one tree of comparisons, whose path is kept.

torch's own gradients would index with a secret. As in torch, on ties the gradient of a maximum
along a dimension goes to the first winner, and that of amax, amin and of full reductions is spread
evenly over the winners, which costs a comparison with the result, and 1 / their count from a row.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import protocols as mpc
from ..ops.pooling import max_pool
from ..ops.reduce import as_rows, dims_of, with_dims
from ..ops.registry import FRONT
from ..ops.windows import AnyWindows, adaptive_max_windows, numbers, windows_of
from ..tensor import SharedTensor
from . import pairs
from .chosen import Shared, chosen, index_of

Extremum = namedtuple("Extremum", ["values", "indices"])


def _extremum(name: str, x: Any, dims: list[int], keepdim: bool) -> tuple[Any, Any]:
    """(values, positions)."""
    verb = mpc.min_along if name.endswith("min") else mpc.max_along
    value, path = chosen(as_rows(x, dims), name, lambda share: verb(share, -1))
    value = with_dims(value, x.shape, dims) if keepdim else value
    return value, index_of(x, name, path).view(value.shape)


def _extremum_over(name: str, x: Any, dims: list[int], keepdim: bool) -> Any:
    verb = mpc.min_along if name.endswith("min") else mpc.max_along
    value = Shared.apply(as_rows(x, dims), name, lambda share: verb(share, -1)[0])
    return with_dims(value, x.shape, dims) if keepdim else value


def _along_dims(name: str) -> Callable[..., Any]:
    """amax and amin."""

    def handler(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
        _check(name, input, dim)
        return _extremum_over(name, input, dims_of(input._share, dim), keepdim)

    return handler


def _check(name: str, x: Any, *dim: Any) -> None:
    if not isinstance(x, SharedTensor):
        raise TypeError(f"{name}() of a plain tensor with secret arguments")
    if x.numel() == 0:  # where that has no extremum torch says so
        getattr(torch, name)(torch.zeros(x.shape, dtype=x.dtype), *dim)


for _name in ("amax", "amin"):
    for _function in (getattr(torch, _name), getattr(Tensor, _name)):
        FRONT[_function] = _along_dims(_name)


def _max_or_min(name: str, elementwise: Callable[..., Any]) -> Callable[..., Any]:
    """max(x), max(x, dim) -> (values, indices), max(x, other)."""

    def handler(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        if isinstance(dim, Tensor) or other is not None:
            return elementwise(input, dim if other is None else other)
        _check(name, input, *([] if dim is None else [dim]))
        if dim is None:
            return _extremum_over(name, input, list(range(input.dim())), False)
        return Extremum(*_extremum(name, input, dims_of(input._share, dim), keepdim))

    return handler


FRONT[torch.max] = FRONT[Tensor.max] = _max_or_min("max", pairs.maximum)
FRONT[torch.min] = FRONT[Tensor.min] = _max_or_min("min", pairs.minimum)


def _position(name: str) -> Callable[..., Any]:
    def handler(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        _check(name, input, dim)
        with torch.no_grad():
            _, index = _extremum(name, input, dims_of(input._share, dim), keepdim)
        return index

    return handler


FRONT[torch.argmax] = FRONT[Tensor.argmax] = _position("argmax")
FRONT[torch.argmin] = FRONT[Tensor.argmin] = _position("argmin")


# Max pooling


def _pooled(x: Any, windows: AnyWindows, return_indices: bool) -> Any:
    out, places = chosen(x, "max_pool", lambda share: max_pool(share, windows))
    return (out, index_of(x, "max_pool", places)) if return_indices else out


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
