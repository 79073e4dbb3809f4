"""Smooth functions: each from one opening of its argument, with dealt functions of the mask.

No Taylor series, no repeated squaring, no Newton iteration: exponentials and circular functions
split into a public and a dealt factor, and everything else is a short sum of them. docs/numerics.md
has the table of domains, errors and costs; plaintext.py states what each function must return.
"""

from .angles import arccos, arcsin, arctan, arctan2
from .circular import cos, sin, tan
from .curves import erf, ramp, ramp_slope, sigmoid, tanh
from .exponential import cosh, exp, exp_and_relu, exp_and_sign, exp_nonpositive, sinh
from .fine import mul_bounded, mul_finely
from .power import fine_log, power, raised
from .reciprocal import divide, log, reciprocal, rsqrt, sqrt
from .softmax import log_softmax, logsumexp, softmax, softmax_and_log
from .tables import octave

__all__ = [
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "cos",
    "cosh",
    "divide",
    "erf",
    "exp",
    "exp_and_relu",
    "exp_and_sign",
    "exp_nonpositive",
    "fine_log",
    "log",
    "log_softmax",
    "logsumexp",
    "mul_bounded",
    "mul_finely",
    "octave",
    "power",
    "raised",
    "ramp",
    "ramp_slope",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "softmax",
    "softmax_and_log",
    "sqrt",
    "tan",
    "tanh",
]
