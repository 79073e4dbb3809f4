"""x^p for any public p, by a logarithm that is finer than one for users, and an exponential of it.

1. the interval of x, and t in [1, 16)                      (5 rounds, intervals.py)
2. log t; the logarithm of x, truncated to 24 bits          (2 rounds)
3. its exponential to the base e^p                          (5 rounds, exponential.py)
Logarithms may be subtracted in between, so that powers of ratios need no division.
"""

from __future__ import annotations

from fractions import Fraction

from ...share import Share
from ..linear import add, add_scalar, neg
from .exponential import exp, result_dtype, result_unit
from .reciprocal import log_of_placed, placed_for_log
from .tables import LN2, log_of
from .words import scaled_as

GUARD_BITS = 8  # of the logarithm beyond the unit
NOWHERE = 1 << 20  # minus the logarithm of x <= 0, so that positive powers of it are 0


def power(x: Share, exponent: Fraction, factor: Fraction = Fraction(1)) -> Share:
    """factor x^exponent at unit scale for x > 0, at most e^14.5 (at 16 bits); 0 where x <= 0.

    x < 2^30, |exponent| > 2^-16, factor > 0. 12 rounds. Error: 1.1 units in the last place, and
    2^-17.9 |exponent| and 2^-18 of the value.
    """
    return raised(fine_log(x, NOWHERE if exponent < 0 else -NOWHERE), exponent, factor)


def fine_log(x: Share, nowhere: int = -NOWHERE) -> Share:
    """log x with 8 bits more than the unit has; `nowhere` where x <= 0. x < 2^30. 7 rounds.

    Error: 2^-17.9.
    """
    placed, t = placed_for_log(x)
    unit, dtype = result_unit(x), result_dtype(x)
    logs = log_of_placed(placed, t, unit, dtype, x.shape, GUARD_BITS)
    below = placed.weigh([0] * placed.ladder.count, nowhere * logs.scale)
    return add(logs, scaled_as(below, x.shape, logs.scale, unit, dtype))


def raised(logs: Share, exponent: Fraction, factor: Fraction = Fraction(1)) -> Share:
    """factor e^(exponent logs) at unit scale, at most e^14.5 (at 16 bits); factor > 0. 5 rounds."""
    rising = logs if exponent > 0 else neg(logs)
    if factor != 1:
        level = (log_of(factor.numerator) - log_of(factor.denominator)) / abs(exponent)
        rising = add_scalar(rising, float(level))
    return exp(rising, round(LN2 / abs(exponent)))
