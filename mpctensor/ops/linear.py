"""Matrix products. A bias is added at the scale of the product, before anything is truncated."""

from __future__ import annotations

from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .operands import factor, result_dtype, retag, shares_of, term
from .pointwise import product, scaled
from .registry import implements

aten = torch.ops.aten


def _operands(x: Any, y: Any) -> tuple[Share, Share]:
    like = shares_of(x, y)[0]
    if x.dtype != y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype}"
        )
    return factor(like, x), factor(like, y)


def _product(x: Any, y: Any, dims: int) -> Share:
    """Matrix product of operands that both have `dims` dimensions (shape errors: torch's words)."""
    shapes = tuple(x.shape), tuple(y.shape)
    if not (len(shapes[0]) == len(shapes[1]) == dims and shapes[0][-1] == shapes[1][-2]):
        raise ValueError(f"matrices of shapes {shapes[0]} and {shapes[1]} cannot be multiplied")
    if dims == 3 and shapes[0][0] != shapes[1][0]:
        raise ValueError(f"batches of shapes {shapes[0]} and {shapes[1]} cannot be multiplied")
    dtype = result_dtype(x, y)
    x, y = _operands(x, y)
    return retag(mpc.matmul(x, y), dtype)


@implements(aten.mm.default)
def mm(x: Any, y: Any) -> Share:
    return _product(x, y, 2)


@implements(aten.bmm.default)
def bmm(x: Any, y: Any) -> Share:
    return _product(x, y, 3)


def _plus(bias: Any, out: Share, beta: float, alpha: float) -> Share:
    """beta bias + alpha out."""
    out = out if alpha == 1 else scaled(out, alpha)
    if beta == 0:
        return out
    bias = term(out, bias)
    return retag(mpc.add(out, bias if beta == 1 else scaled(bias, beta)), out.dtype)


def _or_public(fn: Any, x: Any, y: Any, like: Any) -> Share:
    """The product of two operands, of which both may be plain beside a secret bias."""
    if isinstance(x, Share) or isinstance(y, Share):
        return fn(x, y)
    plain = torch.matmul(x, y)
    return retag(factor(like, plain), plain.dtype)


@implements(aten.addmm.default)
def addmm(bias: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Share:
    return _plus(bias, _or_public(mm, x, y, bias), beta, alpha)


@implements(aten.baddbmm.default)
def baddbmm(bias: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Share:
    return _plus(bias, _or_public(bmm, x, y, bias), beta, alpha)


@implements(aten.addmv.default)
def addmv(bias: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Share:
    return _plus(bias, _or_public(mv, x, y, bias), beta, alpha)


@implements(aten.addbmm.default)
def addbmm(bias: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Share:
    """beta bias + alpha times the sum of the batch's products."""
    products = _or_public(bmm, x, y, bias)
    return _plus(bias, mpc.total(products, [0]), beta, alpha)


@implements(aten._trilinear.default)
def trilinear(
    x: Any, y: Any, z: Any, new_x: Any, new_y: Any, new_z: Any, summed: Any, unroll: int = 1
) -> Share:
    """sum of x y z over dimensions, each first given new ones of size 1."""
    first = shares_of(x, y, z)[0]
    operands = []
    for value, new in ((x, new_x), (y, new_y), (z, new_z)):
        share = factor(first, value)
        for dim in new:
            share = share.map(lambda part: part.unsqueeze(dim))
        operands.append(share)
    a, b, c = sorted(operands, key=lambda share: share.facts.public is None)
    return mpc.total(product(product(a, b), c), list(summed))


def _column(y: Any) -> Any:
    return y.map(lambda part: part.unsqueeze(1)) if isinstance(y, Share) else y.unsqueeze(1)


def _row(x: Any) -> Any:
    return x.map(lambda part: part.unsqueeze(0)) if isinstance(x, Share) else x.unsqueeze(0)


@implements(aten.mv.default)
def mv(x: Any, y: Any) -> Share:
    if len(y.shape) != 1:
        raise ValueError("vector + matrix @ vector expected")
    return mm(x, _column(y)).map(lambda part: part.squeeze(1))


@implements(aten.dot.default, aten.vdot.default)
def dot(x: Any, y: Any) -> Share:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(x.shape)}D and {len(y.shape)}D tensors"
        )
    return mm(_row(x), _column(y)).map(lambda part: part.reshape(()))


@implements(aten.linear.default)
def linear(x: Any, weight: Any, bias: Any = None) -> Share:
    """x W^T + bias for x of shape (*, in); arrives whole under inference_mode only."""
    like = shares_of(x, weight, bias)[0]
    lead = tuple(x.shape[:-1])
    rows = _reshaped(x, (-1 if x.shape[-1] else 0, x.shape[-1]))
    out = _or_public(mm, rows, _transposed(weight), like)
    if bias is not None:
        out = _plus(bias, out, 1, 1)
    return out.map(lambda part: part.view(*lead, part.shape[-1]))


def _reshaped(x: Any, size: tuple[int, ...]) -> Any:
    return x.map(lambda part: part.reshape(size)) if isinstance(x, Share) else x.reshape(size)


def _transposed(x: Any) -> Any:
    return x.map(lambda part: part.t()) if isinstance(x, Share) else x.t()
