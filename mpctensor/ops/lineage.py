"""What a value is known to be by the way it was made, beside what its shares say.

Never negative: a division by it costs fewer rounds. A quotient n / y of a number and such a y: what
it is multiplied with may be far smaller than its last place (RAdam), so that is divided by y.
Fine digits: right far below the unit, where a large factor brings them to light (1 / norm).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch

from .. import protocols as mpc
from ..share import Share
from .operands import exact

NONNEGATIVE = "nonnegative"
FINE_DIGITS = "fine digits"
INVERSE = "inverse"  # (n, y), y contiguous and laid out as the whole storage


def nonnegative(x: Share) -> Share:
    """x, noted as never negative."""
    x.facts.derived[NONNEGATIVE] = True
    return x


def is_nonnegative(x: Share) -> bool:
    return NONNEGATIVE in x.facts.derived


def fine_digits(x: Share) -> Share:
    """x, noted as right far below its unit: a product with it uses all of its digits."""
    x.facts.derived[FINE_DIGITS] = True
    return x


def has_fine_digits(x: Share) -> bool:
    return FINE_DIGITS in x.facts.derived


def as_fine_as(x: Share, source: Share) -> Share:
    """x, a linear function of the source, noted as right below its unit if the source is."""
    return fine_digits(x) if has_fine_digits(source) else x


def quotient(x: Share, number: float | Fraction, y: Share) -> Share:
    """x, noted as number / y for a y that is never negative; whole contiguous values only."""
    if x.whole and x.here.is_contiguous():
        x.facts.derived[INVERSE] = exact(number), y.clone()
    return x


def quotient_of(x: Share) -> tuple[Fraction, Share] | None:
    """(number, y) where x is known as a quotient, y for the view of its storage that x is."""
    noted = x.facts.derived.get(INVERSE)
    if noted is None:
        return None
    number, y = noted
    return number, y.map(x.view_of)


Lineage = tuple[bool, bool, tuple[Fraction, Share] | None]


def lineage_of(x: Share) -> Lineage:
    """What is known of x; to be asked before a write that may reach x."""
    return is_nonnegative(x), has_fine_digits(x), quotient_of(x)


def inherit(target: Share, known: Lineage) -> Share:
    """The target, which holds a copy of a value, with what is known of the value."""
    never_negative, fine, noted = known
    if target.whole and never_negative:
        nonnegative(target)
    if target.whole and fine:
        fine_digits(target)
    return target if noted is None else quotient(target, *noted)


def inherit_joined(flat: Share, shares: Sequence[Share]) -> Share:
    """`flat`, which holds copies of all shares in turn, with what is known of all of them."""
    if all(map(is_nonnegative, shares)):
        nonnegative(flat)
    noted = [known for known in map(quotient_of, shares) if known is not None]
    if len(noted) == len(shares) and len({number for number, _ in noted}) == 1:
        columns = [y.map(lambda part: part.reshape(-1)) for _, y in noted]
        quotient(flat, noted[0][0], mpc.concatenate(lambda p: torch.cat(list(p)), columns))
    return flat
