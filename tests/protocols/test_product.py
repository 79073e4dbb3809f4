"""Products against integers, with cached openings and their costs."""

import pytest
import torch
import torch.nn.functional as F

from mpctensor import protocols as mpc
from mpctensor.errors import SessionError
from mpctensor.transport import cost
from tests.sharing import EDGES, UNIT, make_session, raw_of, share_raw, share_value, value_of

GENERATOR = torch.Generator().manual_seed(2)


def words(*size: int) -> torch.Tensor:
    return torch.randint(-(1 << 62), 1 << 62, size, generator=GENERATOR)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_products_are_exact_in_the_ring(n: int) -> None:
    session = make_session(n)
    a, b = torch.cat([EDGES, words(30)]), torch.cat([EDGES.flip(0), words(30)])
    x, y = share_raw(session, a), share_raw(session, b)
    assert torch.equal(raw_of(mpc.mul(x, y)), a * b)
    assert torch.equal(raw_of(mpc.square(x)), a * a)
    m, k = words(3, 4, 5), words(5, 2)
    out = mpc.matmul(share_raw(session, m), share_raw(session, k))
    assert torch.equal(raw_of(out), m @ k)


@pytest.mark.parametrize(
    "shapes", [((3, 1), (1, 4)), ((2, 3, 4), (4,)), ((), (3,)), ((0, 3), (3,))]
)
def test_mul_broadcasts(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    session = make_session()
    a, b = words(*shapes[0]), words(*shapes[1])
    assert torch.equal(raw_of(mpc.mul(share_raw(session, a), share_raw(session, b))), a * b)


@pytest.mark.parametrize(
    "groups,stride,padding,dilation", [(1, 1, 0, 1), (2, 2, 1, 1), (1, 1, 2, 2)]
)
def test_convolution_and_its_gradients(
    groups: int, stride: int, padding: int, dilation: int
) -> None:
    session = make_session()
    x = torch.randint(-9, 9, (2, 4, 8, 7), generator=GENERATOR)
    w = torch.randint(-9, 9, (6, 4 // groups, 3, 3), generator=GENERATOR)
    options = ((stride,) * 2, (padding,) * 2, (dilation,) * 2, groups)
    real_x, real_w = x.double().requires_grad_(), w.double().requires_grad_()
    expected = F.conv2d(real_x, real_w, None, *options)
    g = torch.randint(-9, 9, expected.shape, generator=GENERATOR)
    expected.backward(g.double())
    X, W, G = (share_raw(session, t) for t in (x, w, g))
    with cost() as spent:
        out = mpc.conv(X, W, *options)
        to_x = mpc.conv_input(G, W, x.shape, *options)
        to_w = mpc.conv_weight(X, G, w.shape[2:], *options)
    assert torch.equal(raw_of(out).double(), expected)
    assert torch.equal(raw_of(to_x).double(), real_x.grad)
    assert torch.equal(raw_of(to_w).double(), real_w.grad)
    assert spent.bytes_sent == 8 * (x.numel() + w.numel() + g.numel())


def test_a_layers_step_opens_each_operand_once() -> None:
    session = make_session()
    x, w, g = (share_value(session, torch.randn(*s)) for s in ((8, 5), (3, 5), (8, 3)))
    with cost() as spent:
        mpc.matmul(x, w.map(torch.t))
        mpc.matmul(g.map(torch.t), x)
        mpc.matmul(g, w)
    assert spent.bytes_sent == 8 * (8 * 5 + 3 * 5 + 8 * 3)
    assert spent.provider_bytes == 8 * (8 * 3 + 3 * 5 + 8 * 5)
    assert spent.rounds == 2


def test_public_operand_is_local() -> None:
    session = make_session()
    value, weight = torch.randn(4, 5), torch.randn(5, 3)
    with cost() as spent:
        out = mpc.matmul(share_value(session, value), mpc.constant(session, weight))
    assert (spent.rounds, spent.bytes_sent, spent.provider_bytes) == (0, 0, 0)
    assert torch.allclose(value_of(out), (value @ weight).double(), atol=5e-4)


@pytest.mark.parametrize(
    "factor", [2, 0.1, 1e-4, 0.9, 1 / 3, -2.5, 0.123456789, 1e-8, 12345.678, 0]
)
def test_small_public_factors_are_not_lost(factor: float) -> None:
    session = make_session()
    value = torch.randn(50) * 4
    raw = raw_of(share_value(session, value)).double() / UNIT
    out = mpc.scaled(share_value(session, value), factor)
    assert torch.allclose(value_of(out), raw * factor, rtol=2.0**-11, atol=0)


def test_long_chains_of_factors_keep_fitting() -> None:
    session = make_session()
    x = share_value(session, torch.tensor([100.0, -3.0]))
    for _ in range(40):
        x = mpc.scaled(x, 0.9)
    assert torch.allclose(value_of(x), torch.tensor([100.0, -3.0]).double() * 0.9**40, atol=1e-4)


def test_two_sessions_do_not_mix() -> None:
    x, y = (share_value(make_session(), torch.ones(2)) for _ in range(2))
    with pytest.raises(SessionError, match="two sessions"):
        mpc.add(x, y)


@pytest.mark.parametrize("n", [2, 3])
def test_cost_of_mul(n: int) -> None:
    session = make_session(n)
    x, y = share_raw(session, words(64)), share_raw(session, words(64))
    for opened in (2, 0):
        with cost() as spent:
            mpc.mul(x, y)
        rounds = 1 if opened else 0
        assert (spent.rounds, spent.bytes_sent) == (rounds, (n - 1) * 8 * 64 * opened)
        assert spent.provider_bytes == 8 * 64


@pytest.mark.parametrize("top", [1e-7, 1e-5, 3e-3, 0.7, 1.0, 900.0])
def test_plain_factors_keep_as_many_bits_as_fit(top: float) -> None:
    """16 significant bits where entries are small, 16 bits after the point where they are large."""
    session = make_session()
    value, factor = torch.randn(50).double() * 100, torch.randn(50).double().clamp(-1, 1) * top
    x = share_value(session, value)
    exact = value_of(x) * factor
    out = mpc.mul(x, mpc.constant(session, factor))
    assert torch.allclose(value_of(out), exact, rtol=0, atol=1000 * 2.0**-16 * min(top, 1))


@pytest.mark.parametrize("magnitude", [1e-9, 1e-5, 0.3, 1.0, 100.0, 2.0**20])
def test_products_by_plain_factors_stay_in_range(magnitude: float) -> None:
    """Up to 2^30 for the secret and for the product."""
    session = make_session()
    largest = 2.0**30 / max(1.0, magnitude) * 0.999
    x = share_value(session, torch.tensor([largest, -largest]))
    out = mpc.mul(x, mpc.constant(session, torch.full((2,), magnitude, dtype=torch.float64) * 0.9))
    expected = torch.tensor([largest, -largest]).double() * magnitude * 0.9
    assert torch.allclose(value_of(out), expected, rtol=2.0**-15)


def test_plain_factors_ask_for_no_round() -> None:
    session = make_session()
    x = share_value(session, torch.randn(4, 5))
    pending = mpc.scaled(share_value(session, torch.randn(4, 5)), 0.1)
    with cost() as spent:
        mpc.matmul(x, mpc.constant(session, torch.randn(5, 3) * 1e-4))
        beside = pending.scale
        mpc.mul(pending, mpc.constant(session, torch.randn(5) * 100, beside=beside))
    assert spent.rounds == 0
