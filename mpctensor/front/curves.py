"""Curves whose gradients torch takes by formulas that leave the ring or lose digits.

exp2, erf, erfc, atan: at large x. Powers: p x^(p - 1) multiplies rounding by p. abs: torch's second
gradient is a plain tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor

from ..ops.compare import absolute_with_sign
from ..ops.operands import exact, is_number
from ..ops.power import MOST_SQUARED, multiple_of_power
from ..ops.registry import front
from ..tensor import SharedTensor, wrap

ERF_RESTS = 4.0  # where the slope exp(-x^2) is less than half a unit in the last place
ATAN_RESTS = 2.0**14  # where 1 / (1 + x^2) is less than 2^-28


class _Curve(torch.autograd.Function):
    """function(x), whose gradient is pull(gradient, x)."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: Callable[..., Any], pull: Callable[..., Any]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.pull = pull
        return function(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        return ctx.pull(gradients[0], x), None, None


@front(torch.exp2, Tensor.exp2, torch.special.exp2)
def exp2(input: Any) -> Any:
    """2 ** x, whose gradient is grad * (result * log 2): grad * result * log 2 has no room."""
    return 2.0**input


def _erf_pull(gradient: Any, x: Any) -> Any:
    """The slope exp(-x^2) 2 / sqrt(pi), at x held within 4: x^2 may not fit."""
    held = x.clamp(-ERF_RESTS, ERF_RESTS)
    return gradient * (held.square().neg().exp() * (2 / sqrt(pi)))


@front(torch.erf, Tensor.erf, torch.special.erf)
def erf(input: Any) -> Any:
    """The error function."""
    return _Curve.apply(input, torch.erf, _erf_pull)


@front(torch.erfc, Tensor.erfc, torch.special.erfc)
def erfc(input: Any) -> Any:
    """1 - erf(x): exactly 0 from 3.25 on."""
    return 1 - erf(input)


def _atan_pull(gradient: Any, x: Any) -> Any:
    """The slope 1 / (1 + x^2), at x held within 2^14: x^2 may not fit."""
    return gradient / (x.clamp(-ATAN_RESTS, ATAN_RESTS).square() + 1)


@front(torch.atan, torch.arctan, Tensor.atan, Tensor.arctan)
def atan(input: Any) -> Any:
    """The angle whose tangent is x."""
    return _Curve.apply(input, torch.atan, _atan_pull)


@front(torch.logit, Tensor.logit, torch.special.logit)
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)); without eps, torch's gradient of the gradient has nan beyond 0 and 1."""
    if eps is not None or not needs_gradient(input):
        return torch.logit(input, eps)
    return _Curve.apply(input, torch.logit, lambda gradient, x: gradient / (x - x.square()))


def _with_sign(x: Any) -> Tensor:
    share = x._share
    with share.session.operation("abs"):
        return wrap(absolute_with_sign(share))


@front(torch.abs, torch.absolute, Tensor.abs, Tensor.absolute, Tensor.__abs__)
def absolute(input: Any) -> Any:
    """|x|, whose slope is the sign that the forward pass found with it."""
    if not needs_gradient(input):
        return torch.abs(input)
    return _Curve.apply(input, _with_sign, lambda gradient, x: gradient * torch.sign(x))


class _Power(torch.autograd.Function):
    """factor x^p, whose gradient is such a power too: no rounding is multiplied by p."""

    @staticmethod
    def forward(ctx: Any, x: Any, exponent: float, factor: Fraction) -> Tensor:
        ctx.save_for_backward(x)
        ctx.exponent, ctx.factor = exponent, factor
        share = x._share
        with share.session.operation("pow"):
            return wrap(multiple_of_power(share, exponent, factor))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        slope = _Power.apply(x, ctx.exponent - 1, ctx.factor * exact(ctx.exponent))
        return gradients[0] * slope, None, None


@front(torch.pow, Tensor.pow, Tensor.__pow__)
def power(input: Any, exponent: Any) -> Any:
    """x ** p."""
    whole = is_number(exponent) and float(exponent).is_integer() and 0 <= exponent <= MOST_SQUARED
    if not is_number(exponent) or whole or not needs_gradient(input):
        return torch.pow(input, exponent)
    return _Power.apply(input, float(exponent), Fraction(1))


def needs_gradient(x: Any) -> bool:
    """Whether autograd records what is made of x."""
    return torch.is_grad_enabled() and isinstance(x, SharedTensor) and x.requires_grad
