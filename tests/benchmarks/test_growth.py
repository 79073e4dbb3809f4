"""What figures of several sizes say together."""

import pytest

from benchmarks.growth import HEAD, WORKS, Figures, slopes, table


def figures(elements: int, seconds: float) -> Figures:
    return Figures(elements, 8 * elements, seconds, 40 * elements, 4, 12 * elements, 57 * elements)


def test_slopes_are_between_successive_sizes():
    series = [figures(10, 1.0), figures(1000, 100.0), figures(2000, 400.0), figures(4000, 400.0)]
    assert slopes(series) == pytest.approx([1.0, 2.0, 0.0])
    assert slopes(series[:1]) == []


def test_the_table_has_a_row_for_each_size():
    head, line, *rows = table([figures(1000, 1e-4), figures(10_000, 1e-3)]).splitlines()
    assert all(len(row.split("|")) == len(HEAD) + 2 for row in (head, line, *rows))
    assert rows == [
        "| 1,000 | 0.10 | 100.0 |  | 0.0 | 5.0 | 4 | 0.012 | 0.057 |",
        "| 10,000 | 1.00 | 100.0 | 1.00 | 0.4 | 5.0 | 4 | 0.120 | 0.570 |",
    ]


def test_a_square_grows_with_its_elements():
    vector, square = WORKS["mul"], WORKS["matmul"]
    assert (vector.elements(1000), vector.shape(1000), vector.power) == (1000, (1000,), 1.0)
    assert (square.elements(32), square.shape(32), square.power) == (1024, (32, 32), 1.5)
