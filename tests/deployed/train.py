"""Trains step by step with a checkpoint after each; FAULT kills this process in its second save.

train.py FOLDER STEPS
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc
from mpctensor.checkpoint import collective, file, slots

NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


def build():
    torch.manual_seed(5)
    model = mpc.encrypt(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
    x = mpc.encrypt(torch.rand(8, 3), src="alice")
    y = mpc.encrypt(torch.rand(8, 1), src="bob")
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), x, y


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    F.mse_loss(model(x), y).backward()
    optimizer.step()


def main(folder, steps):
    path = folder / f"{mpc.party()}.ckpt"
    model, optimizer, x, y = build()
    done = 0
    try:
        state = mpc.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["done"]
    except FileNotFoundError:
        pass
    print("resumed", done, flush=True)
    for now in range(done + 1, steps + 1):
        step(model, optimizer, x, y)
        if now == done + 2:
            die_at(os.environ.get("FAULT", ""))
        mpc.save({"model": model, "optimizer": optimizer, "done": now}, path)
        print("saved", now, flush=True)
    weights = [model.state_dict()[name].decrypt().tolist() for name in NAMES]
    print("weights", json.dumps(weights), flush=True)


# Faults


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def after(function, calls):
    """The function, but for the death at the end of a call."""
    left = iter(range(calls, -1, -1))

    def run(*args, **kwargs):
        out = function(*args, **kwargs)
        if next(left) == 1:
            die()
        return out

    return run


def die_at(moment):
    """Arrange for a death in the coming save."""
    if moment == "begin":
        die()
    elif moment == "half":  # header and some data are written
        file._Sink.fill = after(file._Sink.fill, 3)
    elif moment == "unsynced":
        os.fsync = die
    elif moment == "synced":
        os.fsync = after(os.fsync, 1)
    elif moment == "written":
        slots.Slots.write = after(slots.Slots.write, 1)
    elif moment == "barrier":
        collective.announce = after(collective.announce, 2)
    elif moment == "between":
        os.replace = after(os.replace, 1)
    elif moment == "replaced":
        os.replace = after(os.replace, 2)
    elif moment:
        raise ValueError(moment)


if __name__ == "__main__":
    mpc.init()
    main(Path(sys.argv[1]), int(sys.argv[2]))
