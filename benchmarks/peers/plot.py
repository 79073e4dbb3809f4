"""The plot: seconds and bytes sent, a bar for each system; needs the extra [bench]."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from .table import TITLES, Results, rows_of, systems_of

COLOURS = {
    "mpctensor": "#1b6ca8",
    "mpctensor-simulated": "#8ec1e8",
    "crypten": "#d98324",
    "spu": "#6a994e",
    "torch": "#b0b0b0",
}
PANELS = (
    ("seconds", 1.0, "seconds", tuple(COLOURS)),
    ("sent", 1e6, "MB sent by each party", ("mpctensor", "crypten", "spu")),
)


def plot(results: Results, path: Path) -> None:
    """Draw what was measured; a bar is missing where a system failed or does not count."""
    rows = rows_of(results)
    figure, panels = pyplot.subplots(
        1, 2, sharey=True, figsize=(13, 2 + 0.45 * len(rows)), layout="constrained"
    )
    for axis, (key, unit, label, wanted) in zip(panels, PANELS, strict=True):
        systems = [name for name in systems_of(results) if name in wanted]
        height = 0.8 / max(1, len(systems))
        for place, name in enumerate(systems):
            cells = [results["cells"][row.name].get(name, {}) for row in rows]
            bars = [(i, cell[key] / unit) for i, cell in enumerate(cells) if cell.get(key)]
            axis.barh(
                [i - 0.4 + height * (place + 0.5) for i, _ in bars],
                [length for _, length in bars],
                height,
                label=TITLES[name],
                color=COLOURS[name],
            )
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(axis="x", alpha=0.4)
        axis.set_axisbelow(True)
    panels[0].set_yticks(range(len(rows)), [row.title for row in rows])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    machine = results["machine"]
    figure.suptitle(
        f"Less is better. {machine['cpu']}, {machine['cores']} cores, {results['date']}"
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
