"""The notebooks run from top to bottom, in both languages, and are stored without outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("encrypted_training.ipynb", "encrypted_training_ja.ipynb")


def read(name: str) -> Any:
    return nbformat.read(EXAMPLES / name, as_version=4)


def code_of(book: Any) -> list[str]:
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def printed(book: Any) -> str:
    outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
    return "".join(out.text for out in outputs if out.output_type == "stream")


@pytest.mark.parametrize("name", NAMES)
def test_stored_without_outputs(name: str) -> None:
    for cell in read(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_both_languages_run_the_same_code() -> None:
    english, japanese = (read(name) for name in NAMES)
    assert code_of(english) == code_of(japanese)
    assert [c.cell_type for c in english.cells] == [c.cell_type for c in japanese.cells]


@pytest.mark.parametrize("name", NAMES)
def test_runs(name: str) -> None:
    book = read(name)
    nbclient.NotebookClient(
        book, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
    ).execute()
    text = printed(book)
    assert len(re.findall(r"^tensor\(\d\.\d*\)$", text, re.MULTILINE)) == 20
    assert "AdditiveSharingTensor" in text and "crypto provider: james" in text
    worst = [float(figure) for figure in re.findall(r"at most ([\d.]+) from", text)]
    assert len(worst) == 3 and worst[0] < 0.05 and worst[1] < 0.008 and worst[2] < 0.001
    pictures = [
        o for c in book.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    assert len(pictures) == 1
