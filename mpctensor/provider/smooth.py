"""What the smooth functions need: functions of a mask, as words, and their products with bits.

With c = x + r public, exp(a x) = exp(a c) exp(-a r): the parties compute the first factor, the
provider deals the second. Both live on a circle of 2^64 phases, c times a public multiplier; for
each segment of the circle that c can lie in, the provider knows how often x wraps around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, ldexp, prod, tau
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .requests import LAYOUTS, Item, Request

if TYPE_CHECKING:
    from .dealer import Dealer

RATE_BITS = 32


@dataclass(frozen=True)
class Term:
    """amplitude * exp(rate * phase), the phase counted in circles.

    rate: at scale 2^32. segment_bits: the circle has 2^segment_bits segments of c. amplitude:
    mantissa * 2^exponent.
    """

    rate: int
    segment_bits: int
    mantissa: int
    exponent: int

    @property
    def params(self) -> tuple[int, int, int, int]:
        """How a request spells it."""
        return self.rate, self.segment_bits, self.mantissa, self.exponent

    @property
    def segments(self) -> int:
        return 1 << self.segment_bits


def terms_of(params: Sequence[Any]) -> tuple[Term, ...]:
    """The terms of a request."""
    return tuple(Term(*entry) for entry in params)


def _words(size: Sequence[int], stream: int) -> Item:
    return Item("add", tuple(size), 64 * prod(size), stream)


def _plain_and_masked(request: Request, rows: int) -> tuple[Item, ...]:
    """Rows of words; where the request names bits, also the rows times the mask bit beta."""
    mask, *bits = request.operands
    size = (rows, prod(mask.size))
    return tuple(_words(size, stream) for stream in range(2 if bits else 1))


def _deal_plain_and_masked(dealer: Dealer, request: Request, values: Tensor) -> list[Tensor]:
    dealt = [dealer.corrections(values, request, 0)]
    if len(request.operands) > 1:
        dealt.append(dealer.corrections(values * _mask_bit(dealer, request), request, 1))
    return dealt


def _mask_bit(dealer: Dealer, request: Request) -> Tensor:
    """beta of the exclusive or of the bits that the request names, as 0/1 words."""
    first, *rest = (dealer.flat(bit) for bit in request.operands[1:])
    for other in rest:
        first = first ^ other
    return first


# Exponentials


def _exponentials_layout(request: Request) -> tuple[Item, ...]:
    _multiplier, _start, _origin, terms = request.params
    return _plain_and_masked(request, sum(term.segments for term in terms_of(terms)))


def _deal_exponentials(dealer: Dealer, request: Request) -> list[Tensor]:
    """E_q = amplitude * exp(rate * (q / Q - r)) for every segment q < Q, a row each.

    q / Q - r is taken around the circle into the window that begins one segment below `start`: for
    arguments from `start` on, what c exceeds its segment by brings it to x. `origin`: where the
    exponential is 1. start and origin are phases, as signed numbers of 2^-64 circles.
    """
    multiplier, start, origin, terms = request.params
    phase = dealer.flat(request.operands[0]) * _signed(multiplier)
    rows = [_segment_rows(phase, start, origin, term) for term in terms_of(terms)]
    return _deal_plain_and_masked(dealer, request, torch.cat(rows))


def _segment_rows(phase: Tensor, start: int, origin: int, term: Term) -> Tensor:
    """The rows of one term, (segments, n)."""
    rate, count = ldexp(term.rate, -RATE_BITS), term.segments
    width = (1 << 64) // count
    above = _fraction(phase.neg() - _signed(start - width))  # row 0's place in the window
    amplitude = ldexp(term.mantissa, term.exponent)
    begin = amplitude * exp(rate * ldexp(start - width - origin, -64))
    base = torch.exp(above * rate) * begin
    once_round = base * exp(-rate)
    rows = torch.empty(count, phase.numel(), dtype=torch.int64)
    for q in range(count):
        value = torch.where(above + q / count < 1, base, once_round)
        rows[q] = (value * exp(rate * q / count)).round_()
    return rows


def _fraction(phase: Tensor) -> Tensor:
    """A phase as a number in [0, 1)."""
    return ((phase >> 11) & ((1 << 53) - 1)).double() * 2.0**-53


def _signed(number: int) -> int:
    """An integer as the signed 64-bit number that torch accepts."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


# Circular functions


def _harmonics_layout(request: Request) -> tuple[Item, ...]:
    _multiplier, count, _bits = request.params
    return _plain_and_masked(request, 2 * count)


def _deal_harmonics(dealer: Dealer, request: Request) -> list[Tensor]:
    """cos(j r) and sin(j r) at scale 2^bits for j = 1 .. count, two rows each."""
    multiplier, count, bits = request.params
    angle = _fraction(dealer.flat(request.operands[0]) * _signed(multiplier)) * tau
    turn = torch.polar(torch.full_like(angle, 1.0), angle)
    rows = torch.empty(2 * count, angle.numel(), dtype=torch.int64)
    now = turn * 2.0**bits
    for j in range(count):
        rows[2 * j], rows[2 * j + 1] = now.real.round(), now.imag.round()
        now = now * turn
    return _deal_plain_and_masked(dealer, request, rows)


# A truncation and a product from the same opening


def _shifted_product_layout(request: Request) -> tuple[Item, ...]:
    z, y = request.operands
    return _words((2, *z.size), 0), _words((2, *y.size), 1)


def _deal_shifted_product(dealer: Dealer, request: Request) -> list[Tensor]:
    """V_m and V_m r_y, m = 0, 1: what the opened z must lose to be z / 2^shift, if its msb is m."""
    (shift,) = request.params
    r, r_y = (dealer.operand(operand) for operand in request.operands)
    rho = (r >> shift) & ((1 << (64 - shift)) - 1)
    wrapped = rho - (((r >> 63) & 1) << (64 - shift))
    lost = torch.stack([wrapped, rho])
    return [dealer.corrections(v, request, i) for i, v in enumerate((lost, lost * r_y))]


DEALS: dict[str, Callable[[Dealer, Request], list[Tensor]]] = {
    "exponentials": _deal_exponentials,
    "harmonics": _deal_harmonics,
    "shifted_product": _deal_shifted_product,
}
LAYOUTS.update(
    exponentials=_exponentials_layout,
    harmonics=_harmonics_layout,
    shifted_product=_shifted_product_layout,
)
