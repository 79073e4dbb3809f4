"""Products of shares: every bilinear map from one masked opening of each operand.

With c_x = x + r_x and c_y = y + r_y public and [r_x r_y] dealt, party i holds
    [x y]_i = c_x [y]_i - [r_x]_i c_y + [r_x r_y]_i.
An operand that is open already (a weight used forward and backward, a batch seen before) is not
opened again: 1 round at most, 64 bits sent per newly opened element, 64 bits dealt per result
element. The result stays at the product of both scales; whoever needs room truncates it.
Source: Beaver, "Efficient multiparty protocols using circuit randomization", CRYPTO 1991 [Bea91].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import kernels
from ..provider import bilinear, product_size
from ..share import Share
from .opening import Masked, masked, masks, same_session
from .scales import product_operands, rescale, with_headroom


def mul(x: Share, y: Share, fits: bool = False) -> Share:
    """Element-wise product, broadcasting. fits: neither operand needs a truncation."""
    same_session(x, y)
    if x.shape != y.shape and (x.public is None) and (y.public is None):
        x, y = expanded(x, y)
    return _product("mul", (), x, y, fits)


def expanded(x: Share, y: Share) -> tuple[Share, Share]:
    """Both operands as views of their common shape."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    return x.map(lambda part: part.expand(shape)), y.map(lambda part: part.expand(shape))


def matmul(x: Share, y: Share) -> Share:
    """Matrix product of (*B, M, K) and (*B, K, N), batch dimensions broadcasting."""
    same_session(x, y)
    if x.shape[:-2] != y.shape[:-2]:
        batch = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        x = x.map(lambda part: part.expand(*batch, *part.shape[-2:]))
        y = y.map(lambda part: part.expand(*batch, *part.shape[-2:]))
    return _product("matmul", (), x, y)


Ints = Sequence[int]


def conv(x: Share, w: Share, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Share:
    """Convolution of x (N, C, *S) with w (O, C/groups, *K)."""
    return _product("conv", (tuple(stride), tuple(padding), tuple(dilation), groups), x, w)


def conv_input(
    g: Share, w: Share, input_size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Share:
    """The gradient of `conv` in x, from the gradient g of its result."""
    options = (tuple(stride), tuple(padding), tuple(dilation), groups, tuple(input_size))
    return _product("conv_input", options, g, w)


def conv_weight(
    x: Share, g: Share, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Share:
    """The gradient of `conv` in w, from the gradient g of its result."""
    options = (tuple(stride), tuple(padding), tuple(dilation), groups, tuple(kernel_size))
    return _product("conv_weight", options, x, g)


SPARE_BITS = 2  # by which x may be finer than its unit where its square is kept finely


def fine_square(x: Share) -> Share:
    """x * x for |x| < 2^13, to be added up to a mean of squares."""
    out = square(rescale(x, min(x.scale, x.unit << SPARE_BITS)), fits=True)
    out.facts.fine = True
    return out


def square(x: Share, fits: bool = False) -> Share:
    """x * x from one opening. fits: x needs no truncation."""
    if not fits:
        (x, _) = product_operands(x, x)
    session = same_session(x)
    scale = x.scale * x.scale
    if x.public is not None:
        return _public_product("mul", (), x, x)
    dealt = session.deal("square", masks(x))
    m = masked(x)[0]
    c = m.c.contiguous()

    def finish(p: int, _: Tensor) -> Tensor:
        r = m.mask_part(p).contiguous()
        return kernels.square_share(c, r, dealt.part(p, 0), p == session.first)

    return Share.make(session, x.each(finish), x.dtype, scale, x.unit)


def _product(name: str, params: Sequence[Any], x: Share, y: Share, fits: bool = False) -> Share:
    """1. truncate operands that have no room. 2. open what is new. 3. combine with [r_x r_y]."""
    session = same_session(x, y)
    dtype = torch.promote_types(x.dtype, y.dtype)
    if not fits:
        x, y = product_operands(x, y)
    if x.public is not None or y.public is not None:
        return _public_product(name, params, x, y)
    size = product_size(name, params, x.shape, y.shape)
    dealt = session.deal("product", masks(x, y), [name, *params, size])
    mx, my = masked(x, y)
    combine = _combine_mul if name == "mul" else _combine_bilinear

    def finish(p: int, _: Tensor) -> Tensor:
        return combine(name, params, mx, my, p, dealt.part(p, 0))

    return Share.make(session, x.each(finish), dtype, x.scale * y.scale, max(x.unit, y.unit))


def _public_product(name: str, params: Sequence[Any], x: Share, y: Share) -> Share:
    """One operand is known to all: every party multiplies its own part, nothing is sent."""
    session = same_session(x, y)
    dtype = torch.promote_types(x.dtype, y.dtype)
    fx, fy = x.public, y.public
    fn: Callable[[Tensor, Tensor], Tensor] = lambda a, b: bilinear(name, params, a, b)  # noqa: E731
    known = None
    if fx is not None and fy is not None:
        known = fn(fx, fy)
    if fy is not None:
        parts = x.each(lambda _, part: fn(part, fy))
    else:
        parts = y.each(lambda _, part: fn(fx, part))  # type: ignore[arg-type]
    shown = min(x.shown, y.shown)  # public factors have no digits to hide
    scale, unit = x.scale * y.scale, max(x.unit, y.unit)
    return with_headroom(Share.make(session, parts, dtype, scale, unit, known, shown))


def _combine_mul(name: str, params: Any, x: Masked, y: Masked, p: int, z: Tensor) -> Tensor:
    own, r = y.share.parts[p].contiguous(), x.mask_part(p).contiguous()
    return kernels.product_share(x.c.contiguous(), own, r, y.c.contiguous(), z)


def _combine_bilinear(name: str, params: Any, x: Masked, y: Masked, p: int, z: Tensor) -> Tensor:
    bilinear(name, params, x.c, y.share.parts[p], out=z, accumulate=True)
    return bilinear(name, params, x.mask_part(p), y.c, out=z, accumulate=True, negate=True)
