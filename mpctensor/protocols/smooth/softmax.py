"""softmax, log_softmax and logsumexp.

Few classes and rows without a maximum: softmax_i = 1 / s_i with s_i = sum_j exp(x_j - x_i), every
exponential held between 2^-20 and 2^17 from its own opening, which takes the fewest rounds:
1. open the differences, compare, exponentials, sums                        (4 rounds)
2. the reciprocal of sums in [1, 2^21); below 2^-17 it counts as 0          (7 rounds)
3. truncate                                                                 (1 round)
Otherwise, and for log_softmax: e_i = exp(x_i - max), s = sum of e_i in [1, K], softmax_i = e_i / s,
log_softmax_i = x_i - max - log s, where s needs no thresholds up to 16 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch

from ...share import Share
from ..linear import add, sub, total
from ..maximum import max_along
from ..rectify import flatten
from ..scales import fit
from ..truncation import truncate
from .decays import decayed, reciprocal_for
from .exponential import (
    FINEST,
    Window,
    exponentials,
    negative_window,
    result_dtype,
    result_unit,
    unit_bits,
)
from .intervals import Placed, ladder, place
from .reciprocal import log_of_placed, quotient_scale, reciprocal_of_placed
from .words import open_words, product, scaled_as, shifted, shifted_product

PAIR_CLASSES = 16  # up to which all differences may replace a tree of maxima,
PAIR_TOTAL = {"lan": 1 << 13, "wan": 1 << 14}  # and that many of them
PAIR_LOW = -20  # the power of two below which the exponential of a difference is 0
PAIR_BITS, PAIR_REST = 40, 57  # about the scale of exponentials of pairs; they rest at 2^57 / scale
PAIR_TOP = 61  # sums of 16 of them are below
NUMERATOR_BITS, FACTOR_BITS = 20, 20  # of e and of 1 / s before their product


def softmax(x: Share, dim: int) -> Share:
    """softmax over dim at unit scale; probabilities below 2^-17 become 0.

    12 rounds for up to 16 classes and 8192 pairs of them (16384 in "wan" sessions); else the
    maximum and 7 (13 above 16 classes). Error: 2^-14 of the value and 1 unit in the last place.
    """
    rows = _rows(x, dim)
    count = rows.shape[1]
    pairs = rows.here.numel() * count
    few = 1 < count <= PAIR_CLASSES and pairs <= PAIR_TOTAL[x.session.link]
    return _restored(_by_pairs(rows) if few else _probabilities(_exponentials(rows)), x, dim)


def log_softmax(x: Share, dim: int) -> Share:
    """log(softmax(x)) over dim, however small the probability; at unit scale or x's, if finer.

    The maximum and 6 rounds (10 above 16 classes). Error: 2^-16 and 1 unit in the last place.
    """
    return _restored(_logarithms(_exponentials(_rows(x, dim))), x, dim)


def softmax_and_log(x: Share, dim: int) -> tuple[Share, Share]:
    """(softmax, log_softmax) from the same maximum, exponentials and opened sums."""
    held = _exponentials(_rows(x, dim))
    return _restored(_probabilities(held), x, dim), _restored(_logarithms(held), x, dim)


def logsumexp(x: Share, dim: int) -> Share:
    """log(sum(exp(x))) over dim, however large or small x is; scale, rounds, error as log_softmax.

    It is x - log_softmax(x) for any entry of a row, so for the first one.
    """
    rows = _rows(x, dim)
    held = _exponentials(rows)
    first, shifted_first = (s.map(lambda part: part[:, :1]) for s in (rows, held.shifted))
    flat = add(sub(first, shifted_first), _log_of_sums(held))
    size = x.here.movedim(dim, -1).shape[:-1]
    return flat.map(lambda part: part.reshape(size))


def _rows(x: Share, dim: int) -> Share:
    """(rows, classes)."""
    if x.scale > FINEST:
        x = fit(x)
    return x.map(lambda part: part.movedim(dim, -1).reshape(-1, part.shape[dim]))


def _restored(flat: Share, x: Share, dim: int) -> Share:
    """Rows in the shape of x."""
    moved = x.here.movedim(dim, -1).shape
    return flat.map(lambda part: part.reshape(moved).movedim(-1, dim).contiguous())


# By pairs


def _by_pairs(rows: Share) -> Share:
    unit = result_unit(rows)
    shift = PAIR_BITS - unit_bits(unit)
    sixteenths = 16 * PAIR_REST + 1 - ((unit << shift) ** 16).bit_length()
    window = Window(48, 3, PAIR_LOW, sixteenths, 16, shift)
    differences = rows.map(lambda part: part.unsqueeze(1) - part.unsqueeze(2))
    sums = flatten(total(exponentials(differences, window), [2]))
    quotients = reciprocal_of_placed(_place_sums(sums, PAIR_TOP), unit, least=1)
    return _at_unit(quotients, rows, quotient_scale(unit))


def _place_sums(sums: Share, high: int) -> Placed:
    """Flat sums of at least 1, as ring elements below 2^high."""
    low = sums.scale.bit_length() - 1
    return place(sums, ladder(low, max(low + 1, high)), certain=True)


def _at_unit(flat: Share, rows: Share, scale: int) -> Share:
    unit = result_unit(rows)
    wide = scaled_as(flat, rows.shape, scale, unit, result_dtype(rows))
    return truncate(wide, scale // unit)


# By the maximum


@dataclass(frozen=True)
class Exponentials:
    """shifted: x - max. terms: its exponentials, not truncated yet. sums: placed; t: normalised."""

    shifted: Share
    terms: Share
    sums: Placed
    t: Share


def _exponentials(rows: Share) -> Exponentials:
    """The maximum and 4 rounds; 5 more where the sums need thresholds."""
    count = rows.shape[1]
    largest = max_along(rows, 1)[0]
    shifted_rows = sub(rows, largest.map(lambda part: part.unsqueeze(1)))
    window = negative_window(result_unit(rows), count)
    terms = exponentials(shifted_rows, window)
    flat = total(terms, [1])
    sums = _place_sums(flat, unit_bits(flat.scale * count))
    normaliser = sums.normaliser()
    if normaliser.public is None:
        open_words(flat, normaliser)
    return Exponentials(shifted_rows, terms, sums, product(flat, normaliser))


def _probabilities(held: Exponentials) -> Share:
    """terms / sums: 2 rounds and the truncation (1 more where the sums needed thresholds).

    With s = t * 2^floor, e / s is (e * 2^(highest floor - floor)) * (1 / t), up to public powers.
    """
    rows, unit = held.terms, held.terms.unit
    floors = held.sums.ladder.floors
    rise = floors[-1] - floors[0]
    powers = held.sums.weigh([1 << (floors[-1] - floor) for floor in floors])
    open_words(rows, held.t, powers)
    numerators = shifted(rows, (rows.scale // unit).bit_length() - 1 - _spare(unit))
    spread = powers.map(lambda part: part.view(-1, 1).expand(rows.shape))
    raised = product(numerators, spread)
    scale = unit << (_spare(unit) + FACTOR_BITS + rise)
    factor = Fraction(scale * rows.scale, unit << (_spare(unit) + floors[-1]))
    factors, shift = decayed(held.t, reciprocal_for(unit), factor)
    column = factors.map(lambda part: part.view(-1, 1))
    return _at_unit(shifted_product(column, shift, raised), rows, scale)


def _spare(unit: int) -> int:
    """The numerators are at scale unit << spare, about 2^20."""
    return max(0, NUMERATOR_BITS - unit_bits(unit))


def _logarithms(held: Exponentials) -> Share:
    """x - max - log s; 2 rounds, 1 where t is open."""
    return sub(held.shifted, _log_of_sums(held))


def _log_of_sums(held: Exponentials) -> Share:
    """log s as a column."""
    rows = held.terms
    size = torch.Size((rows.shape[0], 1))
    return log_of_placed(held.sums, held.t, rows.unit, rows.dtype, size)
