"""What goes wrong before the first tensor exists must say in one sentence what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpctensor import kernels

ROOT = Path(__file__).parents[1]

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode != 0
    return process.stderr.strip().splitlines()[-1]


def test_build_without_compiler() -> None:
    failed = run("setup.py", "-q", "build_ext", "--inplace", CXX="/nonexistent/c++")
    assert failed.returncode != 0
    assert len(failed.stderr.splitlines()) == 1
    assert "C++17 compiler" in failed.stderr and "apt install g++" in failed.stderr
    assert "/nonexistent/c++" in failed.stderr


def test_build_without_pybind11() -> None:
    code = BLOCKER.format(blocked="pybind11") + "import runpy; runpy.run_path('setup.py')"
    assert "`pip install pybind11 ninja`" in last_line(run("-c", code))


@pytest.mark.parametrize(
    ("blocked", "advice"),
    [("torch", "`pip install torch`"), ("mpctensor._C", "`make build`")],
)
def test_import_of_unfinished_installation(blocked: str, advice: str) -> None:
    message = last_line(run("-c", BLOCKER.format(blocked=blocked) + "import mpctensor.kernels"))
    assert message.startswith("ImportError: mpctensor") and advice in message


SHOW_ISA = "from mpctensor import kernels; print(kernels.isa())"


def test_unknown_isa() -> None:
    message = last_line(run("-c", SHOW_ISA, MPCTENSOR_ISA="sse9"))
    assert (
        message.startswith("ImportError: MPCTENSOR_ISA") and "portable, avx2 or avx512" in message
    )


def test_isa_is_capped() -> None:
    assert run("-c", SHOW_ISA, MPCTENSOR_ISA="portable").stdout.strip() == "portable"


def test_forced_isa(each_isa: str) -> None:
    assert kernels.isa() == each_isa


def test_forcing_unknown_isa() -> None:
    with pytest.raises(ValueError, match="unknown instruction set 'sse9'"):
        kernels.force_isa("sse9")
