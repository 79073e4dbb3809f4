"""Real processes of the command `mpctensor`, each with a time limit."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIMIT = 60  # seconds; on a busy machine one process needs several to import torch


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without our variables, with the package on the path."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MPCTENSOR_")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **changes}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mpctensor", *map(str, arguments)]


def run(*arguments: object, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; text output."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def start(*arguments: object, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start, with piped output; the caller ends it."""
    return subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
