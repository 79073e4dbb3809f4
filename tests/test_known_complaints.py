"""What users of an earlier library of this kind ran into; none of it may happen here."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mpctensor as mpc
import mpctensor.syft as sy

ULP = 2.0**-16


def close(secret: Tensor, expected: Tensor, atol: float = 4 * ULP, rtol: float = 0.0) -> None:
    torch.testing.assert_close(secret.decrypt(), expected, atol=atol, rtol=rtol)


@pytest.fixture
def share() -> Callable[..., Tensor]:
    """Shares a value among three workers of the older names: bob, alice, with james as provider."""
    hook = sy.TorchHook(torch)
    bob, alice, james = (sy.VirtualWorker(hook, id=name) for name in ("bob", "alice", "james"))

    def run(values: object, digits: int = 3) -> Tensor:
        fixed = torch.tensor(values).fix_precision(precision_fractional=digits)
        return fixed.share(bob, alice, crypto_provider=james, requires_grad=True)

    return run


# Wrong values


def test_maximum_of_ties() -> None:
    x = mpc.encrypt(torch.tensor([1.0, 3.0, 3.0]))
    close(x.max(), torch.tensor(3.0))
    assert x.argmax().decrypt().item() in (1, 2)
    close(mpc.encrypt(torch.tensor([1, 3, 3])).max(), torch.tensor(3))


def test_argmax_gives_one_index_per_row() -> None:
    x = mpc.encrypt(torch.tensor([[2.0, 2.0, 2.0], [0.0, 1.0, 1.0]]))
    assert x.argmax(dim=1).decrypt().tolist() == [0, 1]
    assert x.max(dim=1).indices.decrypt().tolist() == [0, 1]
    assert x.argmin(dim=1).decrypt().tolist() == [0, 0]


def test_comparison_with_a_number_means_that_number(share: Callable[..., Tensor]) -> None:
    values = [0.5, 1.0, 1.001, 3.0]
    for x in (share(values), mpc.encrypt(torch.tensor(values))):
        assert (x > 1).decrypt().tolist() == [False, False, True, True]
        assert (1 > x).decrypt().tolist() == [True, False, False, False]  # noqa: SIM300
        assert (x >= 1).decrypt().tolist() == [False, True, True, True]
        assert (x == 1).decrypt().tolist() == [False, True, False, False]


def test_not_equal() -> None:
    x, y = mpc.encrypt(torch.tensor([1.0, 2.0, 3.0])), mpc.encrypt(torch.tensor([1.0, 5.0, 3.0]))
    assert (x != y).decrypt().tolist() == [False, True, False]


def test_mixed_precisions_are_aligned(share: Callable[..., Tensor]) -> None:
    total = share([2.0], digits=2) + share([2.0], digits=3)
    assert total.get().float_precision().item() == 4.0
    x = mpc.encrypt(torch.tensor([2.0]), precision=12)
    y = mpc.encrypt(torch.tensor([2.0]), precision=20)
    close(x + y, torch.tensor([4.0]))
    close(x * y, torch.tensor([4.0]), atol=2.0**-10)


def test_plain_matmul_encrypted_keeps_the_order() -> None:
    a, b = torch.randn(2, 3), torch.randn(3, 4)
    close(a @ mpc.encrypt(b), a @ b, atol=1e-3)
    close(mpc.encrypt(a) @ b, a @ b, atol=1e-3)
    close(torch.matmul(a, mpc.encrypt(b)), a @ b, atol=1e-3)
    v = torch.randn(3)
    close(v @ mpc.encrypt(b), v @ b, atol=1e-3)


def test_abs_clamp_bmm_prod() -> None:
    x = torch.tensor([[-1.5, 0.25, 2.0], [3.0, -0.5, -0.0]])
    secret = mpc.encrypt(x)
    close(secret.abs(), x.abs())
    close(secret.clamp(-1, 1), x.clamp(-1, 1))
    close(secret.clamp(min=0.5), x.clamp(min=0.5))
    close(secret.prod(), x.prod())
    close(secret.prod(dim=1), x.prod(dim=1))
    a, b = torch.randn(3, 2, 4), torch.randn(3, 4, 2)
    close(torch.bmm(mpc.encrypt(a), mpc.encrypt(b)), torch.bmm(a, b), atol=1e-3)


@pytest.mark.parametrize("divisor", [2, 3.0, -7])
def test_division_by_public_numbers(divisor: float) -> None:
    x = torch.tensor([1.0, -5.5, 1000.0])
    close(mpc.encrypt(x) / divisor, x / divisor)


def test_division_by_secrets() -> None:
    x, y = torch.tensor([1.0, -5.5, 20.0, 3.0]), torch.tensor([3.0, 0.5, -8.0, 100.0])
    close(mpc.encrypt(x) / mpc.encrypt(y), x / y, atol=2e-3)
    close(1 / mpc.encrypt(y), 1 / y, atol=1e-3)


def test_mixed_public_and_secret_arithmetic() -> None:
    x, y = torch.randn(3, 2), torch.randn(2)
    secret = mpc.encrypt(x)
    for fn in (
        lambda s: s + y,
        lambda s: y - s,
        lambda s: s * y,
        lambda s: 2 - s,
        lambda s: 0.5 * s + 1,
        lambda s: s**2 - y,
    ):
        close(fn(secret), fn(x), atol=1e-3)


@pytest.mark.parametrize("parties", [2, 3, 5])
def test_products_with_any_number_of_parties(parties: int) -> None:
    with mpc.init(("a", "b", "c", "d", "e")[:parties]):
        x, y = torch.randn(2000), torch.randn(2000)
        close(mpc.encrypt(x) * mpc.encrypt(y), x * y, atol=1e-3)


def test_no_truncation_ever_jumps() -> None:
    x = mpc.encrypt(torch.full((200_000,), 60.0))
    assert ((x * x).decrypt() - 3600).abs().max() < 0.01


# Gradients


def both_gradients(fn: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Compare the gradients of sum(fn(...) * weights) with those of plain torch."""
    plain = [x.clone().requires_grad_() for x in inputs]
    secret = [mpc.encrypt(x.clone().requires_grad_()) for x in inputs]
    weights = torch.randn_like(fn(*inputs))
    (fn(*plain) * weights).sum().backward()
    (fn(*secret) * weights).sum().backward()
    for p, s in zip(plain, secret, strict=True):
        assert s.grad is not None and s.grad.shape == p.grad.shape
        close(s.grad, p.grad, atol=2e-3)


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (lambda x: x.view(6, 2), (3, 4)),
        (lambda x: x.t().reshape(-1), (3, 4)),
        (lambda x: x[1:, ::2], (3, 4)),
        (lambda x: x.max(dim=1).values, (3, 4)),
        (lambda x: x.max(), (3, 4)),
        (lambda x: torch.cat([x, x * 2]), (3, 4)),
        (lambda x: torch.stack([x, x]).sum(0), (3, 4)),
        (lambda x: F.max_pool2d(x, 2), (2, 1, 4, 4)),
        (lambda x: F.avg_pool2d(x, 2), (2, 1, 4, 4)),
        (lambda x: F.adaptive_avg_pool2d(x, 1), (2, 3, 4, 4)),
        (lambda x: x.mean(dim=0), (3, 4)),
        (lambda x: x.abs(), (3, 4)),
        (lambda x: x.clamp(-0.5, 0.5), (3, 4)),
    ],
)
def test_gradients_are_there(fn: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    both_gradients(fn, torch.randn(shape))


def test_gradients_of_convolution() -> None:
    def conv(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(x, w, b, stride=2, padding=1)

    both_gradients(conv, torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3), torch.randn(4))


@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4), ())])
def test_broadcast_gradients_are_reduced(shapes: tuple[tuple[int, ...], ...]) -> None:
    for fn in (torch.add, torch.sub, torch.mul):
        both_gradients(fn, *(torch.randn(shape) for shape in shapes))


def test_no_grad_is_honoured() -> None:
    x = mpc.encrypt(torch.randn(2, 2).requires_grad_())
    with torch.no_grad():
        assert (x * x).grad_fn is None
    assert (x * x).grad_fn is not None
    assert (x.detach() * 2).requires_grad is False


# Training


def two_models() -> tuple[nn.Module, nn.Module]:
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return plain, mpc.encrypt(copy.deepcopy(plain))


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "dampening": lambda p: torch.optim.SGD(
        p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01
    ),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_losses_and_optimizers(name: str, loss: str) -> None:
    x, labels = torch.randn(32, 4), torch.randint(3, (32,))
    onehot = F.one_hot(labels, 3).float()
    results = []
    for model, data, target in zip(
        two_models(), (x, mpc.encrypt(x)), (onehot, mpc.encrypt(onehot)), strict=True
    ):
        opt = OPTIMIZERS[name](model.parameters())
        for _ in range(5):
            opt.zero_grad()
            out = model(data)
            value = F.mse_loss(out, target) if loss == "mse" else F.cross_entropy(out, labels)
            value.backward()
            opt.step()
        results.append(value)
    # Adam divides by the root of tiny second moments, so it repeats plaintext less closely.
    close(results[1], results[0].detach(), atol=0.02 if name == "adam" else 0.005)


def test_schedulers_and_gradient_clipping() -> None:
    x, y = torch.randn(16, 4), torch.randn(16, 3)
    results = []
    for model, data, target in zip(
        two_models(), (x, mpc.encrypt(x)), (y, mpc.encrypt(y)), strict=True
    ):
        opt = torch.optim.SGD(model.parameters(), lr=0.2)
        schedule = torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
        for _ in range(5):
            opt.zero_grad()
            F.mse_loss(model(data), target).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            opt.step()
            schedule.step()
        results.append([p.detach() for p in model.parameters()])
    for plain, secret in zip(*results, strict=True):
        close(secret, plain, atol=0.003)


def test_forgetting_to_fix_the_optimizer_keeps_the_weights(share: Callable[..., Tensor]) -> None:
    weight = share([1.0, -2.0])
    opt = torch.optim.SGD([weight], lr=0.1)
    (weight * weight).sum().backward()
    opt.step()
    assert weight.get().float_precision().tolist() == pytest.approx([0.8, -1.6], abs=0.002)


def test_long_training_never_explodes() -> None:
    x = torch.randn(8, 4)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    model = mpc.encrypt(nn.Linear(4, 1))
    data, target = mpc.encrypt(x), mpc.encrypt(y)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(300):
        opt.zero_grad()
        loss = F.mse_loss(model(data), target)
        loss.backward()
        opt.step()
        losses.append(loss.decrypt())
    values = torch.stack(losses)
    assert values.min() > -1e-3 and values.max() == values[0] and values[-1] < 0.01


# Models


def test_encrypted_models_can_be_copied_and_saved() -> None:
    _, model = two_models()
    x = mpc.encrypt(torch.randn(5, 4))
    expected = model(x).decrypt()
    twin = copy.deepcopy(model)
    close(twin(x), expected.detach(), atol=1e-3)
    fresh = mpc.encrypt(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    fresh.load_state_dict(model.state_dict())
    close(fresh(x), expected.detach(), atol=1e-3)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    close(model(x), expected.detach(), atol=1e-3)


def test_encrypted_prediction_in_inference_mode() -> None:
    plain, model = two_models()
    x = torch.randn(5, 4)
    with torch.inference_mode():
        close(model.eval()(mpc.encrypt(x)), plain(x), atol=1e-3)


# Secrecy


def test_shares_do_not_follow_torch_manual_seed() -> None:
    shares = []
    for _ in range(2):
        torch.manual_seed(1)
        shares.append(mpc.encrypt(torch.zeros(100)).shares)
    assert not torch.equal(shares[0][0], shares[1][0])
    first = torch.initial_seed()
    mpc.encrypt(torch.zeros(3)).relu()
    assert torch.initial_seed() == first


def test_encryption_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    (mpc.encrypt(torch.ones(4)) * 2.5).relu().decrypt()
    assert torch.equal(torch.rand(4), expected)


def test_a_missing_provider_is_named(share: Callable[..., Tensor]) -> None:
    hook = sy.TorchHook(torch)
    bob, alice = sy.VirtualWorker(hook, id="bob"), sy.VirtualWorker(hook, id="alice")
    with pytest.raises(mpc.SessionError, match="crypto_provider=james"):
        torch.tensor([1]).share(bob, alice)
