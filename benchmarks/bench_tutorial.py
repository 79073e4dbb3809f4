"""The tutorial's network: time of an encrypted step, and how far its losses are from plaintext."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mpctensor as mpc
import mpctensor.syft as sy

STEPS = 20
RUNS = 20

Report = Callable[[str, float, str], None]


class Net(nn.Module):
    """2-2-1 with the tutorial's fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 2)
        self.fc2 = nn.Linear(2, 1)
        with torch.no_grad():
            self.fc1.weight.copy_(torch.tensor([[0.0738, -0.2109], [-0.1579, 0.3174]]))
            self.fc1.bias.copy_(torch.tensor([0.0, 0.1]))
            self.fc2.weight.copy_(torch.tensor([[-0.5368, 0.7050]]))
            self.fc2.bias.copy_(torch.tensor([-0.0343]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(x)))


def train(model: nn.Module, data: Tensor, target: Tensor) -> tuple[list[Tensor], list[float]]:
    """The loss and the seconds of each step; a step ends with its loss revealed."""
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, seconds = [], []
    for _ in range(STEPS):
        started = perf_counter()
        opt.zero_grad()
        loss = ((model(data) - target) ** 2).sum()
        loss.backward()
        opt.step()
        value = (
            loss.get().float_precision() if isinstance(loss, mpc.SharedTensor) else loss.detach()
        )
        seconds.append(perf_counter() - started)
        losses.append(value)
    return losses, seconds


def run(report: Report) -> None:
    hook = sy.TorchHook(torch)
    bob, alice, james = (sy.VirtualWorker(hook, id=name) for name in ("bob", "alice", "james"))
    settings = {"crypto_provider": james, "requires_grad": True}
    data = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    target = torch.tensor([[0], [0], [1], [1.0]])
    plain = torch.stack(train(Net(), data, target)[0])
    for digits in (2, 3, 4):
        worst, times = 0.0, []
        for _ in range(RUNS):
            secrets = [
                value.fix_precision(precision_fractional=digits).share(bob, alice, **settings)
                for value in (data, target, Net())
            ]
            losses, seconds = train(secrets[2], secrets[0], secrets[1])
            worst = max(worst, (torch.stack(losses) - plain).abs().max().item())
            times += seconds
        median = sorted(times)[len(times) // 2]
        report(f"step, precision {digits} (median)", median * 1e3, "ms")
        report(f"largest |encrypted - plain| loss, precision {digits}, x 1000", worst * 1e3, "")
