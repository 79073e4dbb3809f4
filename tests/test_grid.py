"""Grids: their digits, as users name them."""

import pytest

from mpctensor.grid import MOST, Grid

ALL = [(base, digits) for base in MOST for digits in range(MOST[base] + 1)]


@pytest.mark.parametrize(("base", "digits"), ALL)
def test_base_and_digits(base, digits):
    grid = Grid.make(base, digits)
    assert (grid.base, grid.digits) == (base, digits)
    assert Grid.of_unit(grid.unit) == grid
