"""What each smooth function must return, on plain numbers (float64): the oracle of the tests.

Beside rounding errors these are the functions of torch, with the documented results where those
have none or where they leave the range of the protocol. Nothing here runs in a protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log as log_of
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMOID_END = 12.0
ERF_END = 3.25
RAMPS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
}


def exp(x: Tensor, unit: int) -> Tensor:
    """0 below 1 unit in the last place, and at rest where the result would outgrow 2^37 / unit."""
    bits = (unit - 1).bit_length()
    highest = 2.0 ** ((16 * 37 - int(16 * log2(unit) + 1)) / 16)
    value = torch.exp(x).clamp(max=highest)
    return torch.where(torch.exp(x) < 2.0**-bits, torch.zeros_like(x), value)


def sigmoid(x: Tensor) -> Tensor:
    """At rest beyond 12."""
    return torch.where(x.abs() > SIGMOID_END, (x > 0).double(), torch.sigmoid(x))


def tanh(x: Tensor) -> Tensor:
    """At rest beyond 6."""
    return 2 * sigmoid(2 * x) - 1


def sqrt(x: Tensor) -> Tensor:
    """0 for x <= 0."""
    return torch.sqrt(x.clamp(min=0))


def rsqrt(x: Tensor) -> Tensor:
    """0 for x <= 0."""
    return torch.where(x > 0, torch.rsqrt(x), torch.zeros_like(x))


def log(x: Tensor, scale: int) -> Tensor:
    """For x <= 0 as for one ring element."""
    return torch.log(x.clamp(min=1 / scale))


def reciprocal(x: Tensor) -> Tensor:
    """0 for |x| < 2^-25."""
    return torch.where(x.abs() < 2.0**-25, torch.zeros_like(x), 1 / x)


def divide(x: Tensor, y: Tensor) -> Tensor:
    """0 for |y| < 2^-28."""
    return torch.where(y.abs() < 2.0**-28, torch.zeros_like(x), x / y)


def softmax(x: Tensor, dim: int) -> Tensor:
    return torch.softmax(x, dim)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    return torch.log_softmax(x, dim)


def logsumexp(x: Tensor, dim: int) -> Tensor:
    return torch.logsumexp(x, dim)


def erf(x: Tensor) -> Tensor:
    """At rest beyond 3.25."""
    return torch.where(x.abs() > ERF_END, x.sign(), torch.erf(x))


def ramp(x: Tensor, name: str) -> Tensor:
    """x above and 0 below the range, within the last place."""
    return RAMPS[name](x)


def sinh(x: Tensor, unit: int) -> Tensor:
    """At rest where e^|x| would outgrow what cosh can hold."""
    return torch.sinh(_held(x, unit))


def cosh(x: Tensor, unit: int) -> Tensor:
    """At rest, as sinh."""
    return torch.cosh(_held(x, unit))


def _held(x: Tensor, unit: int) -> Tensor:
    end = min(16 * 37 - int(16 * log2(unit) + 1), 334) / 16 * log_of(2)
    return x.clamp(-end, end)


def power(x: Tensor, exponent: float, unit: int) -> Tensor:
    """0 for x <= 0; at rest as `exp`."""
    return torch.where(x > 0, exp(torch.log(x.clamp(min=1e-30)) * exponent, unit), 0.0)


def arcsin(x: Tensor) -> Tensor:
    """At rest beyond 1."""
    return torch.asin(x.clamp(-1, 1))


def arccos(x: Tensor) -> Tensor:
    """At rest beyond 1."""
    return torch.acos(x.clamp(-1, 1))
