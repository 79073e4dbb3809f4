"""Four kinds of networks, trained encrypted beside plain twins: a table of accuracy and cost.

LeNet, a residual network with batch normalisation, a Transformer encoder and an LSTM learn
handwritten digits (enlarged to 28 x 28 for LeNet; read row by row by the last two). Twins start
from the same weights and see the same batches; learning rates fall linearly.

    python examples/networks.py            # all four
    python examples/networks.py lstm --epochs 2
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
import torch.nn.functional as F
from digits import load, predict
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR, LRScheduler
from tqdm import tqdm

import mpctensor as mpc

Optimizer = Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(50 * 4 * 4, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
    )


class Residual(nn.Module):
    """Two convolutions beside a shortcut, halving the image where the stride is 2."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16, 16),
        Residual(16, 32, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class Transformer(nn.Module):
    """Two encoder layers over the rows of the image, with learnt positions."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.rows = nn.Linear(8, width)
        self.positions = nn.Parameter(torch.randn(8, width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=64, dropout=0.0, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.classes = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.encoder(self.rows(x.squeeze(1)) + self.positions).mean(1))


class Recurrent(nn.Module):
    """An LSTM that reads the image row by row."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, width, batch_first=True)
        self.classes = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.squeeze(1))
        return self.classes(states[:, -1])


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. size: the image's side."""

    title: str
    build: Callable[[], nn.Module]
    optimizer: Optimizer
    epochs: int
    size: int = 8


RECIPES = {
    "lenet": Recipe(
        "LeNet, 28 x 28", lenet, lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9), 5, size=28
    ),
    "resnet": Recipe(
        "ResNet, BatchNorm", resnet, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), 5
    ),
    "transformer": Recipe(
        "Transformer encoder", Transformer, lambda p: torch.optim.Adam(p, lr=3e-3), 15
    ),
    "lstm": Recipe("LSTM", Recurrent, lambda p: torch.optim.Adam(p, lr=1e-2), 12),
}


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor],
) -> None:
    """The same code trains plain and encrypted models."""
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()


def accuracy(model: nn.Module, images: Tensor, classes: Tensor) -> float:
    """In percent."""
    right = [
        mpc.decrypt(predict(model, part)) == truth
        for part, truth in zip(images.split(100), classes.split(100), strict=True)
    ]
    return 100 * torch.cat(right).float().mean().item()


def data(recipe: Recipe, train_images: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images of the recipe's size, with mean 0 and variance 1 over those to train on."""
    images, classes, test_images, test_classes = load(train_images)
    variance, mean = torch.var_mean(images)
    sets = [(x - mean) / variance.sqrt() for x in (images, test_images)]
    if recipe.size != 8:
        sets = [F.interpolate(x, size=(recipe.size,) * 2, mode="bilinear") for x in sets]
    return sets[0], classes, sets[1], test_classes


def row(recipe: Recipe, options: argparse.Namespace) -> str:
    """Train both twins; a row of the table."""
    torch.manual_seed(options.seed)
    images, classes, test_images, test_classes = data(recipe, options.train_images)
    plain = recipe.build()
    secret = mpc.encrypt(copy.deepcopy(plain))
    labels = F.one_hot(classes, 10).float()
    secret_images, secret_labels = mpc.encrypt(images), mpc.encrypt(labels)
    epochs = options.epochs or recipe.epochs
    steps = epochs * -(-len(images) // options.batch_size)
    optimizers = [recipe.optimizer(list(model.parameters())) for model in (plain, secret)]
    schedules = [LinearLR(optimizer, 1, 0.02, steps) for optimizer in optimizers]

    seconds = 0.0
    for epoch in range(epochs):
        batches = torch.randperm(len(images)).split(options.batch_size)
        train(plain, optimizers[0], schedules[0], images, labels, batches)
        bar = tqdm(batches, desc=f"{recipe.title}, epoch {epoch + 1}", leave=False)
        started = perf_counter()
        with mpc.cost() as cost:
            train(secret, optimizers[1], schedules[1], secret_images, secret_labels, bar)
        seconds += perf_counter() - started
    for model in (plain, secret):
        model.eval()
    before = accuracy(plain, test_images, test_classes)
    after = accuracy(secret, mpc.encrypt(test_images), test_classes)
    weights = sum(p.numel() for p in plain.parameters())
    each = len(batches)
    return (
        f"| {recipe.title} | {weights:,} | {before:.1f} % | {after:.1f} % | {seconds / steps:.2f} s"
        f" | {cost.rounds / each:.0f} | {cost.bytes_sent / each / 1e6:.1f} MB"
        f" | {cost.provider_bytes / each / 1e6:.1f} MB |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; all by default")
    parser.add_argument("--epochs", type=int, help="instead of each network's own number")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--train-images", type=int, default=1500, help="at most 1500")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches, not of shares")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in RECIPES]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(RECIPES)}")
    print(
        "| network | weights | plain accuracy | encrypted accuracy | step | rounds"
        " | sent by a party | from the provider |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with mpc.init():
        for name in options.names or RECIPES:
            print(row(RECIPES[name], options), flush=True)


if __name__ == "__main__":
    main()
