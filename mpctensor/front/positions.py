"""Reading at secret positions, by one-hot rows: gather, take_along_dim, embedding, one_hot.

1 round and 64 * 2^m bits dealt for a position among up to 2^m, 1 round for the product. torch
refuses a position that is out of range; here nobody can see it: it reads the entry at the position
modulo the next power of two, or 0 where there is none.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import protocols as mpc
from ..errors import SecretLeakError
from ..ops.reduce import dims_of
from ..ops.registry import FRONT, front
from ..share import Share
from ..tensor import SharedTensor, on_zeros, wrap
from . import maxima  # noqa: F401 (enters argmax)
from .chosen import Linear
from .public import as_secret


def _rows(name: str, index: Any, classes: int) -> Share:
    """(*, classes) one-hot rows of a secret index."""
    if index.dtype.is_floating_point or index.dtype is torch.bool:
        raise RuntimeError(f"{name}(): Expected dtype int64 for index")
    with index._share.session.operation(name):
        return mpc.one_hot(index._share, classes)


@front(torch.gather, Tensor.gather)
def gather(input: Any, dim: Any, index: Any, *, sparse_grad: bool = False) -> Any:
    """torch.gather; the index may be secret."""
    if not isinstance(index, SharedTensor):
        return torch.gather(input, dim, index, sparse_grad=sparse_grad)
    on_zeros(torch.gather, input, dim, index)
    x = as_secret(input, index)
    if not x.dim():
        x = x.unsqueeze(0)
    (place,) = dims_of(x._share, dim)
    places = index if index.dim() else index.unsqueeze(0)
    for d, size in enumerate(places.shape):
        x = x if d == place else x.narrow(d, 0, size)
    out = _gathered("gather", x.movedim(place, -1), places.movedim(place, -1))
    return out.movedim(-1, place).reshape(index.shape)


def _gathered(name: str, x: Any, index: Any) -> Any:
    """x (*, n) at positions (*, k) of its last dimension."""
    chosen = mpc.OneHot(_rows(name, index, x.shape[-1]))
    return Linear.apply(x, name, chosen.pick, chosen.route)


@front(Tensor.__setitem__)
def set_item(input: Any, index: Any, value: Any) -> None:
    """x[index] = value; torch would read a mask without dimensions, as x[x > 0] of a number has."""
    if not isinstance(index, SharedTensor) or index.dtype is not torch.bool or index.dim():
        input[index] = value
    elif isinstance(value, Tensor):
        input.copy_(torch.where(index, value.to(input.dtype), input))
    else:
        input.masked_fill_(index, value)


@front(torch.take_along_dim, Tensor.take_along_dim)
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """torch.take_along_dim; the indices may be secret. Other dimensions broadcast."""
    if not isinstance(indices, SharedTensor):
        return torch.take_along_dim(input, indices, dim)
    on_zeros(torch.take_along_dim, input, indices, dim)
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    place = dim % input.dim()
    x, at = list(input.shape), list(indices.shape)
    x[place] = at[place] = 1
    size = list(torch.broadcast_shapes(x, at))
    x, at = list(size), list(size)
    x[place], at[place] = input.shape[place], indices.shape[place]
    return gather(input.expand(x), place, indices.expand(at))


@front(F.embedding)
def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """F.embedding; the index may be secret, with a secret or a plain table.

    The gradient of the table is the transposed product; row padding_idx (public) gets none.
    """
    if not isinstance(input, SharedTensor):
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return F.embedding(input, weight, *options)
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise NotImplementedError(
            "a secret index with max_norm, scale_grad_by_freq or sparse, which follow the rows used"
        )
    on_zeros(F.embedding, input, weight, padding_idx)
    count, width = weight.shape
    rows = _rows("embedding", input.reshape(-1), count)
    counted = rows if padding_idx is None else _without(rows, padding_idx)
    turned = counted.map(lambda part: part.t())
    out = Linear.apply(
        as_secret(weight, input),
        "embedding",
        lambda table: mpc.matmul(rows, table),
        lambda gradient: mpc.matmul(turned, gradient),
    )
    return out.view(*input.shape, width)


@front(torch.embedding)
def embedding_of(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """torch.embedding: `embedding` with the table first."""
    if not isinstance(indices, SharedTensor):
        return torch.embedding(weight, indices, padding_idx, scale_grad_by_freq, sparse)
    padding = None if padding_idx < 0 else padding_idx
    return embedding(indices, weight, padding, None, 2.0, scale_grad_by_freq, sparse)


def _without(rows: Share, column: int) -> Share:
    """The rows with a public column set to 0."""
    kept = torch.ones(rows.shape[-1], dtype=torch.int64)
    kept[column] = 0
    return rows.map(lambda part: part * kept)


@front(F.gumbel_softmax)
def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """F.gumbel_softmax, with public noise; hard: one-hot, with the gradient of the soft choice."""
    soft = F.gumbel_softmax(logits, tau, False, eps, dim)
    if not hard:
        return soft
    best = FRONT[torch.argmax](soft.detach(), dim)
    choice = one_hot(best, soft.shape[dim]).movedim(-1, dim).to(soft.dtype)
    return choice - soft.detach() + soft


@front(F.one_hot)
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """F.one_hot of a secret index; num_classes must be given."""
    if num_classes < 0:
        raise SecretLeakError(
            "`one_hot` of a secret index needs `num_classes`: the largest index is secret"
        )
    return wrap(_rows("one_hot", tensor, num_classes))
