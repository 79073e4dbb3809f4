"""Division by public numbers: never fails within |z| < 2^62, errs by 0 or +1 unit, keeps zero."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.protocols.truncation import truncate_all
from mpctensor.transport import cost
from tests.sharing import EDGES, UNIT, make_session, raw_of, share_raw

GENERATOR = torch.Generator().manual_seed(11)


def values(bits: int, n: int = 20000) -> torch.Tensor:
    return torch.randint(-(1 << bits), 1 << bits, (n,), generator=GENERATOR)


def twin(z: torch.Tensor, d: int) -> torch.Tensor:
    """What truncation returns at least: the floor."""
    return z.div(d, rounding_mode="floor")


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("f", [1, 16, 32])
@pytest.mark.parametrize("bits", [20, 40, 62])
def test_shift(n: int, f: int, bits: int) -> None:
    z = torch.cat([EDGES, values(bits)])
    x = share_raw(make_session(n), z, scale=UNIT << f)
    error = raw_of(mpc.truncate(x, 1 << f)) - twin(z, 1 << f)
    assert set(error.unique().tolist()) <= {0, 1}
    assert torch.all(error[z % (1 << f) == 0] == 0)


@pytest.mark.parametrize("f", [1, 16])
def test_shift_by_opening_for_two_parties(f: int) -> None:
    z = torch.cat([EDGES, values(62)])
    x = share_raw(make_session(2), z, scale=UNIT << f)
    mpc.masked(x)
    with cost() as spent:
        out = mpc.truncate(x, 1 << f)
    assert spent.rounds == 0 and spent.bytes_sent == 0
    error = raw_of(out) - twin(z, 1 << f)
    assert set(error.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("d", [3, 10, 1000, 10**6, 10**9])
@pytest.mark.parametrize("bits", [40, 61])
def test_divide_by_opening(d: int, bits: int) -> None:
    z = values(bits)
    x = share_raw(make_session(3), z, scale=UNIT * d)
    error = raw_of(mpc.truncate(x, d)) - twin(z, d)
    assert set(error.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("d", [3, 10, 1000, 10**6, 10**9])
@pytest.mark.parametrize("bits", [40, 61])
def test_divide_by_wrap_bit(d: int, bits: int) -> None:
    z = values(bits)
    x = share_raw(make_session(2), z, scale=UNIT * d)
    error = raw_of(mpc.truncate(x, d)) - twin(z, d)
    assert set(error.unique().tolist()) <= {-1, 0, 1, 2}
    assert ((error == -1) | (error == 2)).float().mean() < 0.06


@pytest.mark.parametrize("n", [2, 3])
def test_unbiased(n: int) -> None:
    z = torch.full((40000,), 3 * UNIT + UNIT // 4)
    x = share_raw(make_session(n), z, scale=UNIT * UNIT)
    mean = raw_of(mpc.truncate(x, UNIT)).double().mean().item()
    assert abs(mean - 3.25) < 4 * 0.44 / 200


@pytest.mark.parametrize("f", [16])
def test_costs(f: int) -> None:
    n = 1024
    for parties, shift, expected in (
        (2, True, (1, n // 8, n * f // 8)),
        (3, True, (1, 2 * 8 * n, n * (64 + f) // 8)),
        (2, False, (1, n // 8, n * 8)),
        (3, False, (1, 2 * 8 * n, n * 16)),
    ):
        d = 1 << f if shift else 1000
        x = share_raw(make_session(parties), values(40, n), scale=UNIT * d)
        with cost() as spent:
            mpc.truncate(x, d)
        assert (spent.rounds, spent.bytes_sent, spent.provider_bytes) == expected


@pytest.mark.parametrize("parties", [2, 3])
def test_several_are_truncated_in_one_round(parties: int) -> None:
    session = make_session(parties)
    raws = [values(40, 30), values(40, 7).view(7, 1), values(40, 5)]
    divisors = [UNIT, 1 << 3, 1000]
    shares = [share_raw(session, r, scale=UNIT * d) for r, d in zip(raws, divisors, strict=True)]
    known = mpc.constant(session, torch.tensor([3.0, -1.5]), UNIT * UNIT)
    with cost() as spent:
        *out, plain = truncate_all([*zip(shares, divisors, strict=True), (known, UNIT)])
    assert spent.rounds == 1 and plain.public is not None
    assert (plain.scale, plain.public.tolist()) == (UNIT, [3 * UNIT, -3 * UNIT // 2])
    for raw, d, share in zip(raws, divisors, out, strict=True):
        assert share.shape == raw.shape and share.scale == UNIT
        off = raw_of(share) - raw.div(d, rounding_mode="floor")
        assert off.min() >= (0 if d != 1000 else -1) and off.max() <= (1 if d != 1000 else 2)


def test_both_operands_of_a_product_are_truncated_in_one_round() -> None:
    session = make_session()
    x, y = (share_raw(session, values(34, 9).view(3, 3), scale=UNIT * UNIT) for _ in range(2))
    with cost() as spent:
        out = mpc.mul(x, y)
    assert spent.rounds == 2 and out.scale == UNIT * UNIT
    with cost() as spent:
        mpc.mul(x, x.map(torch.t))
    assert spent.rounds == 0, "one storage, truncated and open already"


def test_fit_truncates_a_storage_once() -> None:
    x = share_raw(make_session(), values(40, 12).view(3, 4), scale=UNIT * UNIT)
    with cost() as spent:
        first = mpc.fit(x)
        second = mpc.fit(x.map(torch.t))
    assert spent.rounds == 1
    assert torch.equal(raw_of(first).t(), raw_of(second))


def test_empty() -> None:
    x = share_raw(make_session(), torch.zeros(0, 3, dtype=torch.int64), scale=UNIT * UNIT)
    assert mpc.truncate(x, UNIT).shape == (0, 3)


def test_scale_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="scale"):
        mpc.truncate(share_raw(make_session(), values(20, 3)), 3)
