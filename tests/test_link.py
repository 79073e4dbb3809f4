"""Sessions for links with high latency: the same answers from comparisons with a round less."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mpctensor as mpc
from tests.plaintext import on_grid


@pytest.fixture(params=[2, 3], ids=["two", "three"])
def parties(request: pytest.FixtureRequest) -> Iterator[int]:
    with mpc.init(("alice", "bob", "carol")[: request.param], link="wan") as session:
        assert session.link == "wan"
        yield request.param


def test_the_default_is_lan() -> None:
    with mpc.init() as session:
        assert session.link == "lan"


X = on_grid(3, 2, 6, 4)

# What is exact, with its rounds on "lan" and "wan"; decryption not counted.
OPS: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "relu": (F.relu, 4, 3),
    "abs": (torch.abs, 4, 3),
    "clamp": (lambda x: x.clamp(-0.5, 0.75), 4, 3),
    "sign": (torch.sign, 4, 3),
    "maximum": (lambda x: torch.maximum(x[0], x[1]), 4, 3),
    "max": (lambda x: x.max(3).values, 9, 7),
    "argmax": (lambda x: x.argmax(3), 9, 7),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), 8, 6),
    "less": (lambda x: x[0] < x[1], 4, 3),
    "equal": (lambda x: x == X.flip(0), 4, 3),
    "where": (lambda x: torch.where(x > 0.25, x, -x), 5, 4),
}


@pytest.mark.parametrize("name", OPS)
def test_exact(name: str, parties: int) -> None:
    fn, lan, wan = OPS[name]
    x = mpc.encrypt(X)
    with mpc.cost() as spent:
        y = fn(x)
    assert torch.equal(y.decrypt(), fn(X))
    assert spent.rounds == wan
    with mpc.init(), mpc.cost() as spent:
        fn(mpc.encrypt(X))
    assert spent.rounds == lan


@pytest.mark.parametrize("fn", [torch.sigmoid, torch.tanh, torch.reciprocal, F.softmax])
def test_smooth(fn: Callable[..., Tensor], parties: int) -> None:
    x = X.flatten(1).abs() + 0.5
    args = (1,) if fn is F.softmax else ()
    torch.testing.assert_close(fn(mpc.encrypt(x), *args).decrypt(), fn(x, *args), atol=1e-3, rtol=0)


def test_training(parties: int) -> None:
    """Two steps of a small network beside plain torch, from the same weights."""
    plain = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 3)
    )
    secret = mpc.encrypt(copy.deepcopy(plain))
    labels = torch.tensor([0, 2, 1])
    for model, x in ((plain, X), (secret, mpc.encrypt(X))):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
    for mine, expected in zip(mpc.decrypt(secret).parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.detach(), expected.detach(), atol=2e-3, rtol=0)
