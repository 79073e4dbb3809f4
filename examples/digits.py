"""Train on encrypted data: first a toy problem, then handwritten digits with an MLP and a CNN.

Everything is encrypted: images, labels, weights, gradients. Beside each encrypted model a plain
twin learns from the same weights and the same batches, through the same functions.

    python examples/digits.py --epochs 3
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from time import perf_counter

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from tqdm import tqdm

import mpctensor as mpc

TEST_IMAGES = 297


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
    )


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor],
) -> Tensor:
    """One epoch; returns the mean loss. The same code trains plain and encrypted models."""
    total = torch.zeros(())
    for batch in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        total = total + loss.detach()
    return total / len(batches)


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """The most likely class of each image, encrypted where the model or the images are."""
    with torch.no_grad():
        return model(images).argmax(dim=1)


def load(train_images: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (n, 1, 8, 8) in [0, 1] and classes (n,): those to train on, those to test with."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    classes = torch.tensor(digits.target)
    order = torch.randperm(len(images))
    test, rest = order[:TEST_IMAGES], order[TEST_IMAGES:][:train_images]
    return images[rest], classes[rest], images[test], classes[test]


def toy_problem() -> None:
    """The first encrypted network of many tutorials: four points, two layers, twenty steps."""
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        plain[0].weight.copy_(torch.tensor([[0.0738, -0.2109], [-0.1579, 0.3174]]))
        plain[0].bias.copy_(torch.tensor([0.0, 0.1]))
        plain[2].weight.copy_(torch.tensor([[-0.5368, 0.7050]]))
        plain[2].bias.copy_(torch.tensor([-0.0343]))
    twins = [(plain, x, y), (mpc.encrypt(copy.deepcopy(plain)), mpc.encrypt(x), mpc.encrypt(y))]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model, _, _ in twins]

    print("Toy problem\n\n  step   encrypted loss   plain loss")
    for step in range(1, 21):
        losses = []
        for (model, data, target), optimizer in zip(twins, optimizers, strict=True):
            optimizer.zero_grad()
            loss = F.mse_loss(model(data), target, reduction="sum")
            loss.backward()
            optimizer.step()
            losses.append(mpc.decrypt(loss.detach()).item())
        if step == 1 or step % 5 == 0:
            print(f"  {step:4}   {losses[1]:14.4f}   {losses[0]:10.4f}")


def compare(
    title: str, plain: nn.Module, data: Sequence[Tensor], options: argparse.Namespace
) -> None:
    """Train `plain` and its encrypted copy on the same batches, then predict encrypted images."""
    images, classes, test_images, test_classes = data
    secret = mpc.encrypt(copy.deepcopy(plain))
    secret_images, secret_test = mpc.encrypt(images), mpc.encrypt(test_images)
    labels = F.one_hot(classes, 10).float()
    secret_labels = mpc.encrypt(labels)
    optimizer = torch.optim.SGD(plain.parameters(), lr=options.lr, momentum=0.9)
    secret_optimizer = torch.optim.SGD(secret.parameters(), lr=options.lr, momentum=0.9)

    print(f"\n{title}: {sum(p.numel() for p in plain.parameters()):,} encrypted weights\n")
    print("  epoch   encrypted loss   plain loss   encrypted accuracy   plain accuracy")
    for epoch in range(1, options.epochs + 1):
        batches = torch.randperm(len(images)).split(options.batch_size)
        bar = tqdm(batches, desc="  training on shares", leave=False)
        with mpc.cost() as training:
            secret_loss = train(secret, secret_optimizer, secret_images, secret_labels, bar)
        loss = train(plain, optimizer, images, labels, batches)
        correct = predict(plain, test_images) == test_classes
        secret_correct = predict(secret, secret_test).decrypt() == test_classes
        print(
            f"  {epoch:5}   {secret_loss.decrypt().item():14.4f}   {loss.item():10.4f}"
            f"   {secret_correct.float().mean():18.1%}   {correct.float().mean():14.1%}"
        )
    with mpc.cost() as prediction:
        answers = predict(secret, secret_test[:16]).decrypt()
    print(f"\n  encrypted images of  {' '.join(str(n) for n in test_classes[:16].tolist())}")
    print(f"  predicted            {' '.join(str(n) for n in answers.tolist())}\n")
    show_cost("a training step", training, len(batches))
    show_cost("16 predictions", prediction, 1)


def show_cost(label: str, cost: mpc.Cost, times: int) -> None:
    print(
        f"  {label}: {cost.rounds / times:.0f} rounds,"
        f" {cost.bytes_sent / times / 1e6:.2f} MB sent by each party,"
        f" {cost.provider_bytes / times / 1e6:.2f} MB from the provider"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--train-images", type=int, default=1500, help="at most 1500")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--parties", type=int, default=2, choices=[2, 3, 4, 5])
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches, not of shares")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    started = perf_counter()
    torch.manual_seed(options.seed)
    parties = ("alice", "bob", "carol", "dave", "erin")[: options.parties]
    with mpc.init(parties, provider="james"):
        print(f"Parties: {', '.join(parties)}. Crypto provider: james. All simulated here.\n")
        toy_problem()
        data = load(options.train_images)
        compare("Handwritten digits, MLP", mlp(), data, options)
        compare("Handwritten digits, CNN", cnn(), data, options)
    print(f"\nDone in {perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
