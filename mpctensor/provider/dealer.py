"""The crypto provider: regenerates masks from their ids, deals what parties cannot expand.

It keeps nothing but one seed per party. It sees requests (operations, shapes, mask ids), never a
message between parties, never data. Every other party expands its share from its own seed.
Source: the dealer model of Beaver, "Commodity-based cryptography", STOC 1997 [Bea97].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from .. import kernels
from .checks import check_view
from .client import Corrections
from .keys import mask_key, operation_key
from .limits import span
from .products import bilinear
from .requests import (
    BETA,
    DIGITS,
    MASKS,
    MONOMIALS,
    ROWS,
    VALUES,
    WRAP_BITS,
    WRAP_PRODUCT,
    BitView,
    Operand,
    Request,
    threshold_stream,
)
from .rows import DEALS as ROWS_OF_MASKS
from .smooth import DEALS as SMOOTH


class Provider(Protocol):
    """Where corrections come from: in this process, or over a network."""

    def deal(self, request: Request) -> Corrections:
        """The corrections of `request.layout`, for the last party."""
        ...


class Dealer:
    """Deals for one session. seeds: one per party, shared with that party alone."""

    def __init__(self, seeds: Sequence[bytes], nonce: bytes) -> None:
        self._seeds = tuple(seeds)
        self._nonce = nonce
        self._mask_keys = b"".join(mask_key(seed, nonce) for seed in seeds)

    def deal(self, request: Request) -> list[Tensor]:
        return DEALERS[request.op](self, request)

    def keys(self, request: Request) -> bytes:
        """The operation keys of all parties, one after the other."""
        return b"".join(operation_key(s, self._nonce, request.digest) for s in self._seeds)

    def operand(self, operand: Operand) -> Tensor:
        """The mask (or the mask bits, as 0/1 words) that an operand names, shaped like its view."""
        check_view(operand)
        if isinstance(operand, BitView):
            return self._bits(operand)
        return _window(operand, lambda start, n: kernels.prg(self._mask_keys, operand.id, start, n))

    def _bits(self, operand: BitView) -> Tensor:
        plane = self.beta(operand.source, operand.threshold)
        n = prod(operand.source.operands[0].size)
        return _window(
            operand, lambda start, count: kernels.bit_values(plane, n)[start : start + count]
        )

    def flat(self, operand: Operand) -> Tensor:
        """Like `operand`, flat and contiguous."""
        return self.operand(operand).reshape(-1)

    def beta(self, request: Request, threshold: int, r: Tensor | None = None) -> Tensor:
        """The plane beta = beta' xor msb(r) of a comparison; for an equality beta'.

        r: the flat mask, where it is expanded already.
        """
        stream = threshold_stream(threshold, BETA)
        if not DIGITS[request.op].order:
            n = prod(request.operands[0].size)
            return kernels.prg_bundle(self.keys(request), stream, 1, n)[0]
        r = self.flat(request.operands[0]) if r is None else r
        return kernels.beta_deal(r, self.keys(request), stream)

    def corrections(self, value: Tensor, request: Request, stream: int) -> Tensor:
        """The last party's share of `value`: value minus the other parties' stream."""
        keys = self.keys(request)[:-16]
        return kernels.prg_combine(value.contiguous(), keys, stream, 0, "sub")


def _window(view: Operand, expand: Callable[[int, int], Tensor]) -> Tensor:
    """Expand only the range that a view touches, and view it."""
    if prod(view.size) == 0:
        return torch.empty(view.size, dtype=torch.int64)
    return expand(view.offset, span(view)).as_strided(view.size, view.stride)


def _deal_product(dealer: Dealer, request: Request) -> list[Tensor]:
    name, *params, _size = request.params
    a, b = (dealer.operand(o) for o in request.operands)
    return [dealer.corrections(bilinear(name, params, a, b), request, 0)]


def _deal_square(dealer: Dealer, request: Request) -> list[Tensor]:
    r = dealer.operand(request.operands[0])
    return [dealer.corrections(r * r, request, 0)]


def _deal_wrap(dealer: Dealer, request: Request) -> list[Tensor]:
    n, _bits = request.params
    keys = dealer.keys(request)
    a, b = (kernels.prg_bundle(keys[16 * p : 16 * p + 16], WRAP_BITS, 1, n)[0] for p in (0, 1))
    return [kernels.wrap_deal(a, b, n, keys[:16], WRAP_PRODUCT)]


def _deal_open_shift(dealer: Dealer, request: Request) -> list[Tensor]:
    rho, mu = kernels.open_shift_deal(dealer.flat(request.operands[0]), request.params[0])
    return [dealer.corrections(value, request, i) for i, value in enumerate((rho, mu))]


def _deal_open_divide(dealer: Dealer, request: Request) -> list[Tensor]:
    pair = kernels.open_divide_deal(dealer.flat(request.operands[0]), request.params[0])
    return [dealer.corrections(value, request, i) for i, value in enumerate(pair)]


def _deal_compare(dealer: Dealer, request: Request) -> list[Tensor]:
    """Rows once, then for each threshold the merges' monomials and the values times beta."""
    r = dealer.flat(request.operands[0])
    n = r.numel()
    keys = dealer.keys(request)
    others = keys[:-16]
    digits = DIGITS[request.op]
    kind, shift, thresholds = request.params
    dealt = [kernels.rows_deal(digits, r, others, ROWS)]
    for t in range(thresholds):
        for i in range(digits.merges):
            masks, monomials = threshold_stream(t, MASKS[i]), threshold_stream(t, MONOMIALS[i])
            dealt.append(kernels.merge_deal(digits, i + 1, n, keys, masks, others, monomials))
        beta = dealer.beta(request, t, r)
        values = threshold_stream(t, VALUES)
        if kind == "bit":
            dealt.append(kernels.prg_combine(kernels.bit_values(beta, n), others, values, 0, "sub"))
        elif kind == "select":
            dealt.extend(kernels.select_deal(beta, r, others, values))
        elif kind == "select_shift":
            dealt.extend(kernels.relu_shift_deal(beta, r, shift, others, values))
    return dealt


DEALERS: dict[str, Callable[[Dealer, Request], list[Tensor]]] = {
    "product": _deal_product,
    "square": _deal_square,
    "wrap": _deal_wrap,
    "open_shift": _deal_open_shift,
    "open_divide": _deal_open_divide,
    **dict.fromkeys(DIGITS, _deal_compare),
    **ROWS_OF_MASKS,
    **SMOOTH,
}
