"""The rows: what is computed, on which numbers. Needs numpy only, as every system reads them.

A row names an operation and its inputs. "infer" and "step" run a network, a list of layers; a step
is forward, cross-entropy, backward and SGD, and its outputs are the new weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Arrays = dict[str, Array]
Layer = tuple[str, *tuple[int, ...]]

INPUTS = ("x", "y", "target")
RATE = 0.1  # of the SGD steps
CLASSES = 10

NETWORKS: dict[str, list[Layer]] = {
    "lenet": [
        *(("conv", 1, 20, 5), ("relu",), ("pool", 2)),
        *(("conv", 20, 50, 5), ("relu",), ("pool", 2)),
        *(("flatten",), ("linear", 800, 500), ("relu",), ("linear", 500, CLASSES)),
    ],
    "mlp": [
        *(("flatten",), ("linear", 784, 128), ("relu",)),
        *(("linear", 128, 128), ("relu",), ("linear", 128, CLASSES)),
    ],
}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    shapes: of the inputs x and y. between: the inputs are uniform there; None: normal, of deviation
    `spread`. bits: they are rounded to so many fractional bits, where an input that is nearly zero
    could be zero in fixed point. network: the key in NETWORKS that "infer" and "step" use.
    """

    name: str
    title: str
    op: str
    shapes: tuple[tuple[int, ...], ...]
    between: tuple[float, float] | None = None
    spread: float = 1.0
    bits: int | None = None
    network: str | None = None


def _matmul(n: int) -> Row:
    return Row(f"matmul-{n}", f"matmul {n} x {n}", "matmul", ((n, n), (n, n)))


def _pointwise(op: str, size: int, *, inputs: int = 1, **numbers: object) -> Row:
    power = f"1e{len(str(size)) - 1}"
    title = {"mul": "x * y", "greater": "x > 0"}.get(op, op)
    return Row(f"{op}-{power}", f"{title}, {power}", op, ((size,),) * inputs, **numbers)  # type: ignore[arg-type]


def _network(op: str, network: str, title: str, batch: int) -> Row:
    what = "inference" if op == "infer" else "training step"
    shape = ((batch, 1, 28, 28),)
    full = f"{title} {what}, batch {batch}"
    return Row(f"{network}-{op}-{batch}", full, op, shape, (0.0, 1.0), network=network)


ROWS = [
    *(
        Row(f"matmul-{n}", f"matmul {n} x {n}", "matmul", ((n, n), (n, n)))
        for n in (256, 512, 1024)
    ),
    _pointwise("mul", 10**6, inputs=2),
    *(_pointwise("greater", size, bits=12) for size in (10**5, 10**6)),
    *(_pointwise("relu", size) for size in (10**5, 10**6)),
    Row("max_pool", "max_pool2d 2x2, (16, 16, 24, 24)", "max_pool", ((16, 16, 24, 24),)),
    _pointwise("exp", 10**5, between=(-4.0, 4.0)),
    *(_pointwise(op, 10**5, between=(-6.0, 6.0)) for op in ("sigmoid", "tanh", "gelu")),
    *(_pointwise(op, 10**5, between=(0.1, 64.0)) for op in ("reciprocal", "log", "rsqrt")),
    Row("softmax", "softmax, 1000 x 10", "softmax", ((1000, 10),), spread=3.0),
    *(_network("infer", "lenet", "LeNet", batch) for batch in (1, 32)),
    _network("step", "lenet", "LeNet", 32),
    _network("step", "mlp", "784-128-128-10", 128),
]


def chosen(names: list[str]) -> list[Row]:
    """Rows by name or by its beginning ("relu", "lenet-infer"); all for none.

    Raises ValueError for a name that fits none.
    """
    strangers = [name for name in names if not any(row.name.startswith(name) for row in ROWS)]
    if strangers:
        known = ", ".join(row.name for row in ROWS)
        raise ValueError(f"no row called {', '.join(strangers)}; there are: {known}")
    return [row for row in ROWS if not names or row.name.startswith(tuple(names))]


def inputs(row: Row) -> Arrays:
    """What the row is computed on: x, y; for networks their parameters and, one-hot, the target."""
    random = np.random.default_rng(crc32(row.name.encode()))
    arrays = {}
    for name, shape in zip(INPUTS, row.shapes, strict=False):
        if row.between is None:
            values = random.normal(0.0, row.spread, shape)
        else:
            values = random.uniform(*row.between, shape)
        if row.bits is not None:
            values = np.round(values * 2**row.bits) / 2**row.bits
        arrays[name] = values.astype(np.float32)
    if row.network is not None:
        arrays.update(parameters(NETWORKS[row.network], random))
    if row.op == "step":
        classes = random.integers(CLASSES, size=row.shapes[0][0])
        arrays["target"] = np.eye(CLASSES, dtype=np.float32)[classes]
    return arrays


def parameters(layers: list[Layer], random: np.random.Generator) -> Arrays:
    """Weights and biases as torch draws them, by the names that a Sequential gives them."""
    arrays = {}
    for place, (kind, *sizes) in enumerate(layers):
        if kind in ("conv", "linear"):
            before, after, *kernel = sizes
            shape = (after, before, *kernel * 2)
            bound = float(np.prod(shape[1:])) ** -0.5
            for name, size in (("weight", shape), ("bias", (after,))):
                drawn = random.uniform(-bound, bound, size)
                arrays[f"{place}.{name}"] = drawn.astype(np.float32)
    return arrays
