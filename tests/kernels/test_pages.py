"""Large tensors ask for huge pages, unless the environment says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpctensor.kernels.pages import VARIABLE

FLAGS = """
import torch
import mpctensor
large = torch.zeros(1 << 22, dtype=torch.int64)
middle, here = large.data_ptr() + (1 << 24), False
for line in open("/proc/self/smaps"):
    first = line.split()[0]
    if "-" in first and not first.endswith(":"):
        low, high = (int(end, 16) for end in first.split("-"))
        here = low <= middle < high
    elif here and first == "VmFlags:":
        print("hg" in line.split())
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="the system has none"
)
@pytest.mark.parametrize(("given", "asked"), [(None, "True"), ("0", "False")])
def test_a_large_tensor_asks_for_huge_pages(given: str | None, asked: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment |= {} if given is None else {VARIABLE: given}
    made = subprocess.run(
        [sys.executable, "-c", FLAGS], env=environment, capture_output=True, text=True, check=True
    )
    assert made.stdout.strip() == asked
