"""How cost grows with the work: time, memory, bytes and rounds of operations from 10^3 elements up.

Every measurement has fresh processes: one that simulates, or two parties and a provider over plain
TCP on the loopback interface with a thread each. Writes results/growth.md and results/growth.png.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import torch

import mpctensor as mpc
from mpctensor.command.throwaway import deployment

from .bench_link import NAMES, launched, running
from .growth import WORD, WORKS, Figures, slopes, table
from .growth_chart import draw
from .peers.machine import machine

Report = Callable[[str, float, str], None]
RESULTS = Path(__file__).parent / "results"
LIMIT = 300  # seconds of one measurement


def simulated(*arguments: str) -> list[dict[str, Any]]:
    """What one process measures that is all parties."""
    threads = str(torch.get_num_threads())
    with running(launched("benchmarks.growing", *arguments, OMP_NUM_THREADS=threads)) as process:
        return [said(process)]


def deployed(*arguments: str) -> list[dict[str, Any]]:
    """What each party measures."""
    with ExitStack() as stack:
        config = stack.enter_context(deployment(NAMES, "james", plain=True))
        stack.enter_context(running(launched("mpctensor", "provider", "--config", str(config))))
        parties = [
            stack.enter_context(
                running(
                    launched(
                        *("benchmarks.growing", *arguments),
                        MPCTENSOR_CONFIG=str(config),
                        MPCTENSOR_PARTY=name,
                    )
                )
            )
            for name in NAMES
        ]
        return [said(party) for party in parties]


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The figures of a process, once it has ended."""
    output = process.communicate(timeout=LIMIT)[0]
    if process.returncode:
        raise RuntimeError(f"{process.args} failed; it says why above")
    return dict(json.loads(output))


PLACES = {"simulated": simulated, "deployed": deployed}


def figures(where: str, work: str, size: int) -> Figures:
    """The repetition that took least; of the parties, the one that takes most."""
    processes = PLACES[where](work, str(size))
    elements = WORKS[work].elements(size)
    held = len(NAMES) // len(processes)  # shares of an operand in one process
    return Figures(
        elements,
        held * WORD * WORKS[work].operands * elements,
        min(map(max, zip(*(process["seconds"] for process in processes), strict=True))),
        *(max(process[key] for process in processes) for key in ("memory", "rounds")),
        *(max(process[key] for process in processes) for key in ("sent", "dealt")),
    )


def run(report: Report) -> None:
    series = {}
    for where in PLACES:
        for name, work in WORKS.items():
            series[where, name] = [figures(where, name, size) for size in work.sizes]
            reported(report, f"{where}, {name}", series[where, name])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.md").write_text(written(series))
    draw(series, f"{where_it_ran()}, {date.today()}", RESULTS / "growth.png")


def reported(report: Report, label: str, every: Sequence[Figures]) -> None:
    for figures, slope in zip(every, [float("nan"), *slopes(every)], strict=True):
        size = f"{label}, {figures.elements:,} elements"
        report(f"{size}: an element", 1e9 * figures.seconds / figures.elements, "ns")
        report(f"{size}: slope of the time", slope, "")
        report(f"{size}: memory by operands", figures.multiple, "")
        report(f"{size}: rounds", figures.rounds, "")
        report(f"{size}: sent by each party", figures.sent / 1e6, "MB")
        report(f"{size}: from the provider", figures.dealt / 1e6, "MB")


def where_it_ran() -> str:
    on = machine()
    cores = f"{on['cores']} cores (load {on['load']})"
    return f"{on['cpu']}, {cores}, {on['isa']} kernels, {on['system']}"


def written(series: dict[tuple[str, str], list[Figures]]) -> str:
    """growth.md."""
    text = (
        "# How cost grows\n\n"
        "![seconds, memory and bytes over elements](growth.png)\n\n"
        f"`python -m benchmarks growth` on {date.today()}: {where_it_ran()}, Python"
        f" {platform.python_version()}, torch {torch.__version__}, mpctensor {mpc.__version__}.\n"
        'What the columns mean: "How cost grows" in [the README](../README.md).\n'
    )
    for (where, name), every in series.items():
        power = WORKS[name].power
        text += (
            f"\n## {name}, {where}\n\nAt a slope of {power:g} the time grows as the work does.\n\n"
        )
        text += table(every)
    return text
