"""`python -m benchmarks.peers`: mpctensor beside CrypTen and SPU. benchmarks/README.md explains."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

from .machine import machine
from .measure import Effort, measured
from .plot import plot
from .systems import SYSTEMS, System
from .table import markdown, seconds, value
from .works import ROWS, Row, chosen

RESULTS = Path(__file__).parents[1] / "results"


def _list(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    names = ", ".join(row.name for row in ROWS)
    parser.add_argument("--rows", type=_list, default=[], help=f"or their beginnings, of {names}")
    parser.add_argument("--systems", type=_list, default=list(SYSTEMS), help=", ".join(SYSTEMS))
    parser.add_argument("--repeats", type=int, default=Effort.repeats)
    parser.add_argument("--threads", type=int, default=1, help="of a party")
    parser.add_argument("--limit", type=float, default=Effort.limit, help="seconds, row and system")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument(
        "--update", action="store_true", help="keep what is there of other rows and systems"
    )
    found = parser.parse_args()
    strangers = sorted(set(found.systems) - set(SYSTEMS))
    if strangers:
        parser.error(f"no system called {', '.join(strangers)}; there are: {', '.join(SYSTEMS)}")
    if found.repeats < 1 or found.threads < 1:
        parser.error("--repeats and --threads start at 1")
    try:
        found.rows = chosen(found.rows)
    except ValueError as error:
        parser.error(str(error))
    return found


def report(row: Row, cells: dict[str, dict[str, Any]], taken: float) -> None:
    """A line while the run goes on."""
    figures = ", ".join(f"{name} {value(cell, 'seconds', seconds)}" for name, cell in cells.items())
    print(f"{row.title}: {figures} s (measured in {taken:.0f} s)", flush=True)


def main() -> None:
    wanted = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the systems are ended too
    effort = Effort(repeats=wanted.repeats, limit=wanted.limit)
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "effort": {"repeats": wanted.repeats, "threads": wanted.threads},
        "versions": {},
        "cells": {},
    }
    wanted.results.mkdir(parents=True, exist_ok=True)
    stored = wanted.results / "peers.json"
    if wanted.update and stored.exists():
        before = json.loads(stored.read_text())
        results["versions"], results["cells"] = before["versions"], before["cells"]
    with ExitStack() as stack:
        systems = [System(name, wanted.threads) for name in SYSTEMS if name in wanted.systems]
        for system in systems:
            stack.callback(system.end)
        for row in wanted.rows:
            started = perf_counter()
            cells = measured(row, systems, effort)
            report(row, cells, perf_counter() - started)
            results["cells"].setdefault(row.name, {}).update(cells)
            results["versions"] |= {system.name: system.versions for system in systems}
            stored.write_text(json.dumps(results, indent=1) + "\n")
    (wanted.results / "peers.md").write_text(markdown(results))
    plot(results, wanted.results / "peers.png")
    print(f"written: {stored}, peers.md, peers.png")


if __name__ == "__main__":
    main()
