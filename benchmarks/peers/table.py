"""The results as markdown tables and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .works import ROWS, Row

Cell = dict[str, Any]
Results = dict[str, Any]

TITLES = {
    "mpctensor": "mpctensor",
    "mpctensor-18": "mpctensor, 18 bits",
    "mpctensor-plain": "mpctensor, no TLS",
    "mpctensor-simulated": "mpctensor, simulated",
    "crypten": "CrypTen",
    "spu": "SPU",
    "torch": "plain torch",
}
PEERS = ("crypten", "spu")
OURS = "mpctensor"
MAIN = (
    *("matmul-1024", "greater-1e6", "relu-1e6", "max_pool", "sigmoid-1e5", "softmax"),
    *("lenet-infer-32", "lenet-step-32", "mlp-step-128"),
)
EXACT = {"crypten": "mpctensor", "spu": "mpctensor-18"}  # with as many fractional bits

NOTES = """\
* Inputs, and the weights of networks, are shared before the clock starts, and results stay shared.
  Every repetition starts from fresh copies of both, so nothing that was opened in one serves the
  next (in use, mpctensor opens the masked weights of a model once for many inferences).
* Parties are processes on loopback. "mpctensor": two parties and the provider, over TLS;
  "no TLS": the same over plain TCP; "simulated": everybody in one process, on as many threads as
  the two parties have together. Plain torch: float32, with the threads of one party.
* Triples: mpctensor's come from the provider, a third process whose time, CPU and bytes are in the
  figures. CrypTen (its default, TFP) lets party 0 make them in the clear, and SPU (semi2k, its
  default) lets rank 0 hold all seeds: neither sends any, and both let one party read the other's
  secrets. Their figures are without the cost of a provider.
* CrypTen carries 16 fractional bits as mpctensor does by default, SPU 18 as it does by default; its
  errors are compared with those of mpctensor with 18 bits. SPU's programs are compiled before the
  clock starts, with channels last, which suits it. Both peers encrypt nothing on the line.
* CPU: of both parties and the provider. Rounds and bytes are each system's own counts: `cost()`,
  CrypTen's counter (of which half is what is sent), the link's totals in SPU's profile (its rounds
  are messages sent by a party). "-": it does not count that.
* Error: the largest absolute difference from torch in float64, from the same inputs; for training
  steps, over all new weights (SGD, rate 0.1). Losses are cross-entropy everywhere.
* Errors of 1.0 in CrypTen's products: it decodes some negative numbers off by one.
* gelu is the exact one; CrypTen (which has none) and SPU (jax's default) use the form with tanh, of
  which 5e-4 of their errors are due to that. CrypTen's own erf diverges beyond 3.
"""


def seconds(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def megabytes(value: float) -> str:
    size = value / 1e6
    return "0" if not value else f"{size:.2g}" if size < 10 else f"{size:.0f}"


def times(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}" if value < 1e5 else f"{value:.0e}"


def error(value: float) -> str:
    return f"{value:.1e}"


def value(cell: Cell | None, key: str, show: Callable[[float], str]) -> str:
    """One entry of a table."""
    if cell is None:
        return ""
    if "failed" in cell:
        return "failed"
    return "-" if cell.get(key) is None else show(cell[key])


def grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines)) + "\n"


def rows_of(results: Results) -> list[Row]:
    """The rows that were measured, in their order."""
    return [row for row in ROWS if row.name in results["cells"]]


def systems_of(results: Results) -> list[str]:
    """The systems that were measured, in their order."""
    return [name for name in TITLES if any(name in line for line in results["cells"].values())]


def table(results: Results, key: str, show: Callable[[float], str], systems: Sequence[str]) -> str:
    """One figure of every row and system."""
    lines = [
        [row.title, *(value(results["cells"][row.name].get(name), key, show) for name in systems)]
        for row in rows_of(results)
    ]
    return grid(["work", *(TITLES[name] for name in systems)], lines)


def ratio(line: dict[str, Cell], above: str, below: str, key: str) -> str:
    """How many times the figure of `below` that of `above` is."""
    a, b = line.get(above, {}).get(key), line.get(below, {}).get(key)
    return times(a / b) if a is not None and b else ""


def summary(results: Results) -> str:
    """The main rows: seconds, and what a party sends."""
    systems = [name for name in (OURS, *PEERS) if name in systems_of(results)]
    head = ["work", *(f"{TITLES[name]}, s" for name in systems)]
    head += [f"{TITLES[name]}, MB" for name in systems]
    lines = []
    for row in (row for row in rows_of(results) if row.name in MAIN):
        cells = [results["cells"][row.name].get(name) for name in systems]
        lines.append([row.title, *(value(cell, "seconds", seconds) for cell in cells)])
        lines[-1] += [value(cell, "sent", megabytes) for cell in cells]
    return grid(head, lines)


def comparison(results: Results) -> str:
    """What the peers take, in terms of what mpctensor takes."""
    peers = [name for name in PEERS if name in systems_of(results)]
    head = ["work"]
    head += [f"{TITLES[name]}: time" for name in peers]
    head += [f"{TITLES[name]}: bytes sent" for name in peers]
    head += [f"{TITLES[name]}: error" for name in peers]
    lines = []
    for row in rows_of(results):
        line = results["cells"][row.name]
        lines.append([row.title])
        for key in ("seconds", "sent"):
            lines[-1] += [ratio(line, name, OURS, key) for name in peers]
        lines[-1] += [ratio(line, name, EXACT[name], "error") for name in peers]
    return grid(head, lines)


def against_torch(results: Results, systems: Sequence[str]) -> str:
    """Times the time of plain torch."""
    lines = [
        [
            row.title,
            *(ratio(results["cells"][row.name], name, "torch", "seconds") for name in systems),
        ]
        for row in rows_of(results)
    ]
    return grid(["work", *(TITLES[name] for name in systems)], lines)


def failures(results: Results) -> list[str]:
    """A line for each cell without figures."""
    return [
        f"* {row.title}, {TITLES[name]}: {cell['failed']}"
        for row in rows_of(results)
        for name, cell in results["cells"][row.name].items()
        if "failed" in cell
    ]


def setting(results: Results) -> str:
    """Machine, versions, date, and how it was measured."""
    machine, effort = results["machine"], results["effort"]
    used = [pair for versions in results["versions"].values() for pair in versions.items()]
    return (
        f"{results['date']}, {machine['cpu']}, {machine['cores']} cores, kernels for"
        f" {machine['isa']}, {machine['system']}, load {machine['load']} before the run.\n"
        f"{', '.join(sorted({' '.join(pair) for pair in used}))}.\n"
        f"Threads of a party: {effort['threads']}. Medians over up to {effort['repeats']}"
        " turns, after a first run that does not count.\n"
    )


def markdown(results: Results) -> str:
    """The whole report."""
    systems = systems_of(results)
    secret = [name for name in systems if name != "torch"]
    counted = [name for name in (OURS, *PEERS) if name in systems]
    parts = ["# mpctensor beside CrypTen and SPU", setting(results)]
    parts += ["## In short: time, and what a party sends", summary(results)]
    if OURS in systems and set(PEERS) & set(systems):
        parts += ["## Times that of mpctensor (over TLS)", comparison(results)]
    parts += ["## Seconds", table(results, "seconds", seconds, systems)]
    if "torch" in systems:
        parts += ["## Times plain torch", against_torch(results, secret)]
    parts += ["## CPU seconds of everybody", table(results, "cpu", seconds, systems)]
    parts += ["## Rounds", table(results, "rounds", "{:.0f}".format, counted)]
    parts += ["## MB sent by each party", table(results, "sent", megabytes, counted)]
    parts += ["## MB from the provider", table(results, "dealt", megabytes, counted)]
    parts += ["## Largest error", table(results, "error", error, systems)]
    failed = failures(results)
    if failed:
        parts += ["## Failed", "\n".join(failed) + "\n"]
    return "\n\n".join(part.rstrip("\n") for part in [*parts, "## Notes", NOTES]) + "\n"
