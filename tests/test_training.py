"""Whole trainings end to end: encrypted beside plain, from the same weights on the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mpctensor as mpc

Optimizer = Callable[..., torch.optim.Optimizer]


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (n, 1, 8, 8) and classes to train on, then to test with."""
    datasets = pytest.importorskip("sklearn.datasets")
    raw = datasets.load_digits()
    order = torch.randperm(len(raw.images), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(raw.images, dtype=torch.float32).unsqueeze(1)[order] / 16
    classes = torch.tensor(raw.target)[order]
    return images[:1200], classes[:1200], images[1200:], classes[1200:]


@pytest.fixture(params=[2, 3], ids=["two", "three"])
def parties(request: pytest.FixtureRequest) -> Iterator[int]:
    names = ("alice", "bob", "carol")[: request.param]
    if mpc.party() is not None:  # the deployment has a line-up of its own
        yield request.param
        return
    with mpc.init(names):
        yield request.param


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    batches: list[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> None:
    for batch in batches:
        optimizer.zero_grad()
        loss(model(images[batch]), labels[batch]).backward()
        optimizer.step()


def batches_of(n: int, size: int, epochs: int) -> list[Tensor]:
    return [batch for _ in range(epochs) for batch in torch.randperm(n).split(size)]


def accuracy(model: nn.Module, images: Tensor, classes: Tensor) -> float:
    with torch.no_grad():
        answers = model(images).argmax(1)
    return 100 * (mpc.decrypt(answers) == classes).float().mean().item()


def movement(model: nn.Module, start: nn.Module) -> list[Tensor]:
    """How far each parameter has come."""
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return [(mpc.decrypt(now.detach()) - then).detach() for now, then in pairs]


@pytest.mark.lengthy
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.005),
    ],
    ids=["momentum", "adam"],
)
def test_digits_as_well_as_in_plaintext(
    digits: tuple[Tensor, Tensor, Tensor, Tensor], optimizer: Optimizer
) -> None:
    images, classes, test_images, test_classes = digits
    labels = F.one_hot(classes, 10).float()
    plain = mlp()
    secret = mpc.encrypt(copy.deepcopy(plain))
    batches = batches_of(len(images), 60, epochs=4)
    train(plain, optimizer(plain.parameters()), images, labels, batches)
    train(secret, optimizer(secret.parameters()), mpc.encrypt(images), mpc.encrypt(labels), batches)
    reference = accuracy(plain, test_images, test_classes)
    assert reference > 88
    assert abs(accuracy(secret, mpc.encrypt(test_images), test_classes) - reference) <= 2


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}),
    "adam": (torch.optim.Adam, {"lr": 0.02}),
    "amsgrad": (torch.optim.Adam, {"lr": 0.02, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.02}),
    "nadam": (torch.optim.NAdam, {"lr": 0.01}),
    "radam": (torch.optim.RAdam, {"lr": 0.2}),
    "adamax": (torch.optim.Adamax, {"lr": 0.03}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.05}),
    "adadelta": (torch.optim.Adadelta, {"lr": 3.0}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.005}),
    "centered": (torch.optim.RMSprop, {"lr": 0.003, "centered": True, "momentum": 0.5}),
    "rprop": (torch.optim.Rprop, {"lr": 0.005}),
    "asgd": (torch.optim.ASGD, {"lr": 0.5}),
    "adafactor": (torch.optim.Adafactor, {"lr": 0.1}),
}


@pytest.mark.simulated
@pytest.mark.parametrize("foreach", [False, True], ids=["single", "foreach"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_as_in_plaintext(
    digits: tuple[Tensor, ...], name: str, foreach: bool
) -> None:
    kind, options = OPTIMIZERS[name]
    images, classes, test_images, test_classes = digits
    labels = F.one_hot(classes, 10).float()
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    batches = list(torch.arange(1200).split(300)) * 5
    with mpc.init(seed=1):
        secret = mpc.encrypt(copy.deepcopy(plain))
        for model, x, y in (
            (plain, images, labels),
            (secret, mpc.encrypt(images), mpc.encrypt(labels)),
        ):
            optimizer = kind(model.parameters(), foreach=foreach, **options)
            train(model, optimizer, x, y, batches)
        mpc.decrypt(secret)
    reference = accuracy(plain, test_images, test_classes)
    assert reference > 70
    assert abs(accuracy(secret, test_images, test_classes) - reference) <= 2


def test_small_learning_rates_are_not_lost(digits: tuple[Tensor, ...]) -> None:
    images, classes = digits[0][:200], digits[1][:200]
    labels = F.one_hot(classes, 10).float()
    start = mlp()
    plain, secret = copy.deepcopy(start), mpc.encrypt(copy.deepcopy(start))
    batches = batches_of(200, 50, epochs=5)
    settings = {"lr": 1e-4, "momentum": 0.9}
    train(plain, torch.optim.SGD(plain.parameters(), **settings), images, labels, batches)
    train(
        secret,
        torch.optim.SGD(secret.parameters(), **settings),
        mpc.encrypt(images),
        mpc.encrypt(labels),
        batches,
    )
    for ours, theirs in zip(movement(secret, start), movement(plain, start), strict=True):
        assert (ours - theirs).norm() <= 0.1 * theirs.norm() + 1e-4


def test_cnn_follows_plaintext_weights(digits: tuple[Tensor, ...], parties: int) -> None:
    images, classes = digits[0][:64], digits[1][:64]
    labels = F.one_hot(classes, 10).float()
    start = cnn()
    plain, secret = copy.deepcopy(start), mpc.encrypt(copy.deepcopy(start))
    batches = batches_of(64, 16, epochs=1)
    for model, x, y in (
        (plain, images, labels),
        (secret, mpc.encrypt(images), mpc.encrypt(labels)),
    ):
        train(model, torch.optim.SGD(model.parameters(), lr=0.1), x, y, batches, F.mse_loss)
    for ours, theirs in zip(secret.parameters(), plain.parameters(), strict=True):
        assert (mpc.decrypt(ours.detach()) - theirs).abs().max() <= 2e-3


def test_mlp_with_every_number_of_parties(digits: tuple[Tensor, ...], parties: int) -> None:
    images, classes, test_images, test_classes = digits
    plain = mlp()
    secret = mpc.encrypt(copy.deepcopy(plain))
    batches = batches_of(300, 50, epochs=2)
    for model, x in ((plain, images), (secret, mpc.encrypt(images))):
        train(model, torch.optim.SGD(model.parameters(), lr=0.2), x, classes, batches)
    reference = accuracy(plain, test_images, test_classes)
    assert abs(accuracy(secret, mpc.encrypt(test_images), test_classes) - reference) <= 2


def test_a_plain_model_learns_from_decrypted_weights(digits: tuple[Tensor, ...]) -> None:
    images, classes = digits[0][:60], digits[1][:60]
    model = mpc.encrypt(mlp())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, mpc.encrypt(images), classes, batches_of(60, 20, epochs=1))
    secret_answers = model(mpc.encrypt(images)).decrypt().detach()
    assert mpc.decrypt(model) is model
    torch.testing.assert_close(model(images).detach(), secret_answers, atol=2e-3, rtol=0)
    train(model, optimizer, images, classes, batches_of(60, 20, epochs=1))


@pytest.mark.simulated
def test_cost_of_a_training_step() -> None:
    """Each operand is opened once, for forward and backward; ReLU sends 98 bits an element."""
    batch, inputs, hidden, outputs = 50, 64, 32, 10
    layers = nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    model = mpc.encrypt(nn.Sequential(*layers))
    x, y = mpc.encrypt(torch.rand(batch, inputs)), mpc.encrypt(torch.rand(batch, outputs))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def cost() -> mpc.Cost:
        with mpc.cost() as step:
            train(model, optimizer, x.unsqueeze(0), y.unsqueeze(0), [0], F.mse_loss)
        return step

    first, second = cost(), cost()
    weights = hidden * (inputs + outputs)
    activations = batch * hidden
    # Weights; hidden values, gradients of both sides of ReLU; the error and its gradient.
    opened = weights + 3 * activations + 2 * batch * outputs
    expected = 8 * opened + 98 * activations // 8
    truncated = 2 * weights + 4 * (activations + batch * outputs)  # at most; one bit an element
    assert expected <= second.bytes_sent <= expected + truncated // 8 + 8
    # The data set is opened at the first step alone; fresh weights need no truncation there. The
    # second step truncates them for its products, and after the update for the next step's.
    truncated_later = 2 * weights // 8
    assert first.bytes_sent - second.bytes_sent == 8 * x.numel() - truncated_later
    assert second.rounds <= 20
    # An element's share of dealing: a product 8 bytes, ReLU 69, its backward step 8, truncation 2.
    assert second.provider_bytes <= 8 * weights + 69 * activations + 16 * (opened + truncated)
