"""What parties ask of the provider: an operation, its number, shapes and mask ids; never data.

A request has one canonical form (JSON, sorted, no white space) and its hash keys all output shares
of the operation, so two different requests under one number cannot share a mask. `layout` states,
from the request alone, what will be dealt; provider and parties compute it alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import prod
from typing import Any, Literal

from .. import kernels


@dataclass(frozen=True)
class MaskView:
    """A view of the mask with this id, as torch views a flat tensor of `numel` elements."""

    id: int
    numel: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def canonical(self) -> list[Any]:
        return ["mask", self.id, self.numel, self.size, self.stride, self.offset]


@dataclass(frozen=True)
class BitView:
    """A view of the bits beta that mask threshold `threshold` of the comparison `source`."""

    source: Request
    threshold: int
    numel: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def canonical(self) -> list[Any]:
        view = [self.numel, self.size, self.stride, self.offset]
        return ["bits", self.source.canonical, self.threshold, *view]


Operand = MaskView | BitView


@dataclass(frozen=True)
class Item:
    """One dealt value: additive int64 words of `size`, or a bundle of `planes` bit planes.

    bits: what of it must reach the last party. stream: the PRG stream of the other parties' share.
    """

    kind: Literal["add", "xor"]
    size: tuple[int, ...]
    bits: int
    stream: int


@dataclass(frozen=True)
class Request:
    """One operation's correlated randomness. params: integers and strings only."""

    op: str
    number: int
    operands: tuple[Operand, ...]
    params: tuple[Any, ...] = ()

    @cached_property
    def canonical(self) -> list[Any]:
        return [self.op, self.number, [o.canonical for o in self.operands], self.params]

    @cached_property
    def text(self) -> bytes:
        """The canonical form as it is sent and hashed."""
        return json.dumps(self.canonical, separators=(",", ":")).encode()

    @cached_property
    def digest(self) -> bytes:
        return blake2b(self.text, digest_size=32).digest()

    @cached_property
    def layout(self) -> tuple[Item, ...]:
        """What is dealt, in order."""
        return LAYOUTS[self.op](self)

    @property
    def dealt_bytes(self) -> int:
        return -(-sum(item.bits for item in self.layout) // 8)


# How each kind of comparison cuts numbers into digits; the wide ones save a round.
DIGITS = {
    "less_than": kernels.LESS,
    "equal": kernels.EQUAL,
    "less_than_wide": kernels.LESS_WIDE,
    "equal_wide": kernels.EQUAL_WIDE,
}

# Streams of a comparison under its operation key: the rows, then a block for each threshold, in it
# masks and monomials merge by merge (the second pair stays unused where there is one merge only).
ROWS = 0
BLOCK = 16
MASKS_1, MONOMIALS_1, MASKS_2, MONOMIALS_2, BETA, VALUES = range(6)
MASKS, MONOMIALS = (MASKS_1, MASKS_2), (MONOMIALS_1, MONOMIALS_2)


def threshold_stream(threshold: int, which: int) -> int:
    """Stream `which` of the block that belongs to a threshold."""
    return 1 + BLOCK * threshold + which


def _elements(request: Request) -> int:
    return prod(request.operands[0].size)


def _words(size: tuple[int, ...], stream: int, bits: int = 64) -> Item:
    return Item("add", size, bits * prod(size), stream)


def _bundle(planes: int, n: int, stream: int) -> Item:
    return Item("xor", (planes, kernels.words(n)), planes * n, stream)


def _product_layout(request: Request) -> tuple[Item, ...]:
    return (_words(tuple(request.params[-1]), 0),)


def _square_layout(request: Request) -> tuple[Item, ...]:
    return (_words(request.operands[0].size, 0),)


# Truncation by the wrap bit: streams 0 are the parties' own bits a and b.
WRAP_BITS, WRAP_PRODUCT = 0, 1


def _wrap_layout(request: Request) -> tuple[Item, ...]:
    n, bits = request.params
    return (_words((n,), WRAP_PRODUCT, bits),)


def _open_shift_layout(request: Request) -> tuple[Item, ...]:
    n = _elements(request)
    return (_words((n,), 0), _words((n,), 1, request.params[0]))


def _open_divide_layout(request: Request) -> tuple[Item, ...]:
    n = _elements(request)
    return (_words((n,), 0), _words((n,), 1))


def _compare_layout(request: Request) -> tuple[Item, ...]:
    n, digits = _elements(request), DIGITS[request.op]
    kind, shift, thresholds = request.params
    items = [_bundle(digits.rows, n, ROWS)]
    for t in range(thresholds):
        for planes, stream in zip(digits.monomials, MONOMIALS, strict=False):
            items.append(_bundle(planes, n, threshold_stream(t, stream)))
        for i, bits in enumerate(VALUE_BITS[kind](shift)):
            items.append(_words((n,), threshold_stream(t, VALUES + i), bits))
    return tuple(items)


# What is dealt: nothing (another request deals products with beta); beta; beta and beta * r; or for
# the fused truncation beta, rho, beta * rho, mu, beta * mu, of which the last two matter modulo
# 2^shift only.
VALUE_BITS = {
    "none": lambda shift: (),
    "bit": lambda shift: (64,),
    "select": lambda shift: (64, 64),
    "select_shift": lambda shift: (64, 64, 64, shift, shift),
}

LAYOUTS = {
    "product": _product_layout,
    "square": _square_layout,
    "wrap": _wrap_layout,
    "open_shift": _open_shift_layout,
    "open_divide": _open_divide_layout,
    **dict.fromkeys(DIGITS, _compare_layout),
}
