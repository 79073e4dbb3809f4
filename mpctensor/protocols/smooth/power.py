"""x^p for any public p, by a logarithm that is finer than one for users, and an exponential of it.

1. the interval of x, and t in [1, 16)                      (5 rounds, intervals.py)
2. log t; the logarithm of x, truncated to 24 bits          (2 rounds)
3. its exponential to the base e^p                          (5 rounds, exponential.py)
"""

from __future__ import annotations

from fractions import Fraction

from ...share import Share
from ..linear import add, neg
from .exponential import exp, result_dtype, result_unit
from .reciprocal import log_of_placed, placed_for_log
from .tables import LN2
from .words import scaled_as

GUARD_BITS = 8  # of the logarithm beyond the unit
NOWHERE = 1 << 20  # where the logarithm of x <= 0 is taken to be, so that the power is 0


def power(x: Share, exponent: Fraction) -> Share:
    """x^exponent at unit scale for x > 0, at most e^14.5 (at 16 bits); 0 where x <= 0.

    x < 2^30, |exponent| > 2^-16. 12 rounds. Error: 1.1 units in the last place, and 2^-17.9
    |exponent| and 2^-18 of the value.
    """
    sign = 1 if exponent > 0 else -1
    placed, t = placed_for_log(x)
    unit, dtype = result_unit(x), result_dtype(x)
    logs = log_of_placed(placed, t, unit, dtype, x.shape, GUARD_BITS)
    nowhere = -sign * NOWHERE * logs.scale
    below = placed.weigh([0] * placed.ladder.count, nowhere)
    logs = add(logs, scaled_as(below, x.shape, logs.scale, unit, dtype))
    return exp(logs if sign > 0 else neg(logs), round(LN2 / abs(exponent)))
