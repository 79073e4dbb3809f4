"""Fits the smooth functions; prints coefficients.py and waves.py of mpctensor/protocols/smooth.

`pip install scipy`, then `python benchmarks/fit_smooth.py`. Nothing here runs with the library. The
printed numbers may differ in their last places between versions of scipy; any of them will do.

* 1/t, 1/sqrt(t), sqrt(t), log(t) on [1, 16): a constant and a few exponentials, w exp(-a (t - 1)).
  Such sums converge fast for these functions (Braess and Hackbusch, "Approximation of 1/x by
  exponential sums in [1, inf)", IMA J. Numer. Anal. 2005 [BH05]). The exponents come from
  least squares with variable projection and reweighting towards the largest error, the weights then
  from a linear program (smallest largest error).
* Curves such as sigmoid(x) - 1/2 on an interval: sines, cosines or both, of a period somewhat
  longer than the interval, with the smallest largest error by a linear program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, linprog
from scipy.special import erf, expit

Array = NDArray[np.float64]
EXPONENT_BITS, WEIGHT_BITS = 20, 40
RADIX = 16

# name: (function, weight of the error, exponentials)
DECAYS = {
    "reciprocal": (lambda t: 1 / t, lambda t: t, 5),
    "fine reciprocal": (lambda t: 1 / t, lambda t: t, 6),
    "rsqrt": (lambda t: t**-0.5, lambda t: t**0.5, 5),
    "sqrt": (np.sqrt, lambda t: t**-0.5, 4),
    "log": (np.log, np.ones_like, 5),
}


@dataclass(frozen=True)
class Fit:
    """What is fitted between low and high, with which harmonics of which period.

    parity: "odd" takes sines, "even" cosines, "none" both.
    """

    function: Callable[[Array], Array]
    low: float
    high: float
    period: float
    harmonics: int
    parity: str


def _bell(x: Array) -> Array:
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def _gelu_tanh(x: Array) -> Array:
    """The argument of the tanh by which gelu is approximated."""
    return np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x: Array) -> Array:
    inner = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x * x)
    tanh = np.tanh(_gelu_tanh(x))
    return tanh / 2 + x * (1 - tanh**2) * inner / 2


def _mish_slope(x: Array) -> Array:
    tanh = np.tanh(np.logaddexp(0, x))
    return tanh + x * (1 - tanh**2) * expit(x)


def _arccos_over_root(x: Array) -> Array:
    return np.arccos(x) / np.sqrt(1 - x)


# Of what rises from 0 to 1 the part beyond 1/2, of what rises from 0 to x that beyond x / 2.
WAVES = {
    "sigmoid": Fit(lambda x: expit(x) - 0.5, -12, 12, 31, 16, "odd"),
    "softplus": Fit(lambda x: np.logaddexp(x / 2, -x / 2), -12, 12, 31, 14, "even"),
    "normal": Fit(lambda x: erf(x) / 2, -3.25, 3.25, 10.5, 10, "odd"),
    "gelu": Fit(lambda x: x * erf(x / np.sqrt(2)) / 2, -5, 5, 14.5, 10, "even"),
    "gelu_slope": Fit(lambda x: erf(x / np.sqrt(2)) / 2 + x * _bell(x), -5, 5, 15.5, 10, "odd"),
    "gelu_tanh": Fit(lambda x: x * np.tanh(_gelu_tanh(x)) / 2, -5, 5, 14.5, 10, "even"),
    "gelu_tanh_slope": Fit(_gelu_tanh_slope, -5, 5, 14.5, 10, "odd"),
    "silu": Fit(lambda x: x * (expit(x) - 0.5), -13, 13, 31, 20, "even"),
    "silu_slope": Fit(lambda x: expit(x) * (1 + x * (1 - expit(x))) - 0.5, -13, 13, 31, 22, "odd"),
    "mish": Fit(lambda x: x * np.tanh(np.logaddexp(0, x)) - x / 2, -14, 7, 27, 20, "none"),
    "mish_slope": Fit(lambda x: _mish_slope(x) - 0.5, -14, 7, 26, 22, "none"),
    "arctan": Fit(np.arctan, -1, 1, 3.625, 8, "odd"),
    "arccos_over_root": Fit(_arccos_over_root, 0, 1 - 2**-30, 3, 4, "none"),
}


def nodes(low: float, high: float, count: int) -> Array:
    """Chebyshev nodes of an interval."""
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def minimax(basis: Array, target: Array) -> tuple[Array, float]:
    """The combination of the columns with the smallest largest error."""
    n, m = basis.shape
    ones = np.ones((n, 1))
    inequalities = np.block([[basis, -ones], [-basis, -ones]])
    bounds = [(None, None)] * m + [(0, None)]
    sides = np.concatenate([target, -target])
    found = linprog([0.0] * m + [1.0], inequalities, sides, bounds=bounds, method="highs")
    return found.x[:-1], found.x[-1]


def decays(t: Array, exponents: Array) -> Array:
    """The constant and the exponentials at t, a column each."""
    return np.concatenate([np.ones((len(t), 1)), np.exp(-np.outer(t - 1, exponents))], axis=1)


def fit_decays(name: str) -> tuple[float, Array, Array]:
    """(largest error, exponents, weights with the constant first)."""
    function, weight, count = DECAYS[name]
    t = nodes(1, RADIX, 400)
    scale = weight(t)
    target = function(t) * scale

    def residual(logs: Array, emphasis: Array | float = 1.0) -> Array:
        basis = decays(t, np.exp(logs)) * (scale * emphasis)[:, None]
        solution = np.linalg.lstsq(basis, target * emphasis, rcond=None)[0]
        return basis @ solution - target * emphasis

    starts = [np.log(np.geomspace(low, high, count)) for low in (0.02, 0.05) for high in (2.5, 4)]
    fits = [least_squares(residual, start, method="lm", max_nfev=4000).x for start in starts]
    logs = min(fits, key=lambda z: np.abs(residual(z)).max())
    best, emphasis = logs, np.ones(len(t))
    for _ in range(100):  # towards the smallest largest error (Lawson)
        error = np.abs(residual(logs, np.sqrt(emphasis))) / np.sqrt(emphasis)
        if error.max() < np.abs(residual(best)).max():
            best = logs
        emphasis *= (error / error.max() + 1e-3) ** 0.3
        emphasis /= emphasis.max()
        roots = np.sqrt(emphasis)
        logs = least_squares(lambda z: residual(z, roots), logs, method="lm", max_nfev=300).x
    exponents = np.sort(np.round(np.exp(best) * 2**EXPONENT_BITS) / 2**EXPONENT_BITS)
    weights, error = minimax(decays(t, exponents) * scale[:, None], target)
    return error, exponents, weights


def fit_waves(fit: Fit) -> tuple[float, float, Array, Array]:
    """(largest error, constant, cosines, sines)."""
    x = nodes(0 if fit.parity != "none" else fit.low, fit.high, 1000)
    angles = np.outer(x, np.arange(1, fit.harmonics + 1)) * 2 * np.pi / fit.period
    columns = []
    if fit.parity != "odd":
        columns += [np.ones((len(x), 1)), np.cos(angles)]
    if fit.parity != "even":
        columns.append(np.sin(angles))
    weights, error = minimax(np.concatenate(columns, axis=1), fit.function(x))
    if fit.parity == "odd":
        return error, 0.0, weights[:0], weights
    cosines, sines = np.split(weights[1:], [fit.harmonics])
    return error, weights[0], cosines, sines


def integers(values: Array, bits: int) -> str:
    return ", ".join(f"{round(float(value) * 2**bits):_}" for value in values)


def fraction(end: float) -> str:
    """As Python writes it; ends are multiples of 1/8, but for those just inside of one."""
    value = Fraction(end).limit_denominator(8)
    return str(value) if value.denominator == 1 else repr(value)


def main() -> None:
    for name in DECAYS:
        error, exponents, weights = fit_decays(name)
        print(f"    # largest error {error:.1e} = 2^{np.log2(error):.1f}")
        print(f'    "{name}": Decays(\n        {round(weights[0] * 2**WEIGHT_BITS):_},')
        print(f"        ({integers(exponents, EXPONENT_BITS)}),")
        print(f"        ({integers(weights[1:], WEIGHT_BITS)}),\n    ),")
    for name, fit in WAVES.items():
        error, constant, cosines, sines = fit_waves(fit)
        ends = ", ".join(fraction(end) for end in (fit.low, fit.high, fit.period))
        print(f"    # largest error {error:.1e} = 2^{np.log2(error):.1f}")
        print(
            f'    "{name}": Waves(\n        {ends}, {integers(np.array([constant]), WEIGHT_BITS)},'
        )
        print(f"        ({integers(cosines, WEIGHT_BITS)}),")
        print(f"        ({integers(sines, WEIGHT_BITS)}),\n    ),")


if __name__ == "__main__":
    main()
