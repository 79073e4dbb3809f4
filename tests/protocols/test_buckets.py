"""How many bounds a value reaches; costs of public and of secret bounds."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_value

X = torch.tensor([-9.0, -1.0, -0.5, 0.0, 0.25, 3.0, 3.1, 99.0])


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("count", [1, 5, 64, 65, 130])
def test_public_and_secret_bounds(n: int, right: bool, count: int) -> None:
    session = make_session(n)
    bounds = (torch.arange(count) - count // 2) / 4
    expected = torch.searchsorted(bounds, X, right=right)
    for row in (mpc.constant(session, bounds, 1 << 16), share_value(session, bounds)):
        out = mpc.count_reached(share_value(session, X), row, right)
        assert torch.equal(raw_of(out), expected)


def test_costs() -> None:
    session, bounds = make_session(), torch.arange(10) / 2
    with cost() as spent:
        mpc.count_reached(share_value(session, X), mpc.constant(session, bounds, 1 << 16), False)
    assert (spent.rounds, spent.bytes_sent * 8) == (4, len(X) * (64 + 10 * 34))
    with cost() as spent:
        mpc.count_reached(share_value(session, X), share_value(session, bounds), False)
    assert (spent.rounds, spent.bytes_sent * 8) == (4, len(X) * 10 * 98)
