"""Fits the coefficients of the smooth functions; prints mpctensor/protocols/smooth/coefficients.py.

`pip install scipy`, then `python benchmarks/fit_smooth.py`. Nothing here runs with the library. The
printed numbers may differ in their last places between versions of scipy; any of them will do.

* 1/t, 1/sqrt(t), sqrt(t), log(t) on [1, 16): a constant and a few exponentials, w exp(-a (t - 1)).
  Such sums converge fast for these functions (Braess and Hackbusch, "Approximation of 1/x by
  exponential sums in [1, inf)", IMA J. Numer. Anal. 2005 [BH05]). The exponents come from
  least squares with variable projection and reweighting towards the largest error, the weights then
  from a linear program (smallest largest error).
* sigmoid(x) - 1/2 on [-12, 12]: sines of period 31, the smallest largest error by a linear program.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, linprog

Array = NDArray[np.float64]
EXPONENT_BITS, WEIGHT_BITS = 20, 40
RADIX = 16

# name: (function, weight of the error, exponentials)
DECAYS = {
    "reciprocal": (lambda t: 1 / t, lambda t: t, 5),
    "rsqrt": (lambda t: t**-0.5, lambda t: t**0.5, 5),
    "sqrt": (np.sqrt, lambda t: t**-0.5, 4),
    "log": (np.log, np.ones_like, 5),
}
SIGMOID_RANGE, SIGMOID_PERIOD, SIGMOID_HARMONICS = 12, 31, 16


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


def fit_sigmoid() -> tuple[float, Array]:
    """(largest error, weights of the sines)."""
    x = nodes(0, SIGMOID_RANGE, 2500)
    angles = np.outer(x, np.arange(1, SIGMOID_HARMONICS + 1)) * 2 * np.pi / SIGMOID_PERIOD
    weights, error = minimax(np.sin(angles), 1 / (1 + np.exp(-x)) - 0.5)
    return error, weights


def integers(values: Array, bits: int) -> str:
    return ", ".join(f"{round(float(value) * 2**bits):_}" for value in values)


def main() -> None:
    for name in DECAYS:
        error, exponents, weights = fit_decays(name)
        print(f"    # largest error {error:.1e} = 2^{np.log2(error):.1f}")
        print(f'    "{name}": Decays(\n        {round(weights[0] * 2**WEIGHT_BITS):_},')
        print(f"        ({integers(exponents, EXPONENT_BITS)}),")
        print(f"        ({integers(weights[1:], WEIGHT_BITS)}),\n    ),")
    error, sines = fit_sigmoid()
    print(f"# largest error {error:.1e}\nSIGMOID = ({integers(sines, WEIGHT_BITS)})")


if __name__ == "__main__":
    main()
