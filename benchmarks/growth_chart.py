"""The chart of `bench_growth`: seconds, memory and bytes over elements; needs the extra [bench]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from .growth import Figures

PANELS = (
    ("seconds", lambda figures: figures.seconds),
    ("extra memory, as a multiple of the operands' shares", lambda figures: figures.multiple),
    ("bytes of a party; of the provider (dotted)", lambda figures: figures.sent),
)
COLOURS = {"mul": "#6a994e", "relu": "#1b6ca8", "matmul": "#d98324"}
FROM = 10**5  # elements: below it, memory is what every operation needs


def draw(series: Mapping[tuple[str, str], Sequence[Figures]], title: str, path: Path) -> None:
    """A line for each (where, work); simulated ones are dashed."""
    figure, panels = pyplot.subplots(1, len(PANELS), figsize=(15, 5), layout="constrained")
    for panel, (label, value) in zip(panels, PANELS, strict=True):
        for (where, work), every in series.items():
            style = "--" if where == "simulated" else "-"
            shown = [f for f in every if "memory" not in label or f.elements >= FROM]
            sizes, colour = [f.elements for f in shown], COLOURS[work]
            panel.plot(
                sizes, [value(f) for f in shown], style, marker="o", ms=4, color=colour,
                label=f"{work}, {where}",
            )  # fmt: skip
            if "provider" in label:
                panel.plot(sizes, [f.dealt for f in shown], ":", color=colour)
        panel.set(xscale="log", yscale="log", xlabel="elements of an operand", title=label)
        panel.grid(alpha=0.4)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
