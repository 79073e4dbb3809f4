"""Encrypted data sets through torch's own loaders."""

from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

import mpctensor
from mpctensor import SecretLeakError, SessionError, SharedTensor
from tests.plaintext import on_grid

X, Y = on_grid(7, 3), torch.arange(7)


def secret():
    return TensorDataset(mpctensor.encrypt(X), mpctensor.encrypt(Y))


def batches(dataset, **options):
    """The batches in plain."""
    found = list(DataLoader(dataset, **options))
    return [[t.decrypt() if isinstance(t, SharedTensor) else t for t in batch] for batch in found]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_those_of_plain_data(shuffle, drop_last):
    def order():
        return torch.Generator().manual_seed(3) if shuffle else None

    options = {"batch_size": 3, "shuffle": shuffle, "drop_last": drop_last}
    expected = batches(TensorDataset(X, Y), generator=order(), **options)
    got = batches(secret(), generator=order(), **options)
    assert len(got) == len(expected) == (2 if drop_last else 3)
    for one, other in zip(got, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_epoch_shows_everything_once():
    seen = batches(secret(), batch_size=2, shuffle=True)
    rows, numbers = (torch.cat(column) for column in zip(*seen, strict=True))
    assert sorted(numbers.tolist()) == list(range(7)) and torch.equal(rows, X[numbers])


@pytest.mark.simulated
def test_batches_take_no_round():
    loader = DataLoader(secret(), batch_size=3, shuffle=True)
    with mpctensor.cost() as cost:
        list(loader)
    assert cost.rounds == cost.provider_bytes == 0


def test_parts_of_a_data_set():
    first, second = random_split(secret(), [5, 2])
    (batch,) = batches(first, batch_size=5)
    assert torch.equal(batch[1], Y[first.indices])
    assert not set(first.indices) & set(second.indices)
    (batch,) = batches(Subset(secret(), [6, 0]), batch_size=2)
    assert torch.equal(batch[0], X[[6, 0]])
    assert len(batches(ConcatDataset([first, secret()]), batch_size=4)) == 3
    sampler = WeightedRandomSampler([0.0, 1.0, 0, 0, 0, 0, 0], 4)
    assert all(n == 1 for _, numbers in batches(secret(), sampler=sampler) for n in numbers)


class Records(Dataset):
    """Samples as dicts of secrets, plain numbers, strings and tuples."""

    def __init__(self):
        self.rows = mpctensor.encrypt(X)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = self.rows[i]
        return {"row": row, "number": i, "pair": (row[0], 0.5 * i), "name": f"n{i}"}


def test_samples_that_are_dicts():
    batch = next(iter(DataLoader(Records(), batch_size=4)))
    assert torch.equal(batch["row"].decrypt(), X[:4])
    assert torch.equal(batch["number"], Y[:4]) and batch["name"] == ["n0", "n1", "n2", "n3"]
    heads, halves = batch["pair"]
    assert torch.equal(heads.decrypt(), X[:4, 0]) and torch.equal(halves, 0.5 * Y[:4].double())
    custom = DataLoader(Records(), batch_size=2, collate_fn=lambda rows: rows[0]["row"])
    assert torch.equal(next(iter(custom)).decrypt(), X[0])


def test_workers_are_other_processes():
    with pytest.raises(SessionError, match="num_workers=0"):
        list(DataLoader(secret(), num_workers=1, multiprocessing_context="fork"))
    with pytest.raises(SecretLeakError, match="num_workers=0"):  # what starts a fresh one
        ForkingPickler.dumps(secret())


def test_a_model_learns_from_a_loader():
    data = TensorDataset(mpctensor.encrypt(X), mpctensor.encrypt(X.sum(1, keepdim=True)))
    model = mpctensor.encrypt(torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        for x, y in DataLoader(data, batch_size=4, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.decrypt())
    assert losses[-1] < losses[0]
