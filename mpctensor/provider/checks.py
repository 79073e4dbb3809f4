"""The one place where a request is validated: completely, in exact integers, before it is dealt.

`check` refuses whatever `Dealer.deal` could not deal within the limits. A request that passes is
dealt without an error and without reading outside of a mask. One row a kind of operation in CHECKS.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ..errors import RequestError
from .fields import fields, integer, integers, sequence, shown, word
from .limits import Limits, check_cost, span
from .products import check_params, volume
from .requests import DIGITS, VALUE_BITS, BitView, MaskView, Operand, Request
from .smooth import RATE_BITS, Term

Check = Callable[[Request, Limits], None]

CIRCLE = 1 << 64
MOST_THRESHOLDS = 64
MOST_MASK_BITS = 2
MOST_TERMS = 16
MOST_SEGMENT_BITS = 6
MOST_RATE = 256 << RATE_BITS
MOST_EXPONENT = 128
MOST_VALUE_BITS = 256  # of a dealt exponential: phases that no argument has may leave the ring
MOST_HARMONICS = 64
MOST_HARMONIC_BITS = 52
MOST_ROW_BITS = 32


def check(request: Request, limits: Limits) -> None:
    """Raise RequestError unless the request can be dealt, and within the limits."""
    rule = CHECKS.get(request.op)
    if rule is None:
        known = ", ".join(CHECKS)
        raise RequestError(f"`op` is {shown(request.op)}; the provider deals {known}")
    try:
        integer("number", request.number, 1)
        rule(request, limits)
        check_cost(request, limits)
    except RequestError as error:
        raise RequestError(f"{request.op}, number {shown(request.number)}: {error}") from None


# Operands


def check_view(view: Operand) -> None:
    """A view must lie inside its mask, in exact integers, before anything is allocated."""
    integer("numel", view.numel)
    integer("offset", view.offset)
    size, stride = integers("size", view.size), integers("stride", view.stride)
    if len(size) != len(stride):
        raise RequestError(f"`stride` has {len(stride)} entries, but `size` has {len(size)}")
    last = view.offset + span(view) - 1
    if 0 not in size and last >= view.numel:
        raise RequestError(f"a view reaches element {last} of a mask of {view.numel}")


def _check_mask(mask: Operand, limits: Limits) -> None:
    if not isinstance(mask, MaskView):
        raise RequestError("an operand is bits where the operation takes a mask")
    _check_shown(mask, limits)
    if integer("id", mask.id) == 0 and 0 not in mask.size:
        raise RequestError("`id` is 0, which only a view of nothing may have")


def _check_bits(bits: Operand, request: Request, limits: Limits) -> None:
    """beta of an earlier comparison of a mask."""
    if not isinstance(bits, BitView):
        raise RequestError("an operand is a mask where the operation takes bits")
    _check_shown(bits, limits)
    source = bits.source
    if CHECKS.get(source.op) is not _check_comparison:
        raise RequestError(f"bits come from {shown(source.op)}; only comparisons have bits")
    integer("source number", source.number, 1, request.number)
    _check_comparison(source, limits)
    integer("threshold", bits.threshold, 0, source.params[2])
    n = prod(source.operands[0].size)
    if bits.numel != n:
        raise RequestError(f"`numel` is {bits.numel}, but the comparison has {n} bits")


def _check_shown(view: Operand, limits: Limits) -> None:
    check_view(view)
    if view.numel > limits.mask_elements:
        raise RequestError(
            f"a mask has {view.numel} elements, more than the {limits.mask_elements} of"
            " `mask_elements`, a setting of the provider; raise it there"
        )
    if volume(view.size) > limits.request_work:
        raise RequestError(
            f"a view shows {volume(view.size)} elements, more than the {limits.request_work}"
            " operations of `request_work`, a setting of the provider; raise it there"
        )


def _operands(request: Request, least: int, most: int | None = None) -> tuple[Operand, ...]:
    count = len(request.operands)
    if not least <= count <= (least if most is None else most):
        wanted = least if most is None else f"{least} to {most}"
        raise RequestError(f"it has {count} operands; it takes {wanted}")
    return request.operands


def _check_masks(request: Request, limits: Limits, count: int) -> None:
    for mask in _operands(request, count):
        _check_mask(mask, limits)


# Operations


def _check_product(request: Request, limits: Limits) -> None:
    bits_too = request.params[:1] == ("mul",)
    for operand in _operands(request, 2):
        if bits_too and isinstance(operand, BitView):
            _check_bits(operand, request, limits)
        else:
            _check_mask(operand, limits)
    check_params(request)


def _check_square(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 1)
    fields("params", request.params)


def _check_wrap(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 0)
    n, bits = fields("params", request.params, "n", "bits")
    integer("n", n, 0, limits.mask_elements + 1)
    integer("bits", bits, 1, 65)


def _check_open_shift(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 1)
    (shift,) = fields("params", request.params, "shift")
    integer("shift", shift, 1, 63)


def _check_open_divide(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 1)
    (divisor,) = fields("params", request.params, "divisor")
    integer("divisor", divisor, 2, 1 << 62)


def _check_comparison(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 1)
    kind, shift, thresholds = fields("params", request.params, "kind", "shift", "thresholds")
    fused = word("kind", kind, VALUE_BITS) == "select_shift"
    integer("shift", shift, 1 if fused else 0, 63 if fused else 1)
    integer("thresholds", thresholds, 1, MOST_THRESHOLDS + 1)


def _check_function(request: Request, limits: Limits) -> None:
    """Operands of functions of a mask: the mask, and bits of as many elements."""
    mask, *bits = _operands(request, 1, 1 + MOST_MASK_BITS)
    _check_mask(mask, limits)
    for operand in bits:
        _check_bits(operand, request, limits)
        if prod(operand.size) != prod(mask.size):
            raise RequestError(f"bits of size {operand.size} do not fit a mask of size {mask.size}")


def _check_exponentials(request: Request, limits: Limits) -> None:
    _check_function(request, limits)
    names = ("multiplier", "start", "origin", "terms")
    multiplier, start, origin, terms = fields("params", request.params, *names)
    integer("multiplier", multiplier, 0, CIRCLE)
    integer("start", start, 1 - CIRCLE, CIRCLE)
    integer("origin", origin, 1 - CIRCLE, CIRCLE)
    sequence("terms", terms, MOST_TERMS)
    if not terms:
        raise RequestError("`terms` is empty; it must have an entry")
    for entry in terms:
        _check_term(entry, start - origin)


def _check_term(entry: Any, begin: int) -> None:
    """Ranges, and that float64 holds every value on the way to the dealt ones."""
    names = ("rate", "segment_bits", "mantissa", "exponent")
    rate, segment_bits, mantissa, exponent = fields("terms", entry, *names)
    integer("rate", rate, -MOST_RATE, MOST_RATE + 1)
    integer("segment_bits", segment_bits, 1, MOST_SEGMENT_BITS + 1)
    integer("mantissa", mantissa, 1 - CIRCLE // 2, CIRCLE // 2)
    integer("exponent", exponent, -MOST_EXPONENT, MOST_EXPONENT + 1)
    bits = largest_bits(Term(rate, segment_bits, mantissa, exponent), begin)
    if bits > MOST_VALUE_BITS:
        raise RequestError(f"a term reaches 2^{bits}; it may reach 2^{MOST_VALUE_BITS}")


def largest_bits(term: Term, begin: int) -> int:
    """b with |values| < 2^b in the window that begins one segment below `begin`, a phase."""
    low = begin - CIRCLE // term.segments
    nats = max(term.rate * low, term.rate * (low + CIRCLE))  # at scale 2^96
    octaves = -(-nats * 185 // 128 >> (RATE_BITS + 64))  # 1 / ln 2 < 185 / 128
    return term.mantissa.bit_length() + term.exponent + max(octaves, 0)


def _check_harmonics(request: Request, limits: Limits) -> None:
    _check_function(request, limits)
    multiplier, count, bits = fields("params", request.params, "multiplier", "count", "bits")
    integer("multiplier", multiplier, 0, CIRCLE)
    integer("count", count, 1, MOST_HARMONICS + 1)
    integer("bits", bits, 1, MOST_HARMONIC_BITS + 1)


def _check_shifted_product(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 2)
    z, y = (operand.size for operand in request.operands)
    if len(z) != len(y) or any(a not in (1, b) for a, b in zip(z, y, strict=True)):
        raise RequestError(f"a factor of size {z} does not broadcast to one of size {y}")
    (shift,) = fields("params", request.params, "shift")
    integer("shift", shift, 1, 63)


def _check_one_hot(request: Request, limits: Limits) -> None:
    _check_masks(request, limits, 1)
    (bits,) = fields("params", request.params, "bits")
    integer("bits", bits, 1, MOST_ROW_BITS + 1)


CHECKS: dict[str, Check] = {
    "product": _check_product,
    "square": _check_square,
    "wrap": _check_wrap,
    "open_shift": _check_open_shift,
    "open_divide": _check_open_divide,
    **dict.fromkeys(DIGITS, _check_comparison),
    "exponentials": _check_exponentials,
    "harmonics": _check_harmonics,
    "shifted_product": _check_shifted_product,
    "one_hot": _check_one_hot,
}
