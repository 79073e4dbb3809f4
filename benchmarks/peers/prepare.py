"""Environments with the peers, outside of the project: `python -m benchmarks.peers.prepare`.

They go to MPCTENSOR_PEERS, by default a folder mpctensor-peers among the temporary files. CrypTen
0.4.1 asks for packages that it does not need and reaches into torch where torch has changed, so it
is installed without what it asks for, and its copy of one file is mended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TORCH = "torch==2.13.0"
CRYPTEN, CRYPTEN_NEEDS = "crypten==0.4.1", ("omegaconf", "onnx", "pandas", "pyyaml", "scipy")
SPU = ("spu==0.9.5", "jax[cpu]==0.4.34")

CONVERTER = "crypten/nn/onnx_converter.py"
CHANGES = {
    # an import of a private table of torch's, that torch no longer has at that place
    "    from torch.onnx._internal.registration import registry  # noqa\n": "    registry = None\n",
    # the exporter that the converter was written for
    '        "do_constant_folding": False,\n': '        "do_constant_folding": False,\n'
    '        "dynamo": False,\n',
}


def folder() -> Path:
    """Where the environments are."""
    chosen = os.environ.get("MPCTENSOR_PEERS")
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / "mpctensor-peers"


def interpreter(system: str) -> Path:
    """The Python of a peer's environment."""
    return folder() / system / "bin" / "python"


def crypten(pip: Callable[..., None], site: Path) -> None:
    pip(TORCH)  # first, and so exactly: the others are satisfied by it
    pip(*CRYPTEN_NEEDS)
    pip("--no-deps", CRYPTEN)
    mend(site / CONVERTER)


def spu(pip: Callable[..., None], site: Path) -> None:
    pip(*SPU)


PEERS = {"crypten": crypten, "spu": spu}


def mend(file: Path) -> None:
    """Make the CHANGES; RuntimeError where the file is not the one that they are for."""
    text = file.read_text()
    for old, new in CHANGES.items():
        if text.count(old) != 1:
            raise RuntimeError(f"{file} is not that of {CRYPTEN}: it lacks {old.strip()!r}")
        text = text.replace(old, new)
    file.write_text(text)


def prepare(system: str) -> None:
    """Make a peer's environment, unless it has been finished before."""
    python = interpreter(system)
    home = python.parents[1]
    finished = home / ".finished"
    if finished.exists():
        return
    print(f"installing {system} into {home}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)

    def pip(*wanted: str) -> None:
        command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted]
        subprocess.run(command, check=True)

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    PEERS[system](pip, home / "lib" / version / "site-packages")
    finished.touch()


if __name__ == "__main__":
    for name in sys.argv[1:] or PEERS:
        prepare(name)
