"""Smooth functions: each from one opening of its argument, with dealt functions of the mask.

No Taylor series, no repeated squaring, no Newton iteration: exponentials and circular functions
split into a public and a dealt factor, and everything else is a short sum of them. docs/numerics.md
has the table of domains, errors and costs; plaintext.py states what each function must return.
"""

from .exponential import exp, exp_nonpositive
from .reciprocal import divide, log, reciprocal, rsqrt, sqrt
from .sigmoid import sigmoid, tanh
from .softmax import log_softmax, softmax, softmax_and_log

__all__ = [
    "divide",
    "exp",
    "exp_nonpositive",
    "log",
    "log_softmax",
    "reciprocal",
    "rsqrt",
    "sigmoid",
    "softmax",
    "softmax_and_log",
    "sqrt",
    "tanh",
]
