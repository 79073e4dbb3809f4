"""Reading at secret positions: gather, take_along_dim, embedding, one_hot."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import SecretLeakError, UnsupportedOperationError
from tests.plaintext import assert_close, check, on_grid

X = on_grid(3, 4, 5)


def positions(n, *size):
    return torch.randint(0, n, size, generator=torch.Generator().manual_seed(n))


GATHERED = {
    "first": (lambda x, i: x.gather(0, i), X, positions(3, 2, 4, 5)),
    "middle": (lambda x, i: torch.gather(x, 1, i), X, positions(4, 3, 6, 2)),
    "last": (lambda x, i: torch.gather(x, dim=-1, index=i), X, positions(5, 2, 3, 7)),
    "number": (lambda x, i: x.gather(0, i), torch.tensor(2.5), torch.tensor(0)),
    "line": (lambda x, i: x.gather(0, i), on_grid(6), torch.tensor(3).view(1)),
    "none": (lambda x, i: x.gather(1, i), on_grid(3, 4), positions(4, 3, 0)),
    "along": (lambda x, i: x.take_along_dim(i, 1), on_grid(4, 5), positions(5, 1, 3)),
    "along_one": (lambda x, i: torch.take_along_dim(x, i, -1), on_grid(1, 5), positions(5, 4, 2)),
    "along_all": (lambda x, i: torch.take_along_dim(x, i), on_grid(4, 5), positions(20, 3)),
    "sorted": (lambda x, i: x.gather(0, x.argsort(0)) + i, on_grid(4, 3), torch.tensor(0)),
}


@pytest.mark.parametrize("name", GATHERED)
def test_gather(name):
    fn, x, index = GATHERED[name]
    check(fn, x, index, ulps=1)


def test_integers_and_plain_tensors():
    fn = lambda x, i: x.gather(1, i)  # noqa: E731
    index = positions(4, 3, 2)
    check(fn, torch.arange(12).view(3, 4), index, gradients=False)
    check(fn, on_grid(3, 4), index, secret=[1], gradients=False)
    check(fn, on_grid(3, 4), index, secret=[0], ulps=1)


W = on_grid(6, 3)
EMBEDDED = {
    "embedding": lambda w, i: F.embedding(i, w),
    "padding": lambda w, i: F.embedding(i, w, padding_idx=2),
    "padding_from_the_end": lambda w, i: F.embedding(i, w, padding_idx=-4),
    "torch": lambda w, i: torch.embedding(w, i, 2),
    "one_hot": lambda w, i: F.one_hot(i, 6).float() @ w,
}


@pytest.mark.parametrize("name", EMBEDDED)
@pytest.mark.parametrize("size", [(), (4,), (2, 5), (0, 2)])
def test_embedding(name, size):
    check(EMBEDDED[name], W, positions(6, *size), ulps=1)


def test_plain_table():
    check(EMBEDDED["embedding"], W, positions(6, 4), secret=[1], gradients=False)


def test_embedding_layer_learns():
    plain = nn.Embedding(6, 3, padding_idx=1)
    with torch.no_grad():
        plain.weight.copy_(W)
    index = torch.tensor([[0, 1, 5], [5, 5, 2]])
    plain(index).square().sum().backward()
    layer = nn.Embedding(6, 3, padding_idx=1)
    layer.load_state_dict(plain.state_dict())
    layer = mpctensor.encrypt(layer)
    layer(mpctensor.encrypt(index)).square().sum().backward()
    assert_close(layer.weight.grad.decrypt(), plain.weight.grad, 2)


def test_gradients_of_gradients():
    def second(secret):
        hide = mpctensor.encrypt if secret else lambda v: v
        x, i = hide(X.clone().requires_grad_()), hide(positions(4, 3, 2, 5))
        (first,) = torch.autograd.grad(x.gather(1, i).square().sum(), x, create_graph=True)
        first.square().sum().backward()
        return x.grad.decrypt() if secret else x.grad

    assert_close(second(True), second(False), 8)


def test_one_hot():
    check(lambda i: F.one_hot(i, 4), torch.tensor([0, 3, 1]), gradients=False)
    check(lambda i: F.one_hot(i, num_classes=1), torch.zeros(2, 2, dtype=torch.int64))


BAD = {
    "gather_dim": lambda x, i: x.gather(3, i),
    "gather_size": lambda x, i: x[:1].gather(1, i),
    "gather_rank": lambda x, i: x[0].gather(0, i),
    "along_dim": lambda x, i: x.take_along_dim(i, 3),
    "embedding_padding": lambda x, i: F.embedding(i, x[0], padding_idx=9),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_raise_as_in_torch(name):
    index = torch.zeros(3, 4, 5, dtype=torch.int64)
    with pytest.raises((RuntimeError, IndexError, AssertionError)) as plain:
        BAD[name](X, index)
    with pytest.raises(plain.type, match=re.escape(str(plain.value))):
        BAD[name](mpctensor.encrypt(X), mpctensor.encrypt(index))


def test_refusals():
    w, i = mpctensor.encrypt(W), mpctensor.encrypt(positions(6, 4))
    for options in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(UnsupportedOperationError, match="embedding"):
            F.embedding(i, w, **options)
    with pytest.raises(SecretLeakError, match="num_classes"):
        F.one_hot(i)
    with pytest.raises(RuntimeError, match="LongTensor"):
        F.one_hot(w, 4)


@pytest.mark.simulated
def test_a_lookup_takes_two_rounds():
    x, i = mpctensor.encrypt(on_grid(100)), mpctensor.encrypt(positions(100, 6))
    with mpctensor.cost() as spent:
        x.gather(0, i)
    assert (spent.rounds, spent.bytes_sent) == (2, 8 * (6 + 600 + 100))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_hard_gumbel_softmax_chooses_one(dim):
    x = mpctensor.encrypt(on_grid(4, 5)).requires_grad_()
    out = F.gumbel_softmax(x, hard=True, dim=dim)
    plain = out.detach().decrypt()
    assert_close(plain.sum(dim), torch.ones(plain.sum(dim).shape), 0)
    assert ((plain == 0) | (plain == 1)).all()
    (out * on_grid(4, 5, seed=1)).sum().backward()
    slope = x.grad.decrypt()
    assert slope.abs().max() > 2**-6 and slope.sum(dim).abs().max() < 2**-12
