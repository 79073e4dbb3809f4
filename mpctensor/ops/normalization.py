"""Batch and layer normalization: the normalised value is kept for the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

import torch

from .. import protocols as mpc
from ..errors import SecretLeakError
from ..share import Share
from .creation import write
from .norms import vector_norm
from .operands import exact, factor, retag, shares_of, term
from .pointwise import div, mul, scaled, sub
from .reduce import moments
from .registry import implements

aten = torch.ops.aten

NORMALISED = "normalised"


def _inverse_deviation(variance: Share, eps: float) -> Share:
    return mpc.rsqrt(retag(mpc.add(variance, term(variance, eps)), variance.dtype))


def _column(value: Any, n: int) -> Any:
    """A per-channel value, shaped to go with (N, C, *) of n dimensions."""
    shape = (1, -1, *[1] * (n - 2))
    if isinstance(value, Share):
        return value.map(lambda part: part.view(shape))
    return value.view(shape)


def _affine(x: Share, weight: Any, bias: Any) -> Share:
    """x weight + bias, the bias at the scale of the product."""
    out = x if weight is None else retag(mpc.mul(x, factor(x, weight)), x.dtype)
    return out if bias is None else retag(mpc.add(out, term(out, bias)), x.dtype)


def _track(running: Any, value: Share, momentum: float) -> None:
    """running = (1 - momentum) running + momentum value, in place."""
    if running is None:
        return
    if not isinstance(running, Share):
        raise SecretLeakError(
            "batch_norm would write secret statistics into a plain running mean or variance:"
            " encrypt the module (mpctensor.encrypt(model)), or call eval() on it"
        )
    value = value.map(lambda part: part.reshape(running.shape))
    write(running, mpc.add(scaled(running, 1 - exact(momentum)), scaled(value, exact(momentum))))


@implements(aten.native_batch_norm.default, aten._native_batch_norm_legit.default)
def native_batch_norm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Share, Share, Share]:
    """(out, mean, 1 / deviation); both statistics of shape (C), empty when not training."""
    like = shares_of(x, weight, bias, running_mean, running_var)[0]
    x, n = term(like, x), len(x.shape)
    weight, bias = (None if v is None else _column(v, n) for v in (weight, bias))
    if not training:
        inverse = _public_or_secret_inverse(running_var, eps, x)
        centred = mpc.sub(x, term(x, _column(running_mean, n)))
        out = _affine(_by(centred, _column(inverse, n)), weight, bias)
        empty = x.map(lambda part: part.new_zeros(0))
        return retag(out, x.dtype), empty, empty
    dims = [d for d in range(n) if d != 1]
    mean, variance, centred = moments(x, dims, 0)
    inverse = _inverse_deviation(variance, eps)
    normal = mpc.mul_bounded(centred, inverse)
    count = prod(x.shape[d] for d in dims)
    _track(running_mean, mean, momentum)
    _track(running_var, scaled(variance, Fraction(count, max(count - 1, 1))), momentum)
    flat_mean, flat_inverse = (s.map(lambda part: part.reshape(-1)) for s in (mean, inverse))
    flat_inverse.facts.derived[NORMALISED] = normal
    return retag(_affine(normal, weight, bias), x.dtype), flat_mean, flat_inverse


def _public_or_secret_inverse(variance: Any, eps: float, like: Share) -> Any:
    if isinstance(variance, Share):
        return _inverse_deviation(variance, eps)
    return (variance.to(torch.float64) + eps).rsqrt()


@implements(aten.native_batch_norm_backward.default)
def native_batch_norm_backward(
    gradient: Any,
    x: Any,
    weight: Any,
    running_mean: Any,
    running_var: Any,
    mean: Share,
    inverse: Share,
    training: bool,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Share | None, Share | None, Share | None]:
    """Gradients in x, weight and bias.

    Training: inverse / n * (n g - sum g - normal sum(g normal)) for g = gradient * weight.
    """
    like = shares_of(gradient, x, weight)[0]
    n = len(x.shape)
    dims = [d for d in range(n) if d != 1]
    gradient = factor(like, gradient)
    if not training:
        inverse = _public_or_secret_inverse(running_var, eps, like)
        centred = mpc.sub(term(like, x), term(like, _column(running_mean, n)))
        normal = _by(centred, _column(inverse, n))
    else:
        kept = inverse.facts.derived.get(NORMALISED)
        normal = kept or mpc.mul_bounded(mpc.sub(x, _column(mean, n)), _column(inverse, n))
    to_bias = mpc.total(gradient, dims, True)
    to_weight = mpc.total(mpc.mul(gradient, normal), dims, True)
    to_x = gradient
    if training:
        count = Fraction(1, prod(x.shape[d] for d in dims))
        pull = mpc.add(scaled(to_bias, count), scaled(mpc.mul(normal, to_weight), count))
        to_x = mpc.sub(gradient, pull)
    column = _column(inverse, n)
    slope = column if weight is None else _slope(column, _column(weight, n))
    flat = [s.map(lambda part: part.reshape(-1)) for s in (to_weight, to_bias)]
    return (
        retag(_by(to_x, slope), gradient.dtype) if wanted[0] else None,
        flat[0] if wanted[1] else None,
        flat[1] if wanted[2] else None,
    )


def _slope(inverse: Any, weight: Any) -> Any:
    """inverse weight per channel, secret or plain."""
    return _by(weight, inverse) if shares_of(inverse, weight) else inverse * weight


def _by(x: Any, inverse: Any) -> Share:
    """x times inverse deviations, secret (all of their digits count) or plain."""
    return (
        mpc.mul_finely(factor(inverse, x), inverse)
        if isinstance(inverse, Share)
        else mul(x, inverse)
    )


@implements(aten.native_layer_norm.default)
def native_layer_norm(
    x: Any, size: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Share, Share, Share]:
    like = shares_of(x, weight, bias)[0]
    x = term(like, x)
    n = len(x.shape)
    dims = list(range(n - len(size), n))
    if tuple(x.shape[n - len(size) :]) != tuple(size):
        raise ValueError(f"normalized_shape {list(size)} and input of size {list(x.shape)}")
    mean, variance, centred = moments(x, dims, 0)
    inverse = _inverse_deviation(variance, eps)
    normal = mpc.mul_bounded(centred, inverse)
    inverse.facts.derived[NORMALISED] = normal
    return retag(_affine(normal, weight, bias), x.dtype), mean, inverse


@implements(aten.native_layer_norm_backward.default)
def native_layer_norm_backward(
    gradient: Any,
    x: Any,
    size: Sequence[int],
    mean: Share,
    inverse: Share,
    weight: Any,
    bias: Any,
    wanted: Sequence[bool],
) -> tuple[Share | None, Share | None, Share | None]:
    like = shares_of(gradient, x, weight, inverse)[0]
    gradient = factor(like, gradient)
    n = len(x.shape)
    inner = list(range(n - len(size), n))
    outer = list(range(n - len(size)))
    kept = inverse.facts.derived.get(NORMALISED)
    normal = kept or mpc.mul_bounded(mpc.sub(x, mean), inverse)
    to_x = to_weight = to_bias = None
    if wanted[0]:
        g = gradient if weight is None else mpc.mul(gradient, factor(like, weight))
        to_x = retag(_to_input(g, normal, inverse, inner), gradient.dtype)
    if wanted[1]:
        to_weight = mpc.total(mpc.mul(gradient, normal), outer)
    if wanted[2]:
        to_bias = mpc.total(gradient, outer)
    return to_x, to_weight, to_bias


def _to_input(g: Share, normal: Share, inverse: Share, dims: Sequence[int]) -> Share:
    """inverse (g - mean g - normal mean(g normal)), the means over dims."""
    count = Fraction(1, prod(normal.shape[d] for d in dims))
    along = scaled(mpc.total(mpc.mul(g, normal), dims, True), count)
    pull = mpc.add(scaled(mpc.total(g, dims, True), count), mpc.mul(normal, along))
    return mpc.mul_finely(mpc.sub(g, pull), inverse)


@implements(aten.native_group_norm.default)
def native_group_norm(
    x: Any, weight: Any, bias: Any, n: int, c: int, numel: int, groups: int, eps: float
) -> tuple[Share, Share, Share]:
    """(out, mean, 1 / deviation); both statistics of shape (N, groups)."""
    x = term(shares_of(x, weight, bias)[0], x)
    mean, variance, centred = moments(_grouped(x, groups), [2], 0)
    inverse = _inverse_deviation(variance, eps)
    normal = mpc.mul_bounded(centred, inverse)
    mean, flat_inverse = (s.map(lambda part: part.reshape(n, groups)) for s in (mean, inverse))
    flat_inverse.facts.derived[NORMALISED] = normal
    weight, bias = (None if v is None else _column(v, len(x.shape)) for v in (weight, bias))
    out = _affine(normal.map(lambda part: part.view(x.shape)), weight, bias)
    return retag(out, x.dtype), mean, flat_inverse


@implements(aten.native_group_norm_backward.default)
def native_group_norm_backward(
    gradient: Any,
    x: Any,
    mean: Share,
    inverse: Share,
    weight: Any,
    n: int,
    c: int,
    numel: int,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Share | None, Share | None, Share | None]:
    gradient = factor(inverse, gradient)
    column, middle = (s.map(lambda part: part.unsqueeze(-1)) for s in (inverse, mean))
    kept = inverse.facts.derived.get(NORMALISED)
    normal = kept or mpc.mul_bounded(mpc.sub(_grouped(x, groups), middle), column)
    to_x = to_weight = to_bias = None
    dims = [d for d in range(len(gradient.shape)) if d != 1]
    if wanted[0]:
        g = gradient
        if weight is not None:
            g = mpc.mul(g, factor(inverse, _column(weight, len(gradient.shape))))
        to_x = _to_input(_grouped(g, groups), normal, column, [2])
        to_x = retag(to_x.map(lambda part: part.view(gradient.shape)), gradient.dtype)
    if wanted[1]:
        by_channel = normal.map(lambda part: part.view(gradient.shape))
        to_weight = mpc.total(mpc.mul(gradient, by_channel), dims)
    if wanted[2]:
        to_bias = mpc.total(gradient, dims)
    return to_x, to_weight, to_bias


def _grouped(x: Share, groups: int) -> Share:
    """(N, C, *) as (N, groups, all of a group)."""
    size = (x.shape[0], groups, prod(x.shape[1:]) // groups)
    return x.map(lambda part: part.reshape(size))


@implements(aten._weight_norm_interface.default)
def weight_norm(v: Share, g: Share, dim: int = 0) -> tuple[Share, Share]:
    """(g v / |v|, |v|), where |v| is the norm over all dimensions but `dim`."""
    norms = vector_norm(v, 2, _all_but(v, dim), True)
    return mul(v, div(g, norms)), norms


@implements(aten._weight_norm_interface_backward.default)
def weight_norm_backward(
    gradient: Any, v: Share, g: Share, norms: Share, dim: int
) -> tuple[Share, Share]:
    """g / |v| (gradient - v s / |v|^2) and s / |v|, where s is the sum of v times the gradient."""
    along = div(mpc.total(mul(v, gradient), _all_but(v, dim), True), norms)
    direction = sub(gradient, mul(v, div(along, norms)))
    return mul(div(g, norms), direction), along


def _all_but(v: Share, dim: int) -> list[int]:
    return [d for d in range(v.here.dim()) if d != dim % v.here.dim()]
