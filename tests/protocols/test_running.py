"""Running extrema against torch, with ties and gradients; costs."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.transport import cost
from tests.sharing import make_session, raw_of, share_raw

GENERATOR = torch.Generator().manual_seed(5)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 17])
@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_values_positions_and_gradients(n: int, size: int, name: str) -> None:
    session = make_session(n)
    x, g = (torch.randint(-5, 5, (3, size), generator=GENERATOR) for _ in range(2))
    value, chosen = mpc.running(share_raw(session, x), name == "cummin")
    expected, index = getattr(torch, name)(x, 1)
    assert torch.equal(raw_of(value), expected)
    assert torch.equal(raw_of(chosen.index()), index)
    assert torch.equal(raw_of(chosen.pick(share_raw(session, g))), g.gather(1, index))
    routed = torch.zeros_like(x).scatter_add(1, index, g)
    assert torch.equal(raw_of(chosen.route(share_raw(session, g))), routed)


def test_costs() -> None:
    """16 places: 4 levels of 8 pairs; 4 rounds a level, gradients one."""
    session = make_session()
    with cost() as spent:
        _, chosen = mpc.running(share_raw(session, torch.arange(16)))
    assert (spent.rounds, spent.bytes_sent * 8) == (16, 4 * 8 * 98)
    with cost() as spent:
        chosen.route(share_raw(session, torch.arange(16)))
    assert spent.rounds == 4
