"""What each smooth function promises at the default precision, as a table.

tests/tensor/test_accuracy.py sweeps every row, and docs/supported.py prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

UNIT = 1 << 16
HIGHEST = 2.0 ** (20 + 15 / 16)  # where exponentials rest, e^14.5
HIGHEST_HALF = 2.0 ** (20 + 14 / 16 - 1)  # where hyperbolic functions do


class Row(NamedTuple):
    """A function within its domain, and what it is beyond.

    points: what it is swept over. bits: an error of 2^-bits is allowed, absolute or relative,
    whichever is larger. outside: (argument, smallest, largest result allowed) beyond the domain.
    rounds: of one call on a new value, or of one as large as `points` where that matters.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    points: Tensor
    domain: str
    beyond: str
    rounds: int
    bits: int = 14
    outside: Sequence[tuple[float, float, float]] = ()


def near(value: float, relative: float = 2.0**-12) -> tuple[float, float]:
    """What counts as this value."""
    margin = relative * max(1.0, abs(value))
    return value - margin, value + margin


def on_grid(value: Tensor) -> Tensor:
    """Numbers that 16 fractional bits hold exactly."""
    return (value.double() * UNIT).round() / UNIT


def line(low: float, high: float, count: int = 601) -> Tensor:
    """Evenly from low to high."""
    return on_grid(torch.linspace(low, high, count, dtype=torch.float64))


def spread(low: int, high: int, signs: Sequence[int] = (1,)) -> Tensor:
    """From 2^low to 2^high, evenly in the logarithm, with each sign."""
    sizes = torch.logspace(low, high, 20 * (high - low) + 1, 2.0, dtype=torch.float64)
    return on_grid(torch.cat([sign * sizes for sign in signs]))


def rows_of(low: float, high: float, rows: int, columns: int) -> Tensor:
    """Random numbers for functions of several."""
    generator = torch.Generator().manual_seed(rows + columns)
    return on_grid(torch.rand(rows, columns, generator=generator) * (high - low) + low)


BOTH = (1, -1)
REAL = torch.cat([line(-20, 20, 801), spread(5, 29, BOTH), torch.zeros(1)])
POSITIVE = spread(-16, 30)[:-1]
SIGNED = spread(-16, 30, BOTH)[:-1]
PAIRS = torch.cat([rows_of(-4, 4, 2, 400), rows_of(-5000, 5000, 2, 200)], 1)
LOGITS = torch.cat([rows_of(-0.5, 0.5, 20, 10), rows_of(-30, 30, 20, 10)])
MATRIX = rows_of(-3, 3, 20, 12)
SCALES = torch.cat([on_grid(MATRIX / 64), MATRIX, MATRIX * 64, MATRIX * 2**20])
TERMS = rows_of(-1.5, 1.5, 20, 12)
TANGENTS = torch.cat([line(-1.57, 1.57), line(20, 23)])
TANGENTS = TANGENTS[TANGENTS.tan().abs() < 1 << 7]
MANY = "all"


def _pair(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x[0], x[1])


def _power(exponent: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x**exponent


def _norm(order: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.linalg.vector_norm(x, order, dim=1)


RESTS = "rests at e^14.5"
WRAPS = "wraps, as any product"
ROWS = [
    # Exponentials and logarithms
    *(
        Row(
            name,
            function,
            line(-low, end - 0.1),
            f"x < {end}",
            RESTS,
            5,
            outside=[(21, *near(HIGHEST)), (1e9, *near(HIGHEST)), (-1e9, 0, 0)],
        )
        for name, function, low, end in (
            ("exp", torch.exp, 14, 14.5),
            ("exp2", torch.exp2, 20, 20.9),
        )
    ),
    Row(
        "expm1", torch.expm1, line(-14, 14.4), "x < 14.5", RESTS, 5, outside=[(20, *near(HIGHEST))]
    ),
    Row(
        "10 ** x",
        lambda x: 10**x,
        line(-6, 6.2),
        "x < 6.3",
        RESTS,
        5,
        outside=[(7, *near(HIGHEST)), (-1e9, 0, 0)],
    ),
    Row(
        "log",
        torch.log,
        POSITIVE,
        "0 < x < 2^30",
        "log(2^-16) for x <= 0",
        7,
        outside=[(0, *near(-16 * 0.693147)), (-5, *near(-16 * 0.693147))],
    ),
    Row(
        "log2",
        torch.log2,
        POSITIVE,
        "0 < x < 2^30",
        "-16 for x <= 0",
        7,
        outside=[(0, *near(-16)), (-5, *near(-16))],
    ),
    Row(
        "log10",
        torch.log10,
        POSITIVE,
        "0 < x < 2^30",
        "log10(2^-16) for x <= 0",
        7,
        outside=[(-5, *near(-16 * 0.30103))],
    ),
    Row(
        "log1p",
        torch.log1p,
        torch.cat([POSITIVE, line(-0.999, 1)]),
        "-1 < x < 2^30",
        "log(2^-16) for x <= -1",
        7,
        outside=[(-5, *near(-16 * 0.693147))],
    ),
    # Powers
    Row(
        "reciprocal",
        torch.reciprocal,
        SIGNED,
        "2^-16 <= abs(x) < 2^30",
        "0 for x = 0",
        11,
        outside=[(0, 0, 0)],
    ),
    Row(
        "sqrt",
        torch.sqrt,
        POSITIVE,
        "0 <= x < 2^30",
        "0 for x < 0",
        7,
        outside=[(0, 0, 0), (-5, 0, 0)],
    ),
    Row(
        "rsqrt",
        torch.rsqrt,
        POSITIVE,
        "0 < x < 2^30",
        "0 for x <= 0",
        7,
        outside=[(0, 0, 0), (-5, 0, 0)],
    ),
    Row("x ** 3", _power(3), line(-900, 900), "abs(x^3) < 2^30", WRAPS, 3),
    Row("x ** 8", _power(8), line(-13, 13), "abs(x^8) < 2^30", WRAPS, 5, 12),
    Row(
        "x ** 20",
        _power(20),
        line(-1.95, 1.95),
        "abs(x^20) < 2^20.9",
        RESTS,
        16,
        12,
        outside=[(3, *near(HIGHEST)), (-3, *near(HIGHEST))],
    ),
    Row(
        "x ** -3",
        _power(-3),
        torch.cat([line(0.02, 50), line(-50, -0.02)]),
        "abs(x^-3) < 2^20.9",
        RESTS + "; 0 for x = 0",
        17,
        outside=[(0, 0, 0), (-0.001, *near(-HIGHEST))],
    ),
    Row(
        "x ** 2.5",
        _power(2.5),
        torch.cat([line(0, 1), spread(0, 8)]),
        "0 <= x^2.5 < 2^20.9",
        RESTS + "; 0 for x < 0",
        12,
        outside=[(1000, *near(HIGHEST)), (-3, 0, 0)],
    ),
    Row(
        "x ** -0.3",
        _power(-0.3),
        POSITIVE,
        "0 < x < 2^30",
        "0 for x <= 0",
        12,
        outside=[(0, 0, 0), (-3, 0, 0)],
    ),
    Row("hypot", _pair(torch.hypot), PAIRS, "x^2 + y^2 < 2^30", WRAPS, 9),
    # Circular and hyperbolic functions, and their inverses
    *(
        Row(
            name,
            function,
            torch.cat([line(-50, 50), spread(10, 32, BOTH)]),
            "abs(x) < 2^32",
            "from -1 to 1, of an x that is off by 2^-47 of itself",
            2,
            13,
            outside=[(1e13, -1.001, 1.001)],
        )
        for name, function in (("sin", torch.sin), ("cos", torch.cos))
    ),
    Row(
        "tan",
        torch.tan,
        TANGENTS,
        "abs(tan x) < 2^7",
        "fewer digits, 2^-21 of its square",
        13,
        12,
        outside=[(1.5708, -3e5, -2e5)],
    ),
    Row(
        "asin",
        torch.asin,
        line(-1, 1),
        "abs(x) <= 1",
        "pi/2 with the sign of x",
        17,
        outside=[(7, *near(pi / 2)), (-7, *near(-pi / 2))],
    ),
    Row(
        "acos",
        torch.acos,
        line(-1, 1),
        "abs(x) <= 1",
        "0 above, pi below",
        17,
        outside=[(7, *near(0)), (-7, *near(pi))],
    ),
    Row("atan", torch.atan, torch.cat([REAL, SIGNED]), MANY, "", 16),
    Row("arctan", torch.arctan, torch.cat([REAL, SIGNED]), MANY, "", 16),
    Row("atan2", _pair(torch.atan2), PAIRS, "abs(x), abs(y) < 2^29", "", 20, 13),
    Row(
        "sinh",
        torch.sinh,
        line(-14.4, 14.4),
        "abs(x) < 14.5",
        "rests at sinh(14.5)",
        5,
        outside=[(20, *near(HIGHEST_HALF)), (-1e9, *near(-HIGHEST_HALF))],
    ),
    Row(
        "cosh",
        torch.cosh,
        line(-14.4, 14.4),
        "abs(x) < 14.5",
        "rests at cosh(14.5)",
        5,
        outside=[(20, *near(HIGHEST_HALF)), (-1e9, *near(HIGHEST_HALF))],
    ),
    Row("tanh", torch.tanh, REAL, MANY, "", 5),
    Row("asinh", torch.asinh, spread(-16, 14, BOTH), "abs(x) < 2^15", WRAPS, 20),
    Row(
        "acosh",
        torch.acosh,
        torch.cat([line(1, 3), on_grid(1 + spread(-16, -4)), spread(0, 14)]),
        "1 <= x < 2^15",
        "log(x), or log(2^-34) for x <= 0",
        15,
        outside=[(0.5, *near(-0.693147)), (-5, *near(-34 * 0.693147))],
    ),
    Row(
        "atanh",
        torch.atanh,
        torch.cat([line(-0.999, 0.999), on_grid(1 - spread(-16, -2))]),
        "abs(x) < 1",
        "log((1 + abs(x)) 2^16) / 2 with the sign of x",
        7,
        outside=[(1, *near(17 * 0.693147 / 2)), (-3, *near(-18 * 0.693147 / 2))],
    ),
    # Activations
    Row("sigmoid", torch.sigmoid, REAL, MANY, "", 5),
    Row(
        "logit",
        torch.logit,
        torch.cat([line(0.001, 0.999), spread(-16, -2), on_grid(1 - spread(-16, -2))]),
        "0 < x < 1",
        "log(2^16 max(x, 1 - x)) with the sign of x - 1/2",
        7,
        outside=[(1, *near(16 * 0.693147)), (-3, *near(-18 * 0.693147))],
    ),
    Row("logsigmoid", F.logsigmoid, REAL, MANY, "", 5),
    Row("softplus", F.softplus, REAL, MANY, "", 5),
    Row("erf", torch.erf, REAL, MANY, "", 5),
    Row("erfc", torch.erfc, REAL, MANY, "", 5),
    Row("gelu", F.gelu, REAL, MANY, "", 5),
    Row("gelu (tanh)", lambda x: F.gelu(x, approximate="tanh"), REAL, MANY, "", 5),
    Row("silu", F.silu, REAL, MANY, "", 5),
    Row("mish", F.mish, REAL, MANY, "", 5),
    Row("elu", F.elu, REAL, MANY, "", 5),
    Row("selu", F.selu, REAL[REAL.abs() < 1 << 20], "abs(x) < 2^20", WRAPS, 5),
    Row("celu", lambda x: F.celu(x, 2.0), REAL, MANY, "", 5),
    # Functions of several numbers
    Row("softmax", lambda x: x.softmax(1), LOGITS, "10 classes, few rows", "", 12),
    Row("softmax, many rows", lambda x: x.softmax(1), LOGITS.repeat(5, 1), "10 classes", "", 23),
    Row("softmax over dim 0", lambda x: x.softmax(0), LOGITS, "40 classes", "", 37),
    Row("log_softmax", lambda x: x.log_softmax(1), LOGITS, "10 classes", "", 22),
    Row("logsumexp", lambda x: x.logsumexp(1), LOGITS, "10 entries", "", 22),
    Row("logaddexp", _pair(torch.logaddexp), PAIRS, MANY, "", 5),
    Row("norm, p = 0", _norm(0), MATRIX, MANY, "", 4),
    Row("norm, p = 1", _norm(1), MATRIX, MANY, "", 4),
    Row("norm", _norm(2), MATRIX, "sum of squares < 2^30", WRAPS, 8),
    Row("norm, p = 3.5", _norm(3.5), SCALES, "norm < 2^30", WRAPS, 45),
    Row("norm, p = 0.5", _norm(0.5), SCALES, "norm < 2^30", WRAPS, 45),
    Row("norm, p = -3", _norm(-3), SCALES, "abs(x) < 2^30", WRAPS, 52),
    Row("norm, p = inf", _norm(inf), MATRIX, MANY, "", 20),
    Row("norm, p = -inf", _norm(-inf), MATRIX, MANY, "", 20),
    Row("var", lambda x: x.var(1), MATRIX, "sum of squares < 2^30", WRAPS, 2),
    Row(
        "var, correction 0",
        lambda x: x.var(1, correction=0),
        MATRIX,
        "sum of squares < 2^30",
        WRAPS,
        2,
    ),
    Row("std", lambda x: x.std(1), MATRIX, "sum of squares < 2^30", WRAPS, 9),
    Row("prod", lambda x: x.prod(1), TERMS, "abs(products) < 2^30", WRAPS, 7, 12),
    Row("cumprod", lambda x: x.cumprod(1), TERMS, "abs(products) < 2^30", WRAPS, 7, 12),
]
