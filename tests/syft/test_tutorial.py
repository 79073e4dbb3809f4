"""The tutorial's cells in order, with only the import changed; encrypted losses beside plain."""

from __future__ import annotations

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch import Tensor

import mpctensor.syft as sy

STEPS = 20
TOLERANCE = {2: 0.05, 3: 0.008, 4: 0.001}  # of the loss at each step, by precision_fractional

CELLS = [
    """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import mpctensor.syft as sy
""",
    """
# Set everything up
hook = sy.TorchHook(torch)

alice = sy.VirtualWorker(id="alice", hook=hook)
bob = sy.VirtualWorker(id="bob", hook=hook)
james = sy.VirtualWorker(id="james", hook=hook)
""",
    """
# A Toy Dataset
data = torch.tensor([[0,0],[0,1],[1,0],[1,1.]])
target = torch.tensor([[0],[0],[1],[1.]])

# A Toy Model
class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc1 = nn.Linear(2, 2)
        self.fc2 = nn.Linear(2, 1)

    def forward(self, x):
        x = self.fc1(x)
        x = F.relu(x)
        x = self.fc2(x)
        return x
model = Net()
""",
    """
# We encode everything
data = data.fix_precision().share(bob, alice, crypto_provider=james, requires_grad=True)
target = target.fix_precision().share(bob, alice, crypto_provider=james, requires_grad=True)
model = model.fix_precision().share(bob, alice, crypto_provider=james, requires_grad=True)
""",
    """
print(data)
""",
    """
opt = optim.SGD(params=model.parameters(),lr=0.1).fix_precision()

for iter in range(20):
    # 1) erase previous gradients (if they exist)
    opt.zero_grad()

    # 2) make a prediction
    pred = model(data)

    # 3) calculate how much we missed
    loss = ((pred - target)**2).sum()

    # 4) figure out which weights caused us to miss
    loss.backward()

    # 5) change those weights
    opt.step()

    # 6) print our progress
    print(loss.get().float_precision())
""",
]


class Net(nn.Module):
    """The tutorial's network with the fixed initial weights of its last section."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 2)
        self.fc2 = nn.Linear(2, 1)
        with torch.no_grad():
            self.fc1.weight.set_(
                torch.tensor([[0.0738, -0.2109], [-0.1579, 0.3174]], requires_grad=True)
            )
            self.fc1.bias.set_(torch.tensor([0.0, 0.1], requires_grad=True))
            self.fc2.weight.set_(torch.tensor([[-0.5368, 0.7050]], requires_grad=True))
            self.fc2.bias.set_(torch.tensor([-0.0343], requires_grad=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(x)))


def toy() -> tuple[Tensor, Tensor]:
    return torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1.0]]), torch.tensor([[0], [0], [1], [1.0]])


def train(model: nn.Module, data: Tensor, target: Tensor, opt: optim.Optimizer) -> list[Tensor]:
    losses = []
    for _ in range(STEPS):
        opt.zero_grad()
        loss = ((model(data) - target) ** 2).sum()
        loss.backward()
        opt.step()
        losses.append(loss)
    return losses


def plain_losses() -> Tensor:
    model = Net()
    losses = train(model, *toy(), optim.SGD(model.parameters(), lr=0.1))
    return torch.stack(losses).detach()


def encrypted_losses(digits: int, fix_optimizer: bool = True, owners: int = 2) -> Tensor:
    hook = sy.TorchHook(torch)
    workers = [sy.VirtualWorker(hook, id=name) for name in ("bob", "alice", "carol")[:owners]]
    settings = {"crypto_provider": sy.VirtualWorker(hook, id="james"), "requires_grad": True}
    data, target = (
        value.fix_precision(precision_fractional=digits).share(*workers, **settings)
        for value in toy()
    )
    model = Net().fix_precision(precision_fractional=digits).share(*workers, **settings)
    opt = optim.SGD(params=model.parameters(), lr=0.1)
    if fix_optimizer:
        opt = opt.fix_precision()
    return torch.stack([loss.get().float_precision() for loss in train(model, data, target, opt)])


def run_cells(cells: list[str], scope: dict[str, object]) -> None:
    for cell in cells:
        exec(cell, scope)


def printed_losses(text: str) -> list[float]:
    lines = [line for line in text.splitlines() if line.startswith("tensor(")]
    return [float(line.removeprefix("tensor(").removesuffix(")")) for line in lines]


def test_plain_reference() -> None:
    expected = torch.tensor([1.94699, 1.151849, 0.927996, 0.767856])
    assert torch.allclose(plain_losses()[:4], expected, atol=1e-5)


def test_cells_run_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    run_cells(CELLS, {})
    out = capsys.readouterr().out
    assert out.startswith("(Wrapper)>AutogradTensor>FixedPrecisionTensor>[AdditiveSharingTensor]")
    losses = printed_losses(out)
    assert len(losses) == STEPS
    assert losses[-1] < losses[0]


def test_cells_run_twice(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    run_cells(CELLS, scope)
    run_cells(CELLS[1:], scope)
    run_cells(CELLS[5:], scope)  # training goes on where it stopped
    assert len(printed_losses(capsys.readouterr().out)) == 3 * STEPS


def test_losses_print_as_in_the_tutorial(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    run_cells(CELLS[:3], scope)
    scope["model"] = Net()
    run_cells(CELLS[3:], scope)
    lines = capsys.readouterr().out.splitlines()
    first = next(line for line in lines if line.startswith("tensor("))
    assert first in {f"tensor(1.94{digit}0)" for digit in range(4, 10)}


@pytest.mark.parametrize("digits", sorted(TOLERANCE))
def test_every_loss_is_near_the_plain_one(digits: int) -> None:
    plain = plain_losses()
    for _ in range(20):
        deviation = (encrypted_losses(digits) - plain).abs().max().item()
        assert deviation <= TOLERANCE[digits]


def test_forgetting_the_optimizer_changes_nothing() -> None:
    deviation = (encrypted_losses(3, fix_optimizer=False) - plain_losses()).abs().max().item()
    assert deviation <= TOLERANCE[3]


def test_three_owners() -> None:
    deviation = (encrypted_losses(3, owners=3) - plain_losses()).abs().max().item()
    assert deviation <= TOLERANCE[3]
