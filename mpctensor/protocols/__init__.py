"""Verbs on shares. Each states its rounds, bytes and source; each runs the steps of the parties
that live in this process, opens through the session's transport and asks its provider.

Adversary: passive; any n - 1 parties together learn nothing beyond what is decrypted; the provider
sees requests only and colludes with no party.
"""

from .agreement import Agreement
from .announcement import announce
from .bits import bit_mul, both, differ, duplicate, either, invert, select
from .buckets import count_reached
from .linear import (
    add,
    add_scalar,
    align,
    concatenate,
    constant,
    fit,
    neg,
    relabelled,
    rescale,
    scaled,
    store,
    sub,
    total,
)
from .maximum import Path, max_along, min_along
from .one_hot import OneHot, one_hot
from .opening import masked, same_session
from .order import Selection, ordered
from .product import conv, conv_input, conv_weight, matmul, mul, square
from .rectify import (
    absolute,
    bounded,
    clamp,
    equal,
    less_than,
    magnitude,
    maximum,
    minimum,
    negative,
    nonnegative,
    positive,
    relu,
    sign,
)
from .reveal import reveal, reveal_value
from .rounding import ceil, floor, trunc
from .running import Prefixes, running
from .smooth import (
    divide,
    exp,
    exp_nonpositive,
    log,
    log_softmax,
    reciprocal,
    rsqrt,
    sigmoid,
    softmax,
    softmax_and_log,
    sqrt,
    tanh,
)
from .truncation import truncate

__all__ = [
    "Agreement",
    "OneHot",
    "Path",
    "Prefixes",
    "Selection",
    "absolute",
    "add",
    "add_scalar",
    "align",
    "announce",
    "bit_mul",
    "both",
    "bounded",
    "ceil",
    "clamp",
    "concatenate",
    "constant",
    "conv",
    "conv_input",
    "conv_weight",
    "count_reached",
    "differ",
    "divide",
    "duplicate",
    "either",
    "equal",
    "exp",
    "exp_nonpositive",
    "fit",
    "floor",
    "invert",
    "less_than",
    "log",
    "log_softmax",
    "magnitude",
    "masked",
    "matmul",
    "max_along",
    "maximum",
    "min_along",
    "minimum",
    "mul",
    "neg",
    "negative",
    "nonnegative",
    "one_hot",
    "ordered",
    "positive",
    "reciprocal",
    "relabelled",
    "relu",
    "rescale",
    "reveal",
    "reveal_value",
    "rsqrt",
    "running",
    "same_session",
    "scaled",
    "select",
    "sigmoid",
    "sign",
    "softmax",
    "softmax_and_log",
    "sqrt",
    "square",
    "store",
    "sub",
    "tanh",
    "total",
    "trunc",
    "truncate",
]
