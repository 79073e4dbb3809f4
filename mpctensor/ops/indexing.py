"""Reading and writing at public positions; secret ones are read in `front`, or refused with advice.

Everything here is linear with public structure, so each party applies it to its own part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import SecretLeakError
from ..share import Share
from .creation import write
from .layout import together
from .lineage import as_fine_as
from .norms import vector_norm
from .operands import as_dtype, filled, result_dtype, retag, scalar, shares_of, term
from .pointwise import div, scaled, sub
from .registry import ATEN, implements

aten = torch.ops.aten
prims = torch.ops.prims


def public_index(*indices: Any) -> None:
    """Raise SecretLeakError for an index that is a secret."""
    for index in indices:
        if isinstance(index, (list, tuple)):
            public_index(*index)
        elif isinstance(index, Share):
            if _is_mask(index):
                raise SecretLeakError(
                    "`mask` is secret, and indexing with it would show how many elements it picks:"
                    " use torch.where(mask, x, other) or multiply by the mask"
                )
            raise SecretLeakError(
                "`index` is secret, and where it points would show it: gather and take_along_dim"
                " read at secret positions, a product with F.one_hot(index, n) (a one-hot encoding)"
                " writes there; or decrypt() it"
            )


def _is_mask(index: Any) -> bool:
    return isinstance(index, Share) and index.dtype is torch.bool


def _reading(overload: Any) -> Callable[..., Share]:
    """gather and its kin: (x, public arguments)."""

    def handler(x: Any, *args: Any, **kwargs: Any) -> Share:
        public_index(*args)
        return x.map(lambda part: overload(part, *args, **kwargs))

    return handler


for _overload in (
    aten.index.Tensor,
    aten._unsafe_index.Tensor,
    aten.index_select.default,
    aten.gather.default,
    aten.take.default,
    aten.take_along_dim.default,
):
    ATEN[_overload] = _reading(_overload)


@implements(aten.embedding.default)
def embedding(weight: Share, indices: Any, *options: Any, **named: Any) -> Share:
    if not isinstance(weight, Share) or isinstance(indices, Share):
        raise SecretLeakError(
            "`input` is secret, and the row of the embedding would show it: use F.embedding itself,"
            " or multiply F.one_hot(input, n).float() with the table"
        )
    return weight.map(lambda part: aten.embedding.default(part, indices))


@implements(aten.embedding_dense_backward.default)
def embedding_backward(
    gradient: Share, indices: Tensor, count: int, padding: int, scale: bool
) -> Share:
    public_index(indices)
    flat = indices.reshape(-1)
    keep = (flat != padding).to(torch.int64)

    def scattered(part: Tensor) -> Tensor:
        rows = part.reshape(flat.numel(), part.shape[-1]) * keep.unsqueeze(1)
        return torch.zeros(count, part.shape[-1], dtype=torch.int64).index_add_(0, flat, rows)

    total = gradient.map(scattered)
    if not scale:
        return total
    often = flat.bincount(minlength=count).clamp(min=1)
    return retag(div(total, often.unsqueeze(1)), gradient.dtype)


@implements(aten.embedding_renorm_.default)
def embedding_renorm_(weight: Share, indices: Any, max_norm: float, norm_type: float) -> Share:
    """Rows of a table that are looked up, made no longer than max_norm; shorter ones do not move.

    row + [norm > max_norm] row (max_norm / max(norm, max_norm) - 1).
    """
    public_index(indices)
    used = indices.unique()
    rows = weight.map(lambda part: part[used])
    norms = vector_norm(rows, norm_type, [1], True)
    held, longer = mpc.maximum(term(norms, max_norm), norms)
    shrunk = sub(scaled(mpc.reciprocal(held), max_norm), 1)
    change = mpc.mul(rows, mpc.bit_mul(longer, shrunk))
    table = together(
        lambda parts: parts[0].index_put((used,), parts[1]), weight, mpc.add(rows, change)
    )
    return write(weight, retag(table, weight.dtype))


# Writing


@implements(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Share:
    """x[indices] = values; where a secret mask is true, one number may be written."""
    mask = indices[0]
    if len(indices) == 1 and _is_mask(mask) and len(values.shape) == 0 and not accumulate:
        size = (*mask.shape, *[1] * (len(x.shape) - len(mask.shape)))
        return masked_fill(x, mask.map(lambda part: part.reshape(size)), values)
    public_index(indices)
    return together(
        lambda parts: aten.index_put.default(parts[0], indices, parts[1], accumulate), x, values
    )


@implements(aten.put.default)
def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Share:
    public_index(index)
    return together(
        lambda parts: aten.put.default(parts[0], index, parts[1], accumulate), x, source
    )


def _writing(overload: Any) -> Callable[..., Share]:
    """(x, dim, public index, source): scatter and its kin."""

    def handler(x: Any, dim: int, index: Any, source: Any, **kwargs: Any) -> Share:
        public_index(index)
        if kwargs.get("alpha", 1) != 1:
            source, kwargs = mpc.scaled(term(x, source), kwargs["alpha"]), {}
        return together(lambda parts: overload(parts[0], dim, index, parts[1], **kwargs), x, source)

    return handler


for _overload in (
    aten.scatter.src,
    aten.scatter_add.default,
    aten.index_add.default,
    aten.index_copy.default,
):
    ATEN[_overload] = _writing(_overload)


@implements(aten.scatter.value)
def scatter_value(x: Share, dim: int, index: Any, value: Any) -> Share:
    public_index(index)
    kept = torch.zeros(tuple(x.shape), dtype=torch.bool).scatter(dim, index, True)
    return masked_fill(x, kept, value)


@implements(aten.index_fill.int_Scalar, aten.index_fill.int_Tensor)
def index_fill(x: Share, dim: int, index: Any, value: Any) -> Share:
    public_index(index)
    kept = torch.zeros(tuple(x.shape), dtype=torch.bool).index_fill(dim, index, True)
    return masked_fill(x, kept, value)


# Choosing


@implements(aten.where.self, prims.where.default)
def where(condition: Any, x: Any, y: Any) -> Share:
    """condition ? x : y; a secret condition is never opened."""
    like = shares_of(condition, x, y)[0]
    dtype = result_dtype(x, y)
    values = shares_of(x, y)
    x, y = (term(values[0] if values else like, v) for v in (x, y))
    if isinstance(condition, Share):
        return retag(mpc.select(_as_bit(condition), x, y), dtype)
    chosen = condition.to(torch.bool)
    return retag(together(lambda parts: torch.where(chosen, parts[0], parts[1]), x, y), dtype)


def _as_bit(condition: Share) -> Share:
    if condition.dtype is not torch.bool:
        raise RuntimeError("where expected condition to be a boolean tensor")
    return condition


@implements(aten.where.ScalarSelf, aten.where.ScalarOther, aten.where.Scalar)
def where_scalar(condition: Any, x: Any, y: Any) -> Share:
    return where(condition, x, y)


@implements(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(x: Any, mask: Any, value: Any) -> Share:
    like = shares_of(x, mask, value)[0]
    number = scalar(value)
    x = term(like, x)
    fill = term(x, value) if number is None else retag(term(x, as_dtype(number, x.dtype)), x.dtype)
    return as_fine_as(retag(where(mask, fill, x), x.dtype), x)


@implements(aten.masked_scatter.default)
def masked_scatter(x: Any, mask: Any, source: Any) -> Share:
    public_index(mask)
    return together(lambda parts: torch.masked_scatter(parts[0], mask, parts[1]), x, source)


@implements(aten.masked_scatter_backward.default)
def masked_scatter_backward(gradient: Share, mask: Tensor, size: Sequence[int]) -> Share:
    """The gradient of the source: what went where the mask is true, then zeros."""
    return gradient.map(lambda part: aten.masked_scatter_backward.default(part, mask, size))


def one_hot(like: Share, index: Tensor, classes: int) -> Share:
    """A public one-hot encoding of public indices, of the float dtype of `like`."""
    shape = (*index.shape, classes)
    zeros = filled(like, shape, 0, like.dtype)
    return zeros.map(lambda part: part.scatter(-1, index.unsqueeze(-1), 1))
