"""Resizing of images: linear maps with public weights, separable over the spatial dimensions.

Nearest neighbours are copies, whose gradients are added up. The others multiply each dimension with
a public matrix, locally; its gradient multiplies with the transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..share import Share
from .operands import factor, retag
from .registry import ATEN

aten = torch.ops.aten

NEAREST = [
    (f"{kind}{n}d", n)
    for kind in ("upsample_nearest", "_upsample_nearest_exact")
    for n in (1, 2, 3)
]
WEIGHTED = [
    ("upsample_linear1d", 1),
    ("upsample_bilinear2d", 2),
    ("upsample_bicubic2d", 2),
    ("upsample_trilinear3d", 3),
    ("_upsample_bilinear2d_aa", 2),
    ("_upsample_bicubic2d_aa", 2),
    ("_upsample_lanczos2d_aa", 2),
]


def _nearest_gradient(overload: Any) -> Callable[..., Share]:
    """What the copies of an element got, added up."""

    def handler(gradient: Share, output: list[int], size: list[int], *scales: Any) -> Share:
        inner = size[2:]
        positions = torch.arange(prod(inner), dtype=torch.float64).view(1, 1, *inner)
        source = overload(positions, output, *scales).to(torch.int64).view(-1)

        def added(part: Tensor) -> Tensor:
            flat = torch.zeros((size[0] * size[1], prod(inner)), dtype=torch.int64)
            return flat.index_add_(1, source, part.reshape(size[0] * size[1], -1)).view(size)

        return gradient.map(added)

    return handler


def _weights(
    overload: Any, i: int, n: int, given: int, wanted: int, options: Sequence[Any]
) -> Tensor:
    """(wanted, given) weights of dimension i of n: torch's own answer to each unit vector.

    All dimensions are treated alike, so the vectors lie along the last one.
    """
    units = torch.eye(given, dtype=torch.float64).view(given, 1, *[1] * (n - 1), given)
    align, *scales = options
    own = [*[None] * (n - 1), scales[i] if scales else None]
    answer: Tensor = overload(units, [*[1] * (n - 1), wanted], align, *own)
    return answer.view(given, wanted).t()


def _along(x: Share, dim: int, weights: Tensor) -> Share:
    """x times a public matrix (out, in) along one dimension."""
    if torch.equal(weights, torch.eye(*weights.shape, dtype=weights.dtype)):
        return x
    lead = x.here.movedim(dim, -1).shape[:-1]
    rows = x.map(lambda part: part.movedim(dim, -1).reshape(-1, part.shape[dim]))
    out = mpc.matmul(rows, factor(rows, weights.t()))
    return out.map(lambda part: part.view(*lead, -1).movedim(-1, dim).contiguous())


def _weighted(overload: Any, n: int) -> Callable[..., Share]:
    def handler(x: Share, output: Sequence[int], *options: Any) -> Share:
        out = x
        for i in range(n):
            out = _along(out, i - n, _weights(overload, i, n, x.shape[i - n], output[i], options))
        return retag(out.clone() if out is x else out, x.dtype)

    return handler


def _weighted_gradient(overload: Any, n: int) -> Callable[..., Share]:
    def handler(
        gradient: Share, output: Sequence[int], size: Sequence[int], *options: Any
    ) -> Share:
        out = gradient
        for i in range(n):
            weights = _weights(overload, i, n, size[i - n], output[i], options)
            out = _along(out, i - n, weights.t())
        return retag(out.clone() if out is gradient else out, gradient.dtype)

    return handler


for _name, _n in NEAREST:
    _forward = getattr(aten, _name).default
    ATEN[getattr(aten, f"{_name}_backward").default] = _nearest_gradient(_forward)
for _name, _n in WEIGHTED:
    _forward = getattr(aten, _name).default
    ATEN[_forward] = _weighted(_forward, _n)
    ATEN[getattr(aten, f"{_name}_backward").default] = _weighted_gradient(_forward, _n)
