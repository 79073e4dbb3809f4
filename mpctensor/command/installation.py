"""`doctor` on this machine: releases, compiled kernels, what the processor can do."""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import torch

from .. import kernels
from ..release import VERSION
from .findings import Finding, ok, warn

OLDEST_TORCH = (2, 13)


def check_installation() -> Iterator[Finding]:
    yield ok("Python", platform.python_version())
    yield _torch(torch.__version__)
    yield ok("mpctensor", VERSION)
    yield _kernels(kernels.isa())
    yield _processor(_features())
    yield _cryptography()


def _torch(version: str) -> Finding:
    numbers = re.findall(r"\d+", version)
    if tuple(map(int, numbers[:2])) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        return warn("PyTorch", version, f"mpctensor is made for {oldest} and later: upgrade torch")
    return ok("PyTorch", version)


def _kernels(isa: str) -> Finding:
    if isa == "portable":
        advice = (
            "the processor has no AVX2, or MPCTENSOR_ISA rules it out; everything works, slower"
        )
        return warn("kernels", isa, advice)
    return ok("kernels", isa)


def _processor(features: set[str]) -> Finding:
    """Whether there are instructions for AES, which random numbers and TLS use."""
    if not features:
        return ok("processor", f"{platform.machine()}; its features cannot be told here")
    if "aes" not in features:
        return warn("processor", "no AES instructions", "random numbers and TLS will be slow")
    return ok("processor", f"{platform.machine()}, AES" + ", VAES" * ("vaes" in features))


def _features() -> set[str]:
    """The processor's features by their names in /proc/cpuinfo; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(line.group(1).split()) if line else set()


def _cryptography() -> Finding:
    if importlib.util.find_spec("cryptography") is None:
        advice = "`mpctensor keys` needs it: pip install 'mpctensor[deploy]'; sessions do not"
        return warn("cryptography", "not installed", advice)
    return ok("cryptography", "installed")
