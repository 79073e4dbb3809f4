"""What parties run in the tests of faults: `python faulty.py CASE`."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mpctensor as mpc

SECRET = 123.4567  # must never be seen in what a process prints


def secret(*size: int) -> torch.Tensor:
    return mpc.encrypt(torch.full(size, SECRET))


def here() -> None:
    print("here", flush=True)


def done() -> None:
    """Reached only by a run in which nothing went wrong."""
    Path(os.environ["MPCTENSOR_CONFIG"]).with_name(f"{mpc.party()}.out").write_text("complete")
    print("complete", flush=True)


def loop(*size: int) -> None:
    """Rounds without end."""
    x = secret(*size)
    here()
    while True:
        (x * x).sum().decrypt()


def small() -> None:
    loop(4)


def large() -> None:
    loop(1 << 22)


def training() -> None:
    """Steps of training without end."""
    model = mpc.encrypt(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x = secret(16, 4)
    for step in count():
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        if step == 2:
            here()


def forked() -> None:
    """Rounds beside worker processes of a DataLoader, which outlive a killed party."""
    data = DataLoader(TensorDataset(torch.zeros(1000, 2)), batch_size=1, num_workers=1)
    x = secret(4)
    for step, (batch,) in enumerate(data):
        (x[:2] + batch[0]).sum().decrypt()
        if step == 3:
            here()
        time.sleep(0.05)


def once() -> None:
    (secret(4) * 2).sum().decrypt()
    done()


def raises() -> None:
    x = secret(4)
    if mpc.party() == "bob":
        raise ValueError(f"the data holds {SECRET}")
    (x * x).decrypt()
    done()


def raises_within() -> None:
    """As `raises`, in the block of a session."""
    with mpc.init():
        raises()


def interrupted_within() -> None:
    with mpc.init():
        busy()


def exits_within() -> None:
    with mpc.init():
        x = secret(4)
        if mpc.party() == "bob":
            sys.exit(f"the data holds {SECRET}"[:8])
        (x * x).decrypt()
        done()


def no_shape() -> None:
    """bob forgets to say which shape alice's value has."""
    mpc.init()
    alice = mpc.party() == "alice"
    x = (
        mpc.encrypt(torch.full((4,), SECRET), src="alice")
        if alice
        else mpc.encrypt(None, src="alice")
    )
    (x * x).decrypt()
    done()


def cannot_encode() -> None:
    mpc.init()
    value = torch.tensor([SECRET, torch.nan]) if mpc.party() == "alice" else None
    x = mpc.encrypt(value, src="alice", shape=(2,))
    (x * 2).decrypt()
    done()


def busy() -> None:
    """alice waits in a round for bob, who is busy elsewhere."""
    x = secret(4)
    here()
    for _ in range(1200 if mpc.party() == "bob" else 0):
        time.sleep(0.05)  # short: a signal that comes just before a sleep is noticed after it
    (x * x).decrypt()
    done()


def undealt(end: Callable[[], None]) -> None:
    """alice ends; the last party waits for the provider, which has stopped."""
    x = secret(4)
    here()
    while not stopped().exists():
        time.sleep(0.02)
    x = x * x
    if mpc.party() == "alice":
        end()
    x.decrypt()
    done()


def stopped() -> Path:
    """Made by the test once the provider has stopped."""
    return Path(os.environ["MPCTENSOR_CONFIG"]).with_name("stopped")


def raise_error() -> None:
    raise ValueError("an error of the script's own")


def interrupt_soon() -> None:
    """In the round that follows, for which alice has sent her part."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 1)


def raises_undealt() -> None:
    undealt(raise_error)


def interrupted_undealt() -> None:
    undealt(interrupt_soon)


def exits_undealt() -> None:
    undealt(lambda: os._exit(3))


# What one party does otherwise: name -> (at alice, at bob)

Step = Callable[[torch.Tensor], Any]
EYE = torch.eye(3)


def _trained(rate: float, dropout: float = 0.0) -> Step:
    def step(x: torch.Tensor) -> Any:
        layer = nn.Linear(3, 3)
        with torch.no_grad():
            layer.weight.copy_(EYE)
        model = mpc.encrypt(nn.Sequential(layer, nn.Dropout(dropout)))
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        model(x).square().sum().backward()
        optimizer.step()
        return model[0].weight.detach().decrypt()

    return step


def _written(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    target = torch.zeros_like(x)
    target.copy_(x)
    return target + y


DIFFERENT: dict[str, tuple[Step, Step]] = {
    "factor": (lambda x: x * 0.5, lambda x: x * 0.25),
    "summand": (lambda x: x + 1, lambda x: x + 2),
    "divisor": (lambda x: x / 3, lambda x: x / 4),
    "power": (lambda x: x**2, lambda x: x**3),
    "plain factor": (lambda x: x * EYE, lambda x: x * (2 * EYE)),
    "plain matrix": (lambda x: x @ EYE, lambda x: x @ EYE.flip(0)),
    "bound": (lambda x: x.clamp(0, 1), lambda x: x.clamp(0, 2)),
    "threshold": (lambda x: (x > 0).float(), lambda x: (x > 1).float()),
    "index": (lambda x: x[torch.tensor([0, 1])], lambda x: x[torch.tensor([2, 1])]),
    "gather": (
        lambda x: x.gather(1, torch.zeros(3, 1, dtype=torch.int64)),
        lambda x: x.gather(1, torch.ones(3, 1, dtype=torch.int64)),
    ),
    "dimension": (lambda x: x.sum(0), lambda x: x.sum(1)),
    "cumulated": (lambda x: x.cumsum(0), lambda x: x.cumsum(1)),
    "transposed": (lambda x: x.t() * 1, lambda x: x * 1),
    "transposed view": (lambda x: x.t(), lambda x: x),
    "row": (lambda x: x[0], lambda x: x[1]),
    "flip": (lambda x: x.flip(0), lambda x: x.flip(1)),
    "roll": (lambda x: x.roll(1, 0), lambda x: x.roll(2, 0)),
    "pad": (
        lambda x: nn.functional.pad(x, (1, 0), value=1.0),
        lambda x: nn.functional.pad(x, (1, 0), value=2.0),
    ),
    "mask": (
        lambda x: torch.where(EYE > 0, x, 0.0),
        lambda x: torch.where(EYE < 1, x, 0.0),
    ),
    "shape": (lambda x: (x[:2] * x[:2]).sum(), lambda x: (x * x).sum()),
    "operation": (lambda x: x.relu(), lambda x: x.abs()),
    "receiver": (lambda x: x.decrypt("alice"), lambda x: x.decrypt("bob")),
    "source": (
        lambda x: mpc.encrypt(EYE, src="alice"),
        lambda x: mpc.encrypt(EYE, src="bob"),
    ),
    "precision of a value": (
        lambda x: mpc.encrypt(EYE, precision=12),
        lambda x: mpc.encrypt(EYE, precision=13),
    ),
    "shape of a value": (
        lambda x: mpc.encrypt(torch.ones(4, 2)),
        lambda x: mpc.encrypt(torch.ones(4, 3)),
    ),
    "shape of one's value": (
        lambda x: (mpc.encrypt(EYE[:2], src="alice"), mpc.encrypt(EYE))[1],
        lambda x: (mpc.encrypt(None, src="alice", shape=(2,)), mpc.encrypt(EYE))[1],
    ),
    "learning rate": (_trained(0.1), _trained(0.2)),
    "dropout": (_trained(0.1, 0.5), _trained(0.1, 0.25)),
    "minuend": (lambda x: x[:2] * 1 - x[1:] * 1, lambda x: x[1:] * 1 - x[:2] * 1),
    "order": (lambda x: torch.cat([x, x * 2]), lambda x: torch.cat([x * 2, x])),
    "choice": (lambda x: [x * 2, x * 3][0], lambda x: [x * 2, x * 3][1]),
    "chosen factor": (
        lambda x: (x * 2) * ([x + 1, x + 2][0]),
        lambda x: (x * 2) * ([x + 1, x + 2][1]),
    ),
    "chosen by a loss": (
        lambda x: nn.functional.cross_entropy([x * 2, x * 3][0], torch.tensor([0, 1, 2])),
        lambda x: nn.functional.cross_entropy([x * 2, x * 3][1], torch.tensor([0, 1, 2])),
    ),
    "written": (lambda x: _written(x * 2, x * 3), lambda x: _written(x * 3, x * 2)),
    "one more": (lambda x: (x * x).decrypt(), lambda x: (x * x + x * x).decrypt()),
}


def different() -> None:
    """What each case ends with, in a session of its own."""
    found = {}
    for name, steps in DIFFERENT.items():
        step = steps[mpc.party() == "bob"]
        with mpc.init():
            x = mpc.encrypt(torch.arange(9.0).view(3, 3) + SECRET)
            try:
                out = step(x)
                if isinstance(out, mpc.SharedTensor):
                    out.decrypt()
                (x + 1).decrypt()  # what follows notices at the latest
                found[name] = ["no error", str(out)]
            except mpc.MPCError as error:
                found[name] = [type(error).__name__, str(error)]
    print(json.dumps(found))


def looks() -> None:
    """Looking at one party alone does no harm."""
    x = secret(3, 4)
    if mpc.party() == "alice":
        repr(x), x.shape, x.detach(), x.view(12), x[1:], x.t(), x.shares, len(x), x.dtype
        x.clone().requires_grad_(), copy_of(x), x.to("cpu")
    (x * 2).sum().decrypt()
    done()


def copy_of(x: Any) -> Any:
    return list(x)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
