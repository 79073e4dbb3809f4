"""Runs benchmarks: `python -m benchmarks [name ...]`, every benchmarks/bench_<name>.py by default.

A benchmark is a module with `run(report)`; it calls `report(label, value, unit)` for each figure.
"""

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks there are, without their `bench_` prefix."""
    return sorted(path.stem[len("bench_") :] for path in Path(__file__).parent.glob("bench_*.py"))


def report(label: str, value: float, unit: str) -> None:
    """Print one figure."""
    print(f"  {label:<58}{value:>14,.3f} {unit}", flush=True)


def main(wanted: list[str]) -> None:
    """Run the benchmarks named, or all of them."""
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        sys.exit(f"No benchmark called {', '.join(unknown)}; there are: {', '.join(names())}.")
    for name in wanted or names():
        print(name)
        importlib.import_module(f"benchmarks.bench_{name}").run(report)


if __name__ == "__main__":
    main(sys.argv[1:])
