"""Whole steps beside plain torch: kernels, provider and all parties of a simulated session."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc

Report = Callable[[str, float, str], None]


def lenet() -> nn.Module:
    """The LeNet of the literature on 28x28 images: 20 and 50 filters of 5x5, 500 hidden units."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def mlp() -> nn.Module:
    """784-128-128-10."""
    sizes = ((784, 128), (128, 128), (128, 10))
    layers = [layer for a, b in sizes for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The median of several runs, after one that does not count."""
    work()
    taken = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return sorted(taken)[repeats // 2]


def training(report: Report, name: str, model: nn.Module, batch: int) -> None:
    """One step with cross entropy and SGD, encrypted and plain."""
    images, classes = torch.rand(batch, 1, 28, 28), torch.randint(10, (batch,))
    times = []
    for secret in (False, True):
        if secret:
            model, images = mpc.encrypt(model), mpc.encrypt(images)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

        def step(model: nn.Module = model, images: torch.Tensor = images) -> None:
            optimizer.zero_grad()
            F.cross_entropy(model(images), classes).backward()
            optimizer.step()

        times.append(seconds(step, 5))
        if secret:
            with mpc.cost() as spent:
                step()
    report(f"{name}, step of {batch} images", times[1], "s")
    report(f"{name}, times the plain step", times[1] / times[0], "x")
    report(f"{name}, rounds", spent.rounds, "")
    report(f"{name}, sent by each party", spent.bytes_sent / 1e6, "MB")
    report(f"{name}, from the provider", spent.provider_bytes / 1e6, "MB")


def run(report: Report) -> None:
    with mpc.init():
        million = torch.randn(10**6)
        square = torch.randn(1024, 1024)
        work = {
            "relu, 10^6 elements": lambda: F.relu(mpc.encrypt(million)),
            "x > 0, 10^6 elements": lambda: mpc.encrypt(million) > 0,
            "x * y, 10^6 elements": lambda: mpc.encrypt(million) * mpc.encrypt(million),
            "1024 x 1024 matmul": lambda: mpc.encrypt(square) @ mpc.encrypt(square),
            "sigmoid, 10^5 elements": lambda: mpc.encrypt(million[: 10**5]).sigmoid(),
            "softmax, 1000 x 10": lambda: mpc.encrypt(million[: 10**4].view(1000, 10)).softmax(1),
        }
        for name, call in work.items():
            report(f"{name}, with its encryption", seconds(call, 3), "s")
        training(report, "784-128-128-10", mlp(), 128)
        training(report, "LeNet", lenet(), 32)
