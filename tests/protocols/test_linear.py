"""Constants and sums."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.encoding import encode
from mpctensor.share import Share
from tests.sharing import UNIT, make_session, share_value, value_of


@pytest.mark.parametrize("number", [1, -3, 0.1, 1e-4, 2.5])
def test_add_scalar(number: float) -> None:
    session = make_session()
    x = share_value(session, torch.randn(5))
    before = value_of(x)
    assert torch.allclose(value_of(mpc.add_scalar(x, number)), before + number, atol=1e-5)


def test_public_values_stay_public() -> None:
    session = make_session()
    one = mpc.constant(session, torch.ones(3))
    out = mpc.scaled(mpc.add(one, one), 0.5).map(lambda part: part.view(3, 1))
    assert out.public is not None and torch.equal(
        out.public.double() / out.scale, torch.ones(3, 1).double()
    )
    assert mpc.add(one, share_value(session, torch.ones(3))).public is None


def test_concatenate() -> None:
    session = make_session()
    x, y = (
        share_value(session, torch.randn(2, 3)),
        share_value(session, torch.randn(1, 3), UNIT * UNIT),
    )
    out = mpc.concatenate(torch.cat, [x, y])
    assert torch.equal(value_of(out), torch.cat([value_of(x), value_of(y)]))


def test_infinite_bounds_saturate() -> None:
    session = make_session()
    mask = mpc.constant(session, torch.tensor([0.0, -float("inf")]), UNIT, saturate=True)
    out: Share = mpc.add(share_value(session, torch.ones(2)), mask)
    assert value_of(out)[1] < -1e8 and value_of(out)[0] == 1.0


def test_fraction_encodings_are_shared_by_all_sizes() -> None:
    value = torch.tensor([0.1, 0.2])
    assert torch.equal(encode(value, UNIT), encode(value.clone(), UNIT))
