"""What decrypting opens: never the exact digits of a product of secrets."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mpctensor
import mpctensor.syft as sy
from mpctensor import protocols as mpc
from mpctensor.session import Session
from mpctensor.transport import SimulatedTransport
from tests.sharing import UNIT, make_session, raw_of, share_value

X, Y = torch.tensor([1.2345, -3.5, 0.37]), torch.tensor([2.3456, 0.75, -1.9])


@pytest.fixture(name="opened")
def _opened(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What crosses between the parties, the newest last."""
    seen: list[Tensor] = []
    original = SimulatedTransport.open

    def spy(self: SimulatedTransport, batch: list) -> list[Tensor]:
        values = original(self, batch)
        seen.extend(value.clone() for value in values)
        return values

    monkeypatch.setattr(SimulatedTransport, "open", spy)
    return seen


@pytest.fixture(name="session", params=[2, 3])
def _session(request: pytest.FixtureRequest) -> Session:
    with mpctensor.init(("alice", "bob", "carol")[: request.param], seed=5) as session:
        yield session


def rounded(value: Tensor, scale: int = UNIT) -> Tensor:
    return (value.double() * scale).round()


def test_a_product_is_opened_in_units(session: Session, opened: list[Tensor]) -> None:
    product = mpctensor.encrypt(X) * mpctensor.encrypt(Y)
    exact = rounded(X) * rounded(Y)
    assert torch.equal(raw_of(product._share).double(), exact), "its digits wait for truncation"
    shown = product.decrypt()
    assert (opened[-1].double() - exact / UNIT).abs().max() < 1
    assert (shown - X * Y).abs().max() < 2.5 / UNIT


def test_dst_and_layers_and_updates_too(session: Session, opened: list[Tensor]) -> None:
    layer = mpctensor.encrypt(torch.nn.Linear(3, 1))
    x = mpctensor.encrypt(X.view(1, 3))
    with torch.no_grad():
        out = layer(x)
    out.decrypt(dst="bob")
    out.decrypt()
    assert opened[-1].abs().max() < 100 * UNIT
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(x).square().sum().backward()
    optimizer.step()
    assert layer.weight._share.scale == UNIT**2
    mpctensor.decrypt(layer)
    assert opened[-1].abs().max() < 100 * UNIT


def test_syft_reveals_in_units(opened: list[Tensor]) -> None:
    hook = sy.TorchHook(torch)
    names = [sy.VirtualWorker(hook, id=f"reveal-{i}") for i in range(3)]
    x, y = (v.fix_precision().share(*names[:2], crypto_provider=names[2]) for v in (X, Y))
    unit = x._share.unit
    product = x * y
    assert product._share.scale == unit**2
    product.get()
    assert opened[-1].abs().max() < 100 * unit


def test_a_second_look_shows_the_same_digits(session: Session) -> None:
    product = mpctensor.encrypt(torch.full((64, 2), 0.37)) * mpctensor.encrypt(
        torch.full((64, 2), 0.71)
    )
    first = product.decrypt()
    assert torch.equal(product.decrypt(), first), "looks could be averaged otherwise"
    assert torch.equal(product[3:9].decrypt(), first[3:9])
    assert torch.equal(product.t().decrypt(), first.t())
    product.add_(1)
    assert not torch.equal(product.decrypt(), first)


@pytest.mark.parametrize(
    "small",
    [
        lambda x, y: x * 1e-5,
        lambda x, y: x * y * 1e-5,
        lambda x, y: x.clone().mul_(1e-5),
        lambda x, y: torch.relu(x * 1e-5),
        lambda x, y: (x * 1e-5).clamp(-1, 1),
        lambda x, y: torch.where(x > 0, x * 1e-5, y * 1e-5),
        lambda x, y: torch.cat([x * 1e-5, x * y * 1e-5]),
    ],
)
def test_public_factors_keep_the_digits(session: Session, small) -> None:
    shown = small(mpctensor.encrypt(X), mpctensor.encrypt(Y)).decrypt()
    assert (shown - small(X, Y)).abs().max() < 1e-3 * small(X, Y).abs().max()


def test_small_roots_keep_their_digits(session: Session) -> None:
    x = mpctensor.encrypt(torch.tensor([1e-4, 4e-4]))
    x = x * 1e-4
    assert torch.allclose(x.sqrt().decrypt(), torch.tensor([1e-4, 2e-4]), rtol=0.3)
    assert torch.allclose(mpc.sqrt(x._share).facts.shown * torch.ones(1), torch.tensor(torch.inf))


def test_second_moments_survive_decrypting_an_optimizer(session: Session) -> None:
    model = mpctensor.encrypt(torch.nn.Linear(3, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    x = mpctensor.encrypt(X.view(1, 3) * 0.02)
    F.mse_loss(model(x), mpctensor.encrypt(torch.zeros(1, 1))).backward()
    gradient = model.weight.grad.decrypt()
    optimizer.step()
    mpctensor.decrypt(optimizer)
    shown = optimizer.state[model.weight]["exp_avg_sq"]
    expected = 0.001 * gradient**2
    assert (shown - expected).abs().max() < 0.01 * expected.max() + 2.0**-31
    assert shown.max() > 0


def test_costs() -> None:
    for n, bits in ((2, 65), (3, 128)):
        session = make_session(n)
        x, y = share_value(session, X), share_value(session, Y)
        product = mpc.mul(x, y)
        for share, rounds, sent in ((x, 1, 64), (product, 2, bits)):
            with mpctensor.cost() as c:
                mpc.reveal_value(share)
            assert c.rounds == rounds
            assert c.bytes_sent <= (-(-(sent * 3) // 8) + 1) * (n - 1)
        with mpctensor.cost() as c:
            mpc.reveal_value(product)
        assert c.rounds == 1, "a second look is not truncated again"
