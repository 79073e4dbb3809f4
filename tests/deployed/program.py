"""What the parties run in test_api.py: `python program.py CASE ...` prints what cases find."""

import copy
import json
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc

SECRET = torch.tensor([[1.5, -2.25], [3.0, 0.125]])


def mine(name: str, value: Any, other: Any) -> Any:
    """The value at the party named, something else elsewhere."""
    return value if mpc.party() == name else other


def listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor) else value


def one_partys_values() -> Any:
    """Only the source's values count; the others pass None with a shape, or anything."""
    a = mpc.encrypt(mine("alice", SECRET, None), src="alice", shape=(2, 2))
    b = mpc.encrypt(mine("bob", SECRET, torch.full((2, 2), torch.nan)), src="bob")
    i = mpc.encrypt(mine("bob", torch.arange(4), None), src="bob", shape=(4,), dtype=torch.int64)
    return [listed(t.decrypt()) for t in (a, b, i)]


def inputs_are_free() -> Any:
    session = mpc.init()
    before = session.transport.wire_bytes
    with mpc.cost() as cost:
        mpc.encrypt(mine("alice", SECRET, None), src="alice", shape=(2, 2))
        mpc.encrypt(mine("bob", SECRET, None), src="bob", shape=(2, 2))
    return [cost.rounds, cost.bytes_sent, session.transport.wire_bytes == before]


def told_to_one() -> Any:
    x = mpc.encrypt(SECRET)
    public = mpc.encrypt(SECRET) * 0
    return {
        "bob": listed(x.decrypt(dst="bob")),
        "both": listed(mpc.decrypt(x, dst=["alice", "bob"])),
        "alice": listed((x * 2).decrypt("alice")),
        "zeros": listed(torch.zeros_like(x).decrypt(dst="bob")),
        "again": listed(x.decrypt()),
        "times": listed(public.decrypt(dst="alice")),
    }


def weights_of_one() -> Any:
    """bob's model, alice's data: alice learns the prediction, bob nothing."""
    torch.manual_seed({"alice": 1, "bob": 2}.get(str(mpc.party()), 3))
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    plain = copy.deepcopy(model)
    mpc.encrypt(model, src="bob")
    x = mpc.encrypt(mine("alice", SECRET, None), src="alice", shape=(2, 2))
    prediction = model(x).decrypt(dst="alice")
    back = mpc.decrypt(model, dst="bob")
    same = [
        bool((a - b).abs().max() < 2**-15) if mpc.party() == "bob" else type(a).__name__
        for a, b in zip(back.parameters(), plain.parameters(), strict=True)
    ]
    torch.manual_seed(2)
    expected = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))(SECRET)
    close = None if prediction is None else bool((prediction - expected).abs().max() < 1e-3)
    return [close, same]


def gradients_of_one() -> Any:
    """A model that still has gradients becomes plain at alice; the session goes on."""
    model = nn.Linear(2, 1)
    mpc.encrypt(model)
    model(mpc.encrypt(SECRET)).sum().backward()
    mpc.decrypt(model, dst="alice")
    weight = model.weight
    assert weight.grad is not None
    gradient = mine("alice", weight.grad, None)
    close = gradient is None or torch.allclose(gradient, SECRET.sum(0, keepdim=True), atol=1e-3)
    kinds = [type(value).__name__ for value in (weight.data, weight.grad)]
    return [kinds, bool(close) and listed(mpc.encrypt(SECRET).decrypt()) == SECRET.tolist()]


def trained_together() -> Any:
    """Vertical data: alice has the features, bob the targets. Fresh layers start alike."""
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(16, 2, generator=generator)
    targets = torch.randn(16, 1, generator=generator)
    x = mpc.encrypt(mine("alice", features, None), src="alice", shape=(16, 2))
    y = mpc.encrypt(mine("bob", targets, None), src="bob", shape=(16, 1))
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(mpc.encrypt(model).parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.decrypt().item())
    return losses


def public_randomness() -> Any:
    """The same everywhere: torch's generator, dropout masks, random fills."""
    x = mpc.encrypt(torch.ones(50))
    return [
        listed(torch.rand(3)),
        listed(F.dropout(x, 0.5).decrypt()),
        listed(torch.rand_like(x).decrypt()),
    ]


def different_without_a_source() -> Any:
    """An error at both that names src; the session goes on."""
    errors = []
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.fill_({"alice": 1.0, "bob": 2.0}.get(str(mpc.party()), 3.0))
    for value in ({"alice": SECRET, "bob": SECRET + 1}.get(str(mpc.party()), SECRET), model):
        try:
            mpc.encrypt(value)
        except mpc.SessionError as error:
            errors.append(str(error))
    untouched = type(model.weight.data).__name__
    return [errors, untouched, listed(mpc.encrypt(SECRET).decrypt())]


def misused() -> Any:
    found = []
    for call in (
        lambda: mpc.init(seed=1),
        lambda: mpc.init(("carol", "dave")),
        lambda: mpc.init(provider="mallory"),
        lambda: mpc.encrypt(None, shape=(2,)),
        lambda: mpc.encrypt(None, shape=(2,), src=mpc.party()),
        lambda: mpc.encrypt(SECRET, src="mallory"),
        lambda: mpc.encrypt(SECRET).decrypt(dst="mallory"),
    ):
        try:
            call()
            found.append("no error")
        except mpc.SessionError as error:
            found.append(str(error))
    return found


def two_sessions() -> Any:
    """A second session beside the first, with settings of its own."""
    x = mpc.encrypt(SECRET)
    with mpc.init(precision=12):
        y = mpc.encrypt(SECRET)
        inner = listed(y.decrypt())
    return [inner, listed(x.decrypt()), mpc.party() in ("alice", "bob", "carol")]


if __name__ == "__main__":
    print(json.dumps({case: globals()[case]() for case in sys.argv[1:]}))
