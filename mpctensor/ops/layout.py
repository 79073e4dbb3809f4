"""Shapes: linear maps with public structure are the same aten op on every party's part.

Views alias the storage and so keep what is known about it; copies carry the scale along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import SecretLeakError
from ..share import Share
from .lineage import as_fine_as
from .operands import filled, retag, shares_of, term
from .registry import ATEN, implements

aten = torch.ops.aten
prims = torch.ops.prims

# One tensor in, one tensor out; a permutation, repetition, selection or sum of elements.
STRUCTURAL = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten._reshape_alias.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.t.default,
    aten.transpose.int,
    aten.permute.default,
    aten.movedim.int,
    aten.movedim.intlist,
    aten.expand.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.narrow.default,
    aten.as_strided.default,
    aten.unfold.default,
    aten.diagonal.default,
    aten.lift_fresh.default,
    aten.repeat.default,
    aten.tile.default,
    aten.repeat_interleave.self_int,
    aten.flip.default,
    aten.roll.default,
    aten.rot90.default,
    aten.tril.default,
    aten.triu.default,
    aten.diag_embed.default,
    aten.trace.default,
    aten.reflection_pad1d.default,
    aten.reflection_pad2d.default,
    aten.reflection_pad3d.default,
    aten.replication_pad1d.default,
    aten.replication_pad2d.default,
    aten.replication_pad3d.default,
    aten._pad_circular.default,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten.channel_shuffle.default,
    # and their backward maps
    aten.slice_backward.default,
    aten.select_backward.default,
    aten.unfold_backward.default,
    aten.diagonal_backward.default,
    # copying twins of views
    aten.view_copy.default,
    aten.permute_copy.default,
    aten.transpose_copy.int,
    aten.expand_copy.default,
    aten.slice_copy.Tensor,
    aten.select_copy.int,
    aten.unsqueeze_copy.default,
    aten.squeeze_copy.dim,
    aten.as_strided_copy.default,
    prims.broadcast_in_dim.default,
    prims.transpose.default,
    prims.squeeze.default,
    prims.view_of.default,
    prims.split_dim.default,
    prims.collapse_view.default,
    prims.rev.default,
)


def structural(overload: Any) -> Callable[..., Share]:
    """The handler that applies an overload to each part."""

    def each_part(x: Share, *args: Any, **kwargs: Any) -> Share:
        return x.map(lambda part: overload(part, *args, **kwargs))

    return each_part


for _overload in STRUCTURAL:
    ATEN[_overload] = structural(_overload)


def splitting(overload: Any) -> Callable[..., list[Share]]:
    """The handler of an overload that gives several views."""

    def each_part(x: Share, *args: Any, **kwargs: Any) -> list[Share]:
        return x.split(lambda part: overload(part, *args, **kwargs))

    return each_part


for _overload in (
    aten.split.Tensor,
    aten.split.sizes,
    aten.split_with_sizes.default,
    aten.chunk.default,
    aten.unbind.int,
    aten.tensor_split.sections,
    aten.tensor_split.indices,
):
    ATEN[_overload] = splitting(_overload)


def _splitting_off(overload: Any) -> Callable[..., list[Share]]:
    """Pieces of storages of their own: no views, as torch has it, so each finds its scale again.

    An LSTM writes its gates into them in place.
    """
    split = splitting(overload)
    return lambda x, *args, **options: [piece.clone() for piece in split(x, *args, **options)]


for _overload in (
    aten.unsafe_split.Tensor,
    aten.unsafe_split_with_sizes.default,
    aten.unsafe_chunk.default,
):
    ATEN[_overload] = _splitting_off(_overload)


# Backward maps of the pads, which torch asks for with the padded input beside the gradient.


def _of_gradient(overload: Any) -> Callable[..., Share]:
    def handler(gradient: Share, x: Any, *args: Any) -> Share:
        sample = torch.empty(tuple(x.shape), dtype=torch.int64)
        size, n = tuple(x.shape), sample.numel()
        source = ATEN_OF_PAD[overload](torch.arange(n).view(size), *args).reshape(-1)
        return gradient.map(
            lambda part: (
                torch.zeros(n, dtype=torch.int64).index_add_(0, source, part.reshape(-1)).view(size)
            )
        )

    return handler


ATEN_OF_PAD = {
    getattr(aten, f"{kind}_pad{n}d_backward").default: getattr(aten, f"{kind}_pad{n}d").default
    for kind in ("reflection", "replication")
    for n in (1, 2, 3)
}
for _overload in ATEN_OF_PAD:
    ATEN[_overload] = _of_gradient(_overload)


# Several tensors


def together(fn: Callable[[list[Tensor]], Tensor], *operands: Any) -> Share:
    """A structural function of several operands, secrets and plain tensors mixed, at one scale."""
    like = shares_of(*operands)[0]
    return mpc.concatenate(lambda parts: fn(list(parts)), [term(like, value) for value in operands])


@implements(aten.cat.default, aten.concat.default, prims.cat.default)
def cat(tensors: list[Any], dim: int = 0) -> Share:
    kept = [t for t in tensors if tuple(t.shape) != (0,)] or tensors
    if not shares_of(*kept):
        kept = tensors
    return together(lambda parts: torch.cat(parts, dim), *kept)


@implements(aten.stack.default)
def stack(tensors: list[Any], dim: int = 0) -> Share:
    return together(lambda parts: torch.stack(parts, dim), *tensors)


@implements(aten.constant_pad_nd.default)
def constant_pad_nd(x: Share, pad: list[int], value: Any = 0) -> Share:
    padded = x.map(lambda part: aten.constant_pad_nd.default(part, pad, 0))
    if value == 0:
        return as_fine_as(padded, x)
    inside = aten.constant_pad_nd.default(torch.ones(tuple(x.shape), dtype=torch.bool), pad, False)
    fill = filled(x, (), value, x.dtype)
    return together(lambda parts: torch.where(inside, parts[0], parts[1]), padded, fill)


def _scatter_into(overload: Any) -> Callable[..., Share]:
    """slice_scatter and its kin: the base with a part replaced."""

    def handler(base: Any, source: Any, *args: Any, **kwargs: Any) -> Share:
        return together(lambda parts: overload(*parts, *args, **kwargs), base, source)

    return handler


for _overload in (
    aten.slice_scatter.default,
    aten.select_scatter.default,
    aten.diagonal_scatter.default,
    aten.as_strided_scatter.default,
):
    ATEN[_overload] = _scatter_into(_overload)


@implements(aten.meshgrid.default, aten.meshgrid.indexing)
def meshgrid(tensors: list[Share], *, indexing: str = "ij") -> list[Share]:
    columns = [t.here for t in tensors]
    shapes = torch.meshgrid([torch.arange(c.numel()) for c in columns], indexing=indexing)
    return [t.map(lambda part: part.reshape(-1)[i]) for t, i in zip(tensors, shapes, strict=True)]


@implements(
    aten._conj.default, aten.conj.default, aten.resolve_conj.default, aten.contiguous.default
)
def itself_contiguous(x: Share, **options: Any) -> Share:
    memory_format = options.get("memory_format") or torch.contiguous_format
    return x.map(lambda part: part.contiguous(memory_format=memory_format))


@implements(aten.view.dtype)
def view_dtype(x: Share, dtype: torch.dtype) -> Share:
    return retag(x, dtype) if dtype is x.dtype else _no_reinterpretation(x, dtype)


def _no_reinterpretation(x: Share, dtype: torch.dtype) -> Share:
    raise TypeError(f"a secret {x.dtype} has no bits to be read as {dtype}; use .to({dtype})")


@implements(aten.set_.source_Tensor)
def set_(target: Share, source: Any) -> Share:
    """The target shows another secret, as at the beginning of torch's parametrizations."""
    if not isinstance(source, Share):
        raise SecretLeakError("`set_` of a secret to a plain tensor: encrypt() the tensor first")
    return source
