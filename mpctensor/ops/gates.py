"""Smooth activations that are x above and 0 or an exponential below, and their gradients.

A gradient finds the opening of x and the comparison bits of the forward pass again.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .compare import le
from .operands import as_float, exact, factor, filled, float_dtype, retag, shares_of, term
from .pointwise import product, scaled
from .registry import implements

aten = torch.ops.aten


def _gate(x: Share, name: str) -> Share:
    return retag(mpc.ramp(as_float(x), name, torch.is_grad_enabled()), float_dtype(x))


def _gate_backward(gradient: Any, x: Share, name: str) -> Share:
    slope = retag(mpc.ramp_slope(as_float(x), name), float_dtype(x))
    return mpc.mul(slope, factor(slope, gradient))


def _gelu(approximate: str) -> str:
    return "gelu" if approximate == "none" else "gelu_tanh"


@implements(aten.gelu.default)
def gelu(x: Share, *, approximate: str = "none") -> Share:
    """x times the normal distribution function, or torch's approximation of that by a tanh."""
    return _gate(x, _gelu(approximate))


@implements(aten.gelu_backward.default)
def gelu_backward(gradient: Any, x: Share, *, approximate: str = "none") -> Share:
    return _gate_backward(gradient, x, _gelu(approximate))


@implements(aten.silu.default)
def silu(x: Share) -> Share:
    """x sigmoid(x)."""
    return _gate(x, "silu")


@implements(aten.silu_backward.default)
def silu_backward(gradient: Any, x: Share) -> Share:
    return _gate_backward(gradient, x, "silu")


@implements(aten.mish.default)
def mish(x: Share) -> Share:
    """x tanh(softplus(x))."""
    return _gate(x, "mish")


@implements(aten.mish_backward.default)
def mish_backward(gradient: Any, x: Share) -> Share:
    return _gate_backward(gradient, x, "mish")


# Softplus


def softplus_of(x: Share) -> Share:
    """log(1 + exp(x)), right however large |x| is."""
    return _gate(x, "softplus")


@implements(aten.logaddexp.default)
def logaddexp(x: Any, y: Any) -> Share:
    """log(exp(x) + exp(y)) = y + softplus(x - y)."""
    like = shares_of(x, y)[0]
    x, y = (as_float(term(like, v)) for v in (x, y))
    return mpc.add(y, softplus_of(mpc.sub(x, y)))


@implements(aten.log_sigmoid_forward.default)
def log_sigmoid(x: Share) -> tuple[Share, Share]:
    """(x - softplus(x), what torch keeps for the gradient, here nothing)."""
    x = as_float(x)
    return retag(mpc.sub(x, softplus_of(x)), x.dtype), filled(x, (0,), 0, x.dtype)


@implements(aten.log_sigmoid_backward.default)
def log_sigmoid_backward(gradient: Any, x: Share, buffer: Any) -> Share:
    """g (1 - sigmoid(x))."""
    falling = mpc.sub(filled(x, (), 1, x.dtype), mpc.ramp_slope(x, "softplus"))
    return mpc.mul(falling, factor(falling, gradient))


STEEP = 12  # beyond it softplus is x, and its gradient 1, to the last place


@implements(aten.softplus.default)
def softplus(x: Share, beta: Any = 1, threshold: Any = 20) -> Share:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    steep = _times(as_float(x), exact(beta))
    out = softplus_of(steep)
    if threshold < STEEP:
        out = mpc.add(steep, product(le(steep, threshold), mpc.sub(out, steep)))
    return retag(scaled(out, 1 / exact(beta)), float_dtype(x))


@implements(aten.softplus_backward.default)
def softplus_backward(gradient: Any, x: Share, beta: Any, threshold: Any) -> Share:
    """g sigmoid(beta x); g where beta x > threshold."""
    steep = _times(x, exact(beta))
    slope = mpc.ramp_slope(steep, "softplus")
    if threshold < STEEP:
        one = filled(slope, (), 1, slope.dtype)
        slope = mpc.sub(one, product(le(steep, threshold), mpc.sub(one, slope)))
    return product(slope, factor(slope, gradient))


# Exponential linear units


@implements(aten.elu.default)
def elu(x: Share, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Share:
    """scale x above 0, scale alpha (exp(input_scale x) - 1) below."""
    alpha, scale, steepness = _checked(alpha, scale, input_scale)
    steep = _times(as_float(x), steepness)
    low, above = mpc.exp_and_relu(steep, torch.is_grad_enabled())
    falling = mpc.sub(low, filled(low, (), 1, low.dtype))
    out = mpc.add(_times(above, scale / steepness), _times(falling, scale * alpha))
    return retag(out, float_dtype(x))


@implements(aten.celu.default)
def celu(x: Share, alpha: Any = 1) -> Share:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    return elu(x, alpha, 1, 1 / exact(alpha) if alpha else alpha)


@implements(aten.elu_backward.default)
def elu_backward(
    gradient: Any, alpha: Any, scale: Any, input_scale: Any, is_result: bool, given: Share
) -> Share:
    """scale above 0; below, the product of all scales and exp(input_scale x).

    given: x, or where `is_result` elu(x), which is that exponential but for constants.
    """
    alpha, scale, steepness = _checked(alpha, scale, input_scale)
    if is_result:
        above, bit = mpc.relu(given, fuse=False)
        low = _times(mpc.sub(given, above), steepness)
        low = mpc.add(low, filled(low, (), float(scale * alpha * steepness), low.dtype))
    else:
        low, bit = mpc.exp_and_sign(_times(given, steepness))
        low = _times(low, scale * alpha * steepness)
    slope = mpc.add(low, _times(bit, scale - scale * alpha * steepness))
    return retag(mpc.mul(slope, factor(slope, gradient)), given.dtype)


def _checked(alpha: Any, scale: Any, input_scale: Any) -> tuple[Fraction, Fraction, Fraction]:
    if input_scale <= 0:
        raise NotImplementedError(f"a slope of {input_scale} below 0: use a positive alpha")
    return exact(alpha), exact(scale), exact(input_scale)


def _times(x: Share, number: Fraction) -> Share:
    """x times a public number; x itself where that is 1, so that its opening is found again."""
    return x if number == 1 else mpc.scaled(x, number)
