"""What two replicas of a simulated session run in test_replicas.py: prints what each case finds."""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import mpctensor as mpc

RANK = 0


def caught(work: Callable[[], Any]) -> list[str]:
    try:
        work()
        return ["no error", ""]
    except Exception as error:
        return [type(error).__name__, str(error)]


def layers() -> nn.Module:
    """A model whose gradients are all (replica + 1), but for a frozen bias that has none."""
    model = mpc.encrypt(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    model[0].bias.requires_grad_(False)
    for p in model.parameters():
        p.grad = mpc.encrypt(torch.full(p.shape, RANK + 1.0)) if p.requires_grad else None
    return model


def overwritten_after_it_was_saved() -> Any:
    found = []
    for verb in (mpc.all_reduce, mpc.broadcast):
        x, w = mpc.encrypt(torch.ones(2, 2)), mpc.encrypt(torch.ones(2, 2).requires_grad_())
        loss = (x @ w * w).sum()
        verb(w)
        found.append(caught(loss.backward))
    return found


def given_twice() -> Any:
    x = mpc.encrypt(torch.full((2, 3), RANK + 1.0))
    mpc.all_reduce([x, x, x.detach(), x.t(), x.view(6)], "sum")
    rows = mpc.encrypt(torch.full((2, 3), RANK + 1.0))
    mpc.all_reduce([rows[0], rows[1], rows[0]], "sum")
    mean = mpc.encrypt(torch.full((2, 3), RANK + 1.0))
    mpc.all_reduce(mean[:, 1:])
    same = [part.tolist() for part in mean[:, 1:].shares]
    values = [t.decrypt().tolist() for t in (x, rows, mean)]
    return [*values, caught(lambda: mpc.all_reduce([rows[0], rows])), same]


def gradients_that_all_lack() -> Any:
    model = layers()
    mpc.all_reduce(model)
    grads = [p.grad for p in model.parameters()]
    mpc.all_reduce(grads, "sum")
    return [None if g is None else g.decrypt().view(-1).tolist() for g in grads]


def gradients_that_some_lack() -> Any:
    model = layers()
    if RANK:
        model[1].weight.grad = None
    listed = [p.grad for p in model.parameters()]
    out = [caught(lambda: mpc.all_reduce(model)), caught(lambda: mpc.all_reduce(listed))]
    out.append(caught(lambda: mpc.all_reduce(listed[: 2 + RANK])))
    out.append(caught(lambda: mpc.all_reduce(mpc.encrypt(torch.ones(2 + RANK)))))
    return out


def scales_that_differ() -> Any:
    x = mpc.encrypt(torch.tensor([1.5, -3.0]))
    y = x / 3 if RANK == 0 else x * 0 + 7
    refused = caught(lambda: mpc.all_reduce(y))
    mpc.broadcast(y)
    z = x * x if RANK == 0 else mpc.encrypt(torch.ones(2))  # waits for its truncation
    mpc.broadcast(z)
    shares = [part.tolist() for part in (*y.shares, *z.shares)]
    return [refused, y.decrypt().tolist(), (y * x).decrypt().tolist(), z.decrypt().tolist(), shares]


def values_that_are_public() -> Any:
    """In both replicas, and in one."""
    x = mpc.encrypt(torch.tensor([1.0, 2.0]))
    y = torch.ones_like(x) * (RANK + 1)
    mpc.all_reduce(y, "sum")
    z = torch.zeros_like(x) if RANK == 1 else x.clone()
    mpc.broadcast(z)
    return [y.decrypt().tolist(), (z * z).decrypt().tolist()]


CASES = (
    *(overwritten_after_it_was_saved, given_twice, gradients_that_all_lack),
    *(gradients_that_some_lack, scales_that_differ, values_that_are_public),
)

if __name__ == "__main__":
    RANK = int(sys.argv[2])
    store = f"file://{sys.argv[1]}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=RANK, world_size=2)
    mpc.init()
    print(json.dumps({case.__name__: case() for case in CASES}))
    torch.distributed.destroy_process_group()
