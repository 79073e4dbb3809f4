"""torch's transforms and tracers on secrets: the right result, or an error that says why."""

import copy

import pytest
import torch
from torch import nn

import mpctensor
from mpctensor import SecretLeakError, SharedTensor, UnsupportedOperationError
from tests.plaintext import assert_close, on_grid

X = on_grid(3, 4)


def loss(x):
    return (x * x).sum()


def test_gradients_of_functions():
    x = mpctensor.encrypt(X)
    got = torch.func.grad(loss)(x)
    assert isinstance(got, SharedTensor)
    assert_close(got.decrypt(), 2 * X, 4)
    gradient, value = torch.func.grad_and_value(loss)(x)
    assert_close(gradient.decrypt(), 2 * X, 4)
    assert_close(value.decrypt(), loss(X), 16)
    assert_close(
        torch.func.vjp(torch.tanh, x)[1](torch.ones(3, 4))[0].decrypt(), 1 - X.tanh() ** 2, 16
    )


def test_vmap():
    x = mpctensor.encrypt(X)
    got = torch.func.vmap(lambda row: row * 2 + row.sum())(x)
    assert_close(got.decrypt(), X * 2 + X.sum(1, keepdim=True), 4)
    assert_close(torch.func.vmap(torch.dot)(x, x).decrypt(), (X * X).sum(1), 8)
    each = torch.func.vmap(torch.func.grad(loss))(x)
    assert_close(each.decrypt(), 2 * X, 4)


def test_jacobians():
    x = mpctensor.encrypt(X[0])
    expected = torch.diag(2 * X[0])
    for jacobian in (
        torch.func.jacrev(lambda v: v * v)(x),
        torch.autograd.functional.jacobian(lambda v: v * v, x),
    ):
        assert_close(jacobian.decrypt(), expected, 4)


def test_forward_mode_is_refused():
    x = mpctensor.encrypt(X)
    with pytest.raises(UnsupportedOperationError, match=r"forward-mode.*torch.func.grad"):
        torch.func.jvp(loss, (x,), (x,))


@pytest.mark.filterwarnings("ignore")
def test_jit_trace():
    """A trace runs the same operations; to compare its results torch would have to read them."""
    plain = nn.Linear(4, 2)
    secret, x = mpctensor.encrypt(copy.deepcopy(plain)), mpctensor.encrypt(X)
    traced = torch.jit.trace(secret, x, check_trace=False)
    assert_close(traced(x).detach().decrypt(), plain(X).detach(), 8)
    with pytest.raises(RuntimeError) as caught:
        torch.jit.trace(secret, x)
    assert isinstance(caught.value.__cause__, SecretLeakError)


def test_export_is_refused():
    with pytest.raises(SecretLeakError, match=r"torch\.export.*decrypt"):
        torch.export.export(mpctensor.encrypt(nn.Linear(4, 2)), (mpctensor.encrypt(X),))


def test_symbolic_tracing():
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    secret = torch.fx.symbolic_trace(mpctensor.encrypt(copy.deepcopy(plain)))
    assert_close(secret(mpctensor.encrypt(X)).detach().decrypt(), plain(X).detach(), 8)
