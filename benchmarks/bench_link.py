"""The digits CNN's training step between machines: every member a process of its own over TLS.

Once over the loopback interface as it is, once through `benchmarks.link` with a round trip of 40 ms
and 100 Mbit/s each way on every connection. Members dial relays, whose ports their own files name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc
from mpctensor.command.throwaway import deployment
from mpctensor.deployment import load

Report = Callable[[str, float, str], None]
ROOT = Path(__file__).parents[1]
NAMES = ("alice", "bob")
BATCH, DELAY, RATE = 50, 0.02, 100e6


def cnn() -> nn.Module:
    """The network of examples/digits.py."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )


# What a party runs: `python -m benchmarks.bench_link STEPS AHEAD`


def steps(count: int, ahead: bool) -> dict[str, float]:
    """Medians of a training step."""
    mpc.init()
    torch.manual_seed(0)
    images = mpc.encrypt(torch.rand(count, BATCH, 1, 8, 8))
    targets = mpc.encrypt(F.one_hot(torch.randint(10, (count, BATCH)), 10).float())
    model = mpc.encrypt(cnn())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    taken, costs = [], []
    for i in range(count):
        x, y = images[i].clone(), targets[i].clone()
        start = perf_counter()
        with mpc.cost() as cost:
            if ahead:
                with mpc.preprocess():
                    step(model, optimizer, x, y)
            else:
                step(model, optimizer, x, y)
        taken.append(perf_counter() - start)
        costs.append((cost.rounds, cost.bytes_sent, cost.provider_bytes))
    rounds, sent, dealt = costs[-1]
    return {
        "seconds": sorted(taken[2:])[len(taken[2:]) // 2],
        "rounds": rounds,
        "sent": sent / 1e6,
        "dealt": dealt / 1e6,
    }


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


# Starting everybody


def launched(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, text=True, stdout=subprocess.PIPE
    )


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def relayed(stack: ExitStack, config: Path) -> dict[str, Path]:
    """A file for each party in which the addresses that it dials are relays."""
    text, files = config.read_text(), {}
    for name in NAMES:
        own = str(load(config).member(name).address[1])
        changed = text
        for port in re.findall(r"127\.0\.0\.1:(\d+)", text):
            if port != own:
                relay = stack.enter_context(
                    running(
                        launched(
                            *("benchmarks.link", "0", f"127.0.0.1:{port}"),
                            *("--delay", str(DELAY), "--rate", str(RATE)),
                        )
                    )
                )
                assert relay.stdout is not None
                there = relay.stdout.readline().split(":")[1].split()[0]
                changed = changed.replace(f"127.0.0.1:{port}", f"127.0.0.1:{there}")
        files[name] = config.with_name(f"{name}.toml")
        files[name].write_text(changed)
    return files


def measured(link: str, slow: bool, ahead: bool, count: int) -> dict[str, float]:
    with ExitStack() as stack:
        config = stack.enter_context(deployment(NAMES, "james"))
        config.write_text(f'link = "{link}"\n' + config.read_text())
        files = relayed(stack, config) if slow else dict.fromkeys(NAMES, config)
        stack.enter_context(running(launched("mpctensor", "provider", "--config", str(config))))
        program = ("benchmarks.bench_link", str(count), str(int(ahead)))
        parties = [
            launched(*program, MPCTENSOR_CONFIG=str(files[name]), MPCTENSOR_PARTY=name)
            for name in NAMES
        ]
        output = [party.communicate(timeout=200)[0] for party in parties]
    return dict(json.loads(output[0]))


def run(report: Report) -> None:
    for slow in (False, True):
        where = "40 ms, 100 Mbit/s" if slow else "loopback"
        for link in ("lan", "wan"):
            for ahead in (False, True):
                got = measured(link, slow, ahead, 6 if slow else 12)
                label = f'{where}, link="{link}"' + (", preprocess()" if ahead else "")
                report(f"{label}: a step", got["seconds"], "s")
            report(f"{label}: rounds", got["rounds"], "")
            report(f"{label}: sent by each party", got["sent"], "MB")
            report(f"{label}: from the provider", got["dealt"], "MB")


if __name__ == "__main__":
    print(json.dumps(steps(int(sys.argv[1]), sys.argv[2] == "1")))
