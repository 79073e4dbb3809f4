"""Torch functions that are caught whole, above autograd: see `ops.registry.FRONT`.

A function is caught here only where its pieces would index with a secret, repeat a comparison, or
show a value; everything else is an aten op in `ops`.
"""

from . import (
    adafactor,
    attention,
    bags,
    curves,
    distances,
    encoder,
    finite,
    in_place,
    losses,
    margins,
    maxima,
    optimizers,
    order,
    packing,
    pairs,
    pieces,
    positions,
    recurrent,
    refusals,
    running,
    search,
    sequences,
    weights,
)

__all__ = [
    "adafactor",
    "attention",
    "bags",
    "curves",
    "distances",
    "encoder",
    "finite",
    "in_place",
    "losses",
    "margins",
    "maxima",
    "optimizers",
    "order",
    "packing",
    "pairs",
    "pieces",
    "positions",
    "recurrent",
    "refusals",
    "running",
    "search",
    "sequences",
    "weights",
]
