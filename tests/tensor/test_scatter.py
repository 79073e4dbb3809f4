"""Sums, means, products and extrema of what meets at a public position."""

import pytest
import torch

import mpctensor
from mpctensor import SecretLeakError, UnsupportedOperationError
from tests.plaintext import assert_close, check, on_grid

X = on_grid(4, 5)
ROWS = torch.tensor([3, 0, 0])
WHERE = torch.tensor([[0, 1, 2, 3, 0], [3, 2, 1, 0, 0]])


@pytest.mark.parametrize("apart", [False, True])
def test_means_at_a_position(apart):
    options = {"reduce": "mean", "include_self": not apart}
    check(lambda x: x.scatter_reduce(0, WHERE, x[2:], **options), X)
    check(lambda x: x.index_reduce(0, ROWS, x[:3], **options), X)
    check(lambda x: x.index_reduce(-1, ROWS, x[:, :3], **options), X)


def test_reductions_at_a_position():
    plain, source = on_grid(4, 5), on_grid(2, 5, seed=1)
    for x, v in ((mpctensor.encrypt(plain), source), (plain, mpctensor.encrypt(source))):
        got = x.scatter_reduce(0, WHERE, v, "mean").decrypt()
        assert_close(got, plain.scatter_reduce(0, WHERE, source, "mean"), 1)
    x = mpctensor.encrypt(plain)
    x.scatter_reduce_(0, WHERE, source, "sum", include_self=False)
    expected = plain.scatter_reduce(0, WHERE, source, "sum", include_self=False)
    assert_close(x.decrypt(), expected, 0)
    check(lambda x: x.scatter(0, WHERE, source, reduce="add"), plain, gradients=False)
    check(lambda x: x.scatter(0, WHERE, 1.5, reduce="add"), plain, gradients=False)
    check(lambda x: x.scatter(0, WHERE, source, reduce="multiply"), plain, gradients=False)
    with pytest.raises(UnsupportedOperationError, match=r"float\(\)"):
        mpctensor.encrypt(torch.ones(3).long()).index_reduce(
            0, ROWS[1:], torch.ones(2).long(), "mean"
        )
    with pytest.raises(SecretLeakError, match="`index` is secret"):
        x.scatter_reduce(0, mpctensor.encrypt(WHERE), source, "sum")
    with pytest.raises(SecretLeakError, match="`index` is secret"):
        x.scatter_reduce(0, mpctensor.encrypt(WHERE), source, "prod")


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("reduce", ["amax", "amin", "prod"])
def test_products_and_extrema(reduce, apart):
    """Up to four values meet at a place, none at others; some are equal, some are 0."""
    options = {"reduce": reduce, "include_self": not apart}
    into, source = on_grid(4, 5), on_grid(6, 5, seed=1)
    source[1], source[2] = source[0], into[1]
    source[3, 0] = source[4, 1] = source[5, 1] = 0
    rows = torch.tensor([1, 1, 1, 3, 0, 0])
    places = torch.stack([rows.roll(i) for i in range(5)], 1)
    ulps = {"ulps": 4 if reduce == "prod" else 0, "grad_ulps": 16}
    check(lambda x, s: x.scatter_reduce(0, places, s, **options), into, source, **ulps)
    check(lambda x, s: (x * 1).scatter_reduce_(0, places, s, **options), into, source, **ulps)
    check(lambda x, s: x.index_reduce(0, rows, s, **options), into, source, **ulps)
    check(lambda x, s: x.index_reduce(1, rows[:5], s[:4], **options), into, source, **ulps)
    whole = torch.arange(16).view(4, 4) - 5
    check(lambda x: x.index_reduce(0, ROWS, x[:3], **options), whole, ulps=0, gradients=False)
    check(lambda x: x.scatter_reduce(0, places[:0], x, **options), into, ulps=0, gradients=False)


@pytest.mark.simulated
@pytest.mark.parametrize(("reduce", "level"), [("amax", 4), ("prod", 2)])
def test_values_that_meet_take_levels(reduce, level):
    x = mpctensor.encrypt(on_grid(2, 3))
    rows = torch.tensor([0] * 7 + [1])
    with mpctensor.cost() as spent:
        x.index_reduce(0, rows, mpctensor.encrypt(on_grid(8, 3)), reduce)
    assert spent.rounds <= 3 * level


def test_bad_reductions():
    x = mpctensor.encrypt(on_grid(4, 5))
    with pytest.raises(RuntimeError, match="reduce argument must be"):
        x.scatter_reduce(0, WHERE, x[2:], "median")
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.scatter_reduce(0, WHERE + 9, x[2:], "amax")
    with pytest.raises(RuntimeError, match="Number of indices"):
        x.index_reduce(0, ROWS, x[:2], "prod")


@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
def test_index_reduce_of_a_number(reduce):
    at = torch.tensor([0])
    fn = lambda x, y: x.index_reduce(0, at, y, reduce)  # noqa: E731
    check(fn, torch.tensor(1.5), torch.tensor(-2.0), ulps=2, gradients=False)
