"""exp2, erf, erfc, atan: torch's formulas of their gradients leave the ring for large x."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor

from ..ops.registry import front

ERF_RESTS = 4.0  # where the slope exp(-x^2) is less than half a unit in the last place
ATAN_RESTS = 2.0**14  # where 1 / (1 + x^2) is less than 2^-28


@front(torch.exp2, torch.Tensor.exp2, torch.special.exp2)
def exp2(input: Any, *, out: Any = None) -> Any:
    """2 ** x, whose gradient is grad * (result * log 2): grad * result * log 2 has no room."""
    return 2.0**input if out is None else torch.exp2(input, out=out)


class _Erf(torch.autograd.Function):
    """erf, whose slope exp(-x^2) 2 / sqrt(pi) is taken at x held within 4: x^2 may not fit."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        ctx.save_for_backward(x)
        return torch.erf(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        held = x.clamp(-ERF_RESTS, ERF_RESTS)
        return gradients[0] * (held.square().neg().exp() * (2 / sqrt(pi)))


@front(torch.erf, torch.Tensor.erf, torch.special.erf)
def erf(input: Any, *, out: Any = None) -> Any:
    """The error function."""
    return _Erf.apply(input) if out is None else torch.erf(input, out=out)


@front(torch.erfc, torch.Tensor.erfc, torch.special.erfc)
def erfc(input: Any, *, out: Any = None) -> Any:
    """1 - erf(x): exactly 0 from 3.25 on."""
    return 1 - _Erf.apply(input) if out is None else torch.erfc(input, out=out)


class _Atan(torch.autograd.Function):
    """atan, whose slope 1 / (1 + x^2) is taken at x held within 2^14: x^2 may not fit."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        ctx.save_for_backward(x)
        return torch.atan(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradients[0] / (x.clamp(-ATAN_RESTS, ATAN_RESTS).square() + 1)


@front(torch.atan, torch.arctan, torch.Tensor.atan, torch.Tensor.arctan)
def atan(input: Any, *, out: Any = None) -> Any:
    """The angle whose tangent is x."""
    return _Atan.apply(input) if out is None else torch.atan(input, out=out)
