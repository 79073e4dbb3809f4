"""What each aten overload means on shares: one file a family, found by grepping the aten name.

A handler is a function of Shares, plain tensors and numbers, entered by `@implements`.
"""

from . import (
    activation,
    combinations,
    compare,
    convolution,
    creation,
    ctc,
    gates,
    indexing,
    layout,
    linear,
    loss,
    normalization,
    norms,
    pointwise,
    pooling,
    power,
    reduce,
    refusals,
    resize,
    rounding,
    scatter,
    smooth,
)

__all__ = [
    "activation",
    "combinations",
    "compare",
    "convolution",
    "creation",
    "ctc",
    "gates",
    "indexing",
    "layout",
    "linear",
    "loss",
    "normalization",
    "norms",
    "pointwise",
    "pooling",
    "power",
    "reduce",
    "refusals",
    "resize",
    "rounding",
    "scatter",
    "smooth",
]
