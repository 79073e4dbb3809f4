"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from mpctensor import kernels


def machine() -> dict[str, str]:
    """The processor, the cores that this process may use, what the kernels use, and the load."""
    return {
        "cpu": processor(Path("/proc/cpuinfo")),
        "cores": str(len(os.sched_getaffinity(0))),
        "isa": kernels.isa(),
        "system": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def processor(about: Path) -> str:
    """The model's name as Linux gives it, or what Python knows."""
    if about.is_file():
        for line in about.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
