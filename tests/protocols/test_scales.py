"""Scales: alignment, in-place writes."""

import torch

from mpctensor import protocols as mpc
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
