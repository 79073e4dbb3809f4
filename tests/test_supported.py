"""The list of what works on secrets is up to date: `python docs/supported.py` writes it."""

import runpy
from pathlib import Path

import pytest
import torch

import mpctensor

DOCS = Path(__file__).parents[1] / "docs"


def test_page_is_up_to_date() -> None:
    page = runpy.run_path(str(DOCS / "supported.py"))["page"]()
    assert page == (DOCS / "supported.md").read_text(), "run `python docs/supported.py`"


def test_errors_point_to_it() -> None:
    with pytest.raises(mpctensor.UnsupportedOperationError, match=r"docs/supported\.md"):
        torch.erfinv(mpctensor.encrypt(torch.zeros(2)))
