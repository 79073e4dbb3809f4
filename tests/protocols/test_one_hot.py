"""One-hot rows of secret positions: values, what they choose, costs."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_raw

GENERATOR = torch.Generator().manual_seed(3)


def positions(n: int, *size: int) -> torch.Tensor:
    return torch.randint(0, n, size, generator=GENERATOR)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("classes", [1, 2, 5, 8, 33])
def test_rows(n: int, classes: int) -> None:
    session, index = make_session(n), positions(classes, 3, 4)
    rows = mpc.one_hot(share_raw(session, index, 1, 1), classes)
    assert torch.equal(raw_of(rows), torch.nn.functional.one_hot(index, classes))


def test_some_of_the_columns() -> None:
    session, index = make_session(), positions(7, 20)
    rows = mpc.one_hot(share_raw(session, index, 1, 1), 7, 2, 5)
    assert torch.equal(raw_of(rows), torch.nn.functional.one_hot(index, 7)[:, 2:5])


def test_out_of_range_is_taken_modulo_the_next_power_of_two() -> None:
    session = make_session()
    rows = mpc.one_hot(share_raw(session, torch.tensor([5, 7, 8, -1, -8]), 1, 1), 6)
    expected = torch.zeros(5, 6, dtype=torch.int64)
    expected[0, 5] = expected[2, 0] = expected[4, 0] = 1
    assert torch.equal(raw_of(rows), expected)


def test_public_positions_are_local() -> None:
    session = make_session()
    with cost() as spent:
        rows = mpc.one_hot(mpc.constant(session, torch.tensor([0, 2])), 3)
    assert spent.rounds == 0 and spent.provider_bytes == 0
    assert torch.equal(raw_of(rows), torch.tensor([[1, 0, 0], [0, 0, 1]]))


def test_costs_of_a_row_and_of_a_lookup() -> None:
    session = make_session()
    index = share_raw(session, positions(100, 6), 1, 1)
    with cost() as spent:
        rows = mpc.one_hot(index, 100)
    assert (spent.rounds, spent.bytes_sent, spent.provider_bytes) == (1, 8 * 6, 8 * 6 * 128)
    x = share_raw(session, torch.arange(100))
    with cost() as spent:
        mpc.OneHot(rows).pick(x)
    assert (spent.rounds, spent.bytes_sent) == (1, 8 * (6 * 100 + 100))
    assert spent.provider_bytes == 8 * 6
    with cost() as spent:  # the rows are open already
        mpc.OneHot(rows).route(share_raw(session, torch.arange(6)))
    assert (spent.rounds, spent.bytes_sent) == (1, 8 * 6)


def test_what_rows_choose() -> None:
    session, index = make_session(), positions(5, 2, 3)
    chosen = mpc.OneHot(mpc.one_hot(share_raw(session, index, 1, 1), 5))
    x, g = torch.arange(10).view(2, 5) - 4, torch.arange(6).view(2, 3)
    assert torch.equal(raw_of(chosen.pick(share_raw(session, x))), x.gather(1, index))
    expected = torch.zeros(2, 5, dtype=torch.int64).scatter_add(1, index, g)
    assert torch.equal(raw_of(chosen.route(share_raw(session, g))), expected)
    assert torch.equal(raw_of(chosen.index()), index)
