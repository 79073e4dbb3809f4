"""The list of what works on secrets is up to date: `python docs/supported.py` writes it."""

import runpy
from pathlib import Path

import pytest
import torch

import mpctensor
from tests.accuracy import ROWS
from tests.costs import elements, layers
from tests.costs.free import FREE

DOCS = Path(__file__).parents[1] / "docs"
CALLS = [call for family in elements.FAMILIES + layers.FAMILIES for call in family.calls]


def test_page_is_up_to_date() -> None:
    page = runpy.run_path(str(DOCS / "supported.py"))["page"]()
    assert page == (DOCS / "supported.md").read_text(), "run `python docs/supported.py`"


def test_every_function_has_its_accuracy_and_cost() -> None:
    families = runpy.run_path(str(DOCS / "supported.py"))["listed"]()
    names = [*(row.name for row in ROWS), *(call.name for call in CALLS), *FREE]
    missing = set().union(*families.values()) - {name.partition(",")[0] for name in names}
    assert not missing, f"add rows to tests/costs for {sorted(missing)}"


def test_errors_point_to_it() -> None:
    with pytest.raises(mpctensor.UnsupportedOperationError, match=r"docs/supported\.md"):
        torch.erfinv(mpctensor.encrypt(torch.zeros(2)))
