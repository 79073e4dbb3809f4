"""Public factors."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.errors import EncodingError
from tests.sharing import UNIT, make_session, share_value, value_of


def test_mean_is_exact_until_it_is_used() -> None:
    session = make_session()
    value = torch.randn(7, 3)
    x = share_value(session, value)
    mean = mpc.scaled(mpc.total(x, [0]), 1 / 7)
    assert mean.scale == 7 * UNIT
    assert torch.allclose(value_of(mean), value_of(x).mean(0), atol=1e-12)
    assert torch.allclose(value_of(mpc.fit(mean)), value_of(x).mean(0), atol=3 / UNIT)


@pytest.mark.parametrize("factor", [1e18, -1e20, 2.0**46, 10**30])
@pytest.mark.parametrize("scale", [UNIT, UNIT**2])
def test_factors_out_of_range_are_refused(factor: float, scale: int) -> None:
    x = share_value(make_session(), torch.ones(2), scale)
    with pytest.raises(EncodingError, match=r"multiplied with .*16 fractional bits.* 2\*\*46"):
        mpc.scaled(x, factor)


def test_large_factors_make_room_first() -> None:
    session = make_session()
    x = share_value(session, torch.tensor([1.5]), UNIT**2)
    assert value_of(mpc.scaled(x, 1e9)).item() == pytest.approx(1.5e9, rel=2.0**-17)
    assert value_of(mpc.scaled(x, 10**9)).item() == 1.5e9


@pytest.mark.parametrize("factor", [1e-30, 1e-300, 5e-324])
def test_factors_too_small_to_count(factor: float) -> None:
    session = make_session()
    assert value_of(mpc.scaled(share_value(session, torch.ones(2)), factor)).tolist() == [0, 0]
