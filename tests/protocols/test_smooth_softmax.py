"""softmax and log_softmax against torch, with their costs."""

import pytest
import torch
from torch import Tensor

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth import plaintext
from mpctensor.transport import cost
from tests.sharing import UNIT, make_session, raw_of, share_raw, share_value, value_of

SCALES = [(1, 1), (UNIT, UNIT), (UNIT**2, UNIT), (10**5, 10**5)]
SIZES = [(64, 10), (30, 2), (40, 14), (64, 16), (16, 17), (8, 128), (2, 1000), (4, 1)]


def logits(rows: int, classes: int) -> Tensor:
    """From nearly equal to far apart."""
    width = torch.tensor([0.1, 1.0, 5.0, 30.0])[torch.arange(rows) % 4]
    return torch.randn(rows, classes).double() * width.double().unsqueeze(1)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("scale", "unit"), SCALES)
def test_both(n: int, size: tuple[int, int], scale: int, unit: int) -> None:
    session, z = make_session(n), (logits(*size) * scale).round().long()
    x = z.double() / scale
    p = mpc.softmax(share_raw(session, z, scale, unit), 1)
    logs = mpc.log_softmax(share_raw(session, z, scale, unit), 1)
    last = 1 / p.unit
    assert p.scale == p.unit
    expected = plaintext.softmax(x, 1)
    assert torch.all((value_of(p) - expected).abs() <= 1.2 * last + 2**-17 + expected * 2**-14)
    assert (value_of(logs) - plaintext.log_softmax(x, 1)).abs().max() <= 1.2 * last + 2**-16.5
    again = mpc.softmax_and_log(share_raw(session, z, scale, unit), 1)
    assert (value_of(again[0]) - expected).abs().max() <= 1.2 * last + 2**-14
    assert (value_of(again[1]) - value_of(logs)).abs().max() <= 2.4 * last + 2**-16.5


def test_many_small_terms_count() -> None:
    """A thousand classes at e^-11 of the largest: none may be dropped."""
    x = torch.full((1, 1000), -11.2)
    x[0, 0] = 0
    p = value_of(mpc.softmax(share_value(make_session(), x), 1))
    assert abs(p[0, 0] - torch.softmax(x.double(), 1)[0, 0]) < 2**-14


@pytest.mark.parametrize("rows", [4, 200])
def test_masked_classes(rows: int) -> None:
    """Fill values that saturate leave probability 0."""
    session, z = make_session(), (torch.randn(rows, 7) * UNIT).long()
    z[:, 2:4] = -(1 << 46)
    p = raw_of(mpc.softmax(share_raw(session, z), 1))
    assert torch.all(p[:, 2:4] == 0) and torch.all((p.sum(1) - UNIT).abs() < 10)


@pytest.mark.parametrize(
    ("shape", "dim"), [((7,), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((0, 3), 1)]
)
def test_dimensions(shape: tuple[int, ...], dim: int) -> None:
    x = share_value(make_session(), torch.randn(shape))
    for verb, twin in ((mpc.softmax, torch.softmax), (mpc.log_softmax, torch.log_softmax)):
        out = value_of(verb(x, dim))
        assert out.shape == shape and torch.allclose(out, twin(value_of(x), dim), atol=2**-14)


# Rows, classes: rounds of softmax, log_softmax, both; the maximum alone takes 4 a level.
COSTS = {
    (64, 10): (12, 22, 24),
    (200, 10): (23, 22, 24),
    (4, 2): (12, 10, 12),
    (9, 100): (41, 39, 42),
}


@pytest.mark.parametrize("size", COSTS)
def test_rounds(size: tuple[int, int]) -> None:
    session = make_session()
    rounds = []
    for verb in (mpc.softmax, mpc.log_softmax, mpc.softmax_and_log):
        x = share_value(session, torch.randn(size))
        with cost() as spent:
            verb(x, 1)
        rounds.append(spent.rounds)
    assert tuple(rounds) == COSTS[size]


def test_bytes_by_the_maximum() -> None:
    """An element of 10 classes: below 45 bytes sent and 230 dealt, the maximum included."""
    x = share_value(make_session(), torch.randn(200, 10))
    with cost() as spent:
        mpc.softmax(x, 1)
    assert spent.bytes_sent < 45 * 2000 and spent.provider_bytes < 230 * 2000


@pytest.mark.parametrize("link, rounds", [("lan", 23), ("wan", 10)])
def test_a_slow_link_takes_pairs_where_they_save_rounds(link: str, rounds: int) -> None:
    x = share_value(make_session(link=link), torch.randn(128, 10))
    with cost() as spent:
        p = mpc.softmax(x, 1)
    assert spent.rounds == rounds
    assert torch.allclose(value_of(p), torch.softmax(value_of(x), 1), rtol=2**-13, atol=2**-15)
