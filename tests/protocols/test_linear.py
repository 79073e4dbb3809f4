"""Scales: alignment, public factors, in-place writes."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.encoding import encode
from mpctensor.errors import EncodingError
from mpctensor.share import Share
from mpctensor.transport import cost
from tests.sharing import UNIT, make_session, raw_of, share_raw, share_value, value_of


def test_sums_align_scales_without_a_round() -> None:
    session = make_session()
    a, b = torch.randn(3, 4), torch.randn(4)
    x = share_value(session, a)
    y = share_value(session, b, UNIT * UNIT)
    with cost() as spent:
        total, difference = mpc.add(x, y), mpc.sub(y, x)
        third = mpc.add(mpc.scaled(x, 1 / 3), mpc.scaled(x, 0.2))
    assert spent.rounds == 0 and total.scale == UNIT * UNIT
    assert torch.allclose(value_of(total), (a + b).double(), atol=1e-5)
    assert torch.allclose(value_of(difference), (b - a).double(), atol=1e-5)
    assert spent.rounds == 0 and torch.allclose(
        value_of(third), (a / 3 + a / 5).double(), atol=1e-4
    )


def test_precisions_never_mix_silently() -> None:
    """2 at 3 decimal digits plus 2 at 16 bits is 4."""
    session = make_session()
    decimal = share_raw(session, torch.tensor([2000]), 1000, 1000)
    binary = share_value(session, torch.tensor([2.0]))
    assert value_of(mpc.add(decimal, binary)).item() == 4.0
    assert abs(value_of(mpc.mul(decimal, binary)).item() - 4.0) < 1e-3
    assert raw_of(mpc.equal(decimal, binary)).item() == 1


@pytest.mark.parametrize("number", [1, -3, 0.1, 1e-4, 2.5])
def test_add_scalar(number: float) -> None:
    session = make_session()
    x = share_value(session, torch.randn(5))
    before = value_of(x)
    assert torch.allclose(value_of(mpc.add_scalar(x, number)), before + number, atol=1e-5)


def test_mean_is_exact_until_it_is_used() -> None:
    session = make_session()
    value = torch.randn(7, 3)
    x = share_value(session, value)
    mean = mpc.scaled(mpc.total(x, [0]), 1 / 7)
    assert mean.scale == 7 * UNIT
    assert torch.allclose(value_of(mean), value_of(x).mean(0), atol=1e-12)
    assert torch.allclose(value_of(mpc.fit(mean)), value_of(x).mean(0), atol=3 / UNIT)


def test_store_keeps_what_the_target_can_adopt() -> None:
    session = make_session()
    moment = mpc.constant(session, torch.zeros(4), UNIT)
    tiny = share_value(session, torch.full((4,), 3e-4))
    mpc.store(moment, mpc.square(tiny))
    assert torch.allclose(value_of(moment), torch.full((4,), 9e-8).double(), rtol=0.1)
    mpc.store(moment, mpc.scaled(moment, 0.999))
    assert torch.allclose(value_of(moment), torch.full((4,), 9e-8).double(), rtol=0.1)


def test_store_through_a_view() -> None:
    session = make_session()
    target = mpc.constant(session, torch.zeros(3, 4))
    row = target.map(lambda part: part[1])
    mpc.store(row, share_value(session, torch.tensor([0.5, -0.25, 1e-3, 7.0])))
    expected = torch.zeros(3, 4).double()
    expected[1] = torch.tensor([0.5, -0.25, 1e-3, 7.0])
    assert torch.allclose(value_of(target), expected, atol=1e-5) and target.public is None


def test_store_of_an_overlapping_view() -> None:
    session = make_session()
    x = share_value(session, torch.arange(6.0))
    mpc.store(x, x.map(lambda part: part.flip(0)))
    assert torch.allclose(value_of(x), torch.arange(6.0).flip(0).double())
    y = share_value(session, torch.arange(6.0).view(2, 3)[:, :2].contiguous())
    square = y.map(lambda part: part.t())
    mpc.store(y, square)
    assert torch.allclose(value_of(y), torch.tensor([[0.0, 3.0], [1.0, 4.0]]).double())


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
