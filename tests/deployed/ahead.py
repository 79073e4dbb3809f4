"""What parties run in test_preprocessing.py: prints what was asked of the provider, and when."""

import json
import os
import stat
import sys

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc
from mpctensor.provider.remote import AHEAD


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def main(path: str) -> None:
    session = mpc.init()
    torch.manual_seed(0)
    x, y = mpc.encrypt((torch.randn(8, 3), torch.randn(8, 1)))
    model = mpc.encrypt(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    provider = session._provider
    asked = {"": 0, AHEAD: 0}
    if provider is not None:
        ask = provider._ask

        def counted(requests, text):
            asked[text] += len(requests)
            ask(requests, text)

        provider._ask = counted
    online, kept = [], []
    for _ in range(8):
        before = asked[""]
        with mpc.preprocess():
            step(model, optimizer, x, y)
        online.append(asked[""] - before)
        if provider is not None:
            kept.append(len(provider._arrived) + len(provider._expected))
    with mpc.preprocess(steps=3, path=path):
        step(model, optimizer, x, y)
    before, mode = asked[""], 0
    if os.path.exists(path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
    for _ in range(3):
        loss = step(model, optimizer, x, y)
    offline = asked[""] - before
    refused = []
    if provider is not None:
        open(path + ".there", "w").close()
        folder = os.path.dirname(path)
        nowhere = os.path.join(folder, "none", "ahead")
        for bad in (path + ".there", folder, nowhere, "/proc/ahead", "a" * 300, "a\0b", ""):
            try:
                with mpc.preprocess(path=bad):
                    refused.append("the step has begun")
            except mpc.SessionError as error:
                refused.append(str(error))
    result = {
        "online": online,
        "kept": kept,
        "offline": offline,
        "mode": mode,
        "refused": refused,
        "loss": loss.decrypt().item(),
    }
    session.close()
    print(json.dumps({**result, "left": os.path.exists(path)}))


def refused() -> None:
    """A step whose corrections cannot be kept."""
    with mpc.init():
        x = mpc.encrypt(torch.ones(3))
        with mpc.preprocess(path="/proc/ahead.bin"):
            print("begun", flush=True)
            (x * x).decrypt()


def wire() -> None:
    """Bytes on the wire beside those counted, for large tensors."""
    session = mpc.init()
    found = {}
    a, b = mpc.encrypt((torch.randn(300_000), torch.randn(300_000)))
    m = mpc.encrypt(torch.randn(300, 300))
    for name, work in {
        "mul": lambda: a * b,
        "relu": lambda: (a * b).relu(),
        "matmul": lambda: m @ m.t(),
        "truncation": lambda: mpc.encrypt(torch.ones(1)) + (a * b).decrypt().sum(),
    }.items():
        provider = session._provider
        sent = session.transport.wire_bytes[0]
        dealt = provider.channel.received if provider else 0
        with mpc.cost() as cost:
            work()
        got = (provider.channel.received if provider else 0) - dealt
        found[name] = [session.transport.wire_bytes[0] - sent, cost.bytes_sent, got]
        found[name] += [cost.provider_bytes]
    print(json.dumps(found))


if __name__ == "__main__":
    others = {"wire": wire, "refused": refused}
    others.get(sys.argv[1], lambda: main(sys.argv[1]))()
