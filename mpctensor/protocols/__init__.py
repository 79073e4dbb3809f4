"""Verbs on shares. Each states its rounds, bytes and source; each runs the steps of the parties
that live in this process, opens through the session's transport and asks its provider.

Adversary: passive; any n - 1 parties together learn nothing beyond what is decrypted; the provider
sees requests only and colludes with no party.
"""

from .bits import bit_mul, both, differ, either, invert, select
from .linear import (
    add,
    add_scalar,
    align,
    concatenate,
    constant,
    fit,
    neg,
    rescale,
    scaled,
    store,
    sub,
    total,
)
from .maximum import Path, max_along, min_along
from .opening import masked, reveal, reveal_value, same_session
from .product import conv, conv_input, conv_weight, matmul, mul, square
from .rectify import (
    absolute,
    clamp,
    equal,
    less_than,
    maximum,
    minimum,
    negative,
    nonnegative,
    positive,
    relu,
    sign,
)
from .truncation import truncate

__all__ = [
    "Path",
    "absolute",
    "add",
    "add_scalar",
    "align",
    "bit_mul",
    "both",
    "clamp",
    "concatenate",
    "constant",
    "conv",
    "conv_input",
    "conv_weight",
    "differ",
    "either",
    "equal",
    "fit",
    "invert",
    "less_than",
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
    "positive",
    "relu",
    "rescale",
    "reveal",
    "reveal_value",
    "same_session",
    "scaled",
    "select",
    "sign",
    "square",
    "store",
    "sub",
    "total",
    "truncate",
]
