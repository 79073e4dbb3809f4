"""Pooling. Averages are sums over windows and a public factor; maxima keep the winners' path.

The path (comparison bits of the tree) serves the backward pass, which compares nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..share import Share
from .layout import together
from .lineage import as_fine_as
from .operands import retag, shares_of
from .pointwise import scaled
from .registry import implements
from .windows import AnyWindows, Covering, Windows, adaptive_max_windows, windows_of

aten = torch.ops.aten

LOWEST = -(1 << 60)  # ring element that loses against every value: the padding of a maximum
MAXIMA = "pool maxima"


# Maximum


@dataclass(frozen=True)
class Maxima:
    """The path to the maximum of every window."""

    path: mpc.Path
    windows: AnyWindows

    def route(self, gradient: Share) -> Share:
        return self.path.route(gradient).map(self.windows.fold)

    def pick(self, x: Share) -> Share:
        """The elements of x at the places of the maxima: the transpose of `route`."""
        return self.path.pick(x.map(lambda part: _elements(part, self.windows)))

    def index(self) -> Share:
        """Flat positions in the unpadded input (secret int64), as torch's return_indices."""
        windows = self.windows
        target = (*windows.lead, *windows.output, prod(windows.kernel))
        return self.path.choose(_positions(windows).expand(target).contiguous())


def max_pool(x: Share, windows: AnyWindows) -> tuple[Share, Maxima]:
    """(the maximum of every window, where they are)."""
    value, path = mpc.max_along(_candidates(x, windows), -1)
    return value, Maxima(path, windows)


def _candidates(x: Share, windows: AnyWindows) -> Share:
    """(*lead, *output, K); positions of the padding hold the lowest number."""
    if isinstance(windows, Covering):
        return x.map(windows.candidates)
    if not any(windows.padding) and windows.padded == windows.size[-windows.n :]:
        return x.map(lambda part: windows.view(part.contiguous()).contiguous())
    inside = windows.pad(torch.ones(windows.size, dtype=torch.bool), False)
    lowest = torch.tensor(LOWEST / x.scale, dtype=torch.float64)
    padded = together(
        lambda parts: torch.where(inside, parts[0], parts[1]),
        x.map(lambda part: windows.pad(part, 0)),
        retag(mpc.constant(x.session, lowest, x.scale, unit=x.unit), x.dtype),
    )
    return padded.map(lambda part: windows.view(part).contiguous())


def _elements(part: Tensor, windows: AnyWindows) -> Tensor:
    """(*lead, *output, K), zeros where padding lies."""
    if isinstance(windows, Covering):
        return windows.candidates(part)
    return windows.view(windows.pad(part, 0)).contiguous()


def _positions(windows: AnyWindows) -> Tensor:
    if isinstance(windows, Covering):
        return windows.positions()
    spatial = windows.size[-windows.n :]
    inside = torch.arange(prod(spatial)).view(1, *spatial)
    own = Windows((1, *spatial), *_geometry(windows))
    return own.view(own.pad(inside, 0))


def _geometry(windows: Windows) -> tuple[Any, ...]:
    return windows.kernel, windows.stride, windows.padding, windows.dilation, windows.ceil


@implements(aten.max_pool2d_with_indices.default)
def max_pool2d(
    x: Share, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> tuple[Share, Share]:
    return _max_pool_with_indices(x, windows_of(x, kernel, stride, padding, dilation, ceil, 2))


@implements(aten.max_pool3d_with_indices.default)
def max_pool3d(
    x: Share, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
) -> tuple[Share, Share]:
    return _max_pool_with_indices(x, windows_of(x, kernel, stride, padding, dilation, ceil, 3))


def _max_pool_with_indices(x: Share, windows: AnyWindows) -> tuple[Share, Share]:
    value, maxima = max_pool(x, windows)
    index = maxima.index()
    index.facts.derived[MAXIMA] = maxima
    return value, index


@implements(
    aten.max_pool2d_with_indices_backward.default, aten.max_pool3d_with_indices_backward.default
)
def max_pool_with_indices_backward(gradient: Share, *arguments: Any) -> Share:
    index = shares_of(arguments[-1])
    maxima: Maxima | None = index[0].facts.derived.get(MAXIMA) if index else None
    if maxima is None:
        raise NotImplementedError("of indices that this pooling did not find; use autograd")
    return maxima.route(gradient)


# Average


@implements(aten.avg_pool2d.default)
def avg_pool2d(x: Share, kernel: Any, *options: Any, **named: Any) -> Share:
    return _avg_pool(x, 2, kernel, *options, **named)


@implements(aten.avg_pool3d.default)
def avg_pool3d(x: Share, kernel: Any, *options: Any, **named: Any) -> Share:
    return _avg_pool(x, 3, kernel, *options, **named)


def _avg_pool(
    x: Share,
    n: int,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Share:
    windows = windows_of(x, kernel, stride, padding, 1, ceil_mode, n)
    sums = x.map(lambda part: windows.view(windows.pad(part.contiguous(), 0)).sum(-1))
    return _averaged(sums, windows, count_include_pad, divisor_override)


def _averaged(sums: Share, windows: Windows, padded: bool, divisor: int | None) -> Share:
    """Window sums (or their gradients) over the number of elements of each window."""
    counts = _counts(windows, padded) if divisor is None else None
    if counts is None or bool((counts == counts.flatten()[0]).all()):
        count = divisor if counts is None else int(counts.flatten()[0])
        return scaled(sums, Fraction(1, int(count or 1)))
    return _over_counts(sums, counts)


def _over_counts(sums: Share, counts: Tensor) -> Share:
    """Division by public counts: exact, by their least common multiple, where that is small."""
    multiple = lcm(*counts.unique().tolist())
    if multiple < 1 << 16:
        share = mpc.constant(sums.session, multiple // counts)
        return retag(scaled(mpc.mul(sums, share), Fraction(1, multiple)), sums.dtype)
    inverse = mpc.constant(sums.session, counts.to(torch.float64).reciprocal(), unit=sums.unit)
    return retag(mpc.mul(sums, inverse), sums.dtype)


def _counts(windows: Windows, padded: bool) -> Tensor:
    """How many elements each window averages over; overhang beyond the padding never counts."""
    spatial = windows.size[-windows.n :]
    inside = torch.ones((1, *spatial), dtype=torch.int64)
    if padded:
        pads = [p for pad in reversed(windows.padding) for p in (pad, pad)]
        inside = aten.constant_pad_nd.default(inside, pads, 1)
    own = Windows((1, *spatial), *_geometry(windows))
    if padded:
        extra = [total - have for total, have in zip(own.padded, inside.shape[1:], strict=True)]
        pads = [p for e in reversed(extra) for p in (0, e)]
        inside = aten.constant_pad_nd.default(inside, pads, 0)
    else:
        inside = own.pad(inside, 0)
    return own.view(inside.contiguous()).sum(-1).squeeze(0)


@implements(aten.avg_pool2d_backward.default)
def avg_pool2d_backward(gradient: Share, x: Any, kernel: Any, *options: Any) -> Share:
    return as_fine_as(_avg_pool_backward(gradient, x, 2, kernel, *options), gradient)


@implements(aten.avg_pool3d_backward.default)
def avg_pool3d_backward(gradient: Share, x: Any, kernel: Any, *options: Any) -> Share:
    return as_fine_as(_avg_pool_backward(gradient, x, 3, kernel, *options), gradient)


def _avg_pool_backward(
    gradient: Share,
    x: Any,
    n: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Share:
    windows = windows_of(x, kernel, stride, padding, 1, ceil_mode, n)
    even = _averaged(gradient, windows, count_include_pad, divisor_override)
    many = prod(windows.kernel)
    return even.map(lambda part: windows.fold(part.unsqueeze(-1).expand(*part.shape, many)))


# Adaptive average: window i of dimension d covers floor(i n / m) .. ceil((i + 1) n / m)


def _covering(n: int, m: int) -> Tensor:
    """(m, n) matrix of 0 and 1: which inputs each output averages."""
    index = torch.arange(n)
    starts = (torch.arange(m) * n) // m
    ends = -((-(torch.arange(m) + 1) * n) // m)
    covered = (index >= starts.unsqueeze(1)) & (index < ends.unsqueeze(1))
    return covered.to(torch.int64)


def _cover_all(part: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply one matrix to each of the last dimensions (small public 0/1 matrices)."""
    n = len(matrices)
    for i, matrix in enumerate(matrices):
        moved = part.movedim(i - n, -1)
        picked = [moved[..., row.nonzero().view(-1)].sum(-1) for row in matrix]
        part = torch.stack(picked, -1).movedim(-1, i - n)
    return part


def _adaptive(x: Share, matrices: Sequence[Tensor], backward: bool) -> Share:
    """Sums by the matrices and the division by the window sizes, in the order that is asked for."""
    counts = torch.ones((), dtype=torch.int64)
    for matrix in matrices:
        counts = counts.unsqueeze(-1) * matrix.sum(1)
    turned = [m.t() for m in matrices]
    if not backward:
        x = x.map(lambda part: _cover_all(part, matrices))
    if bool((counts == counts.flatten()[0]).all()):
        x = scaled(x, Fraction(1, int(counts.flatten()[0])))
    else:
        x = _over_counts(x, counts)
    return x.map(lambda part: _cover_all(part, turned)) if backward else x


@implements(aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool3d.default)
def adaptive_avg_pool(x: Share, output: Sequence[int]) -> Share:
    n = len(output)
    spatial = x.shape[-n:]
    return _adaptive(x, [_covering(i, o) for i, o in zip(spatial, output, strict=True)], False)


@implements(aten._adaptive_avg_pool2d_backward.default)
def adaptive_avg_pool2d_backward(gradient: Share, x: Any) -> Share:
    return _adaptive_backward(gradient, x, 2)


@implements(aten._adaptive_avg_pool3d_backward.default)
def adaptive_avg_pool3d_backward(gradient: Share, x: Any) -> Share:
    return _adaptive_backward(gradient, x, 3)


def _adaptive_backward(gradient: Share, x: Any, n: int) -> Share:
    pairs = zip(x.shape[-n:], gradient.shape[-n:], strict=True)
    return _adaptive(gradient, [_covering(i, o) for i, o in pairs], True)


@implements(aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)
def adaptive_max_pool(x: Share, output: Sequence[int]) -> tuple[Share, Share]:
    return _max_pool_with_indices(x, adaptive_max_windows(x, output))


@implements(aten.adaptive_max_pool2d_backward.default, aten.adaptive_max_pool3d_backward.default)
def adaptive_max_pool_backward(gradient: Share, x: Share, index: Share) -> Share:
    return max_pool_with_indices_backward(gradient, x, index)
