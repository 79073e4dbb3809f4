"""NumPy arrays beside secrets are plain tensors."""

import operator

import numpy as np
import pytest
import torch

import mpctensor
from mpctensor import SecretLeakError, UnsupportedOperationError
from tests.plaintext import assert_close, check, on_grid

X = on_grid(3, 3, low=0.5, high=2.0)
OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
]
ARRAYS = {
    "float32": np.array([[1.0, -2.0, 0.5]] * 3, dtype=np.float32),
    "float64": np.array([[3.0, 0.25, 1.5]] * 3),
    "int64": np.array([[3, 1, 2], [0, 4, 1], [2, 2, 5]]),
}


@pytest.mark.parametrize("fn", OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_operators_on_either_side(fn, name):
    array, plain = ARRAYS[name], torch.from_numpy(ARRAYS[name])
    x = X if name == "float32" else X.double()
    for swapped in (False, True):
        if swapped and fn is operator.pow:
            array, plain = abs(array), plain.abs()
        order = (lambda a, b: (b, a)) if swapped else (lambda a, b: (a, b))
        secret = mpctensor.encrypt(x.clone().requires_grad_())
        leaf = x.clone().requires_grad_()
        got, expected = fn(*order(secret, array)), fn(*order(leaf, plain))
        assert_close(got.detach().decrypt(), expected.detach(), 32)
        if expected.requires_grad:
            got.sum().backward()
            expected.sum().backward()
            assert_close(secret.grad.decrypt(), leaf.grad, 64)


def test_integers_and_promotion():
    array = ARRAYS["int64"]
    whole = torch.arange(9).view(3, 3)
    for fn in (operator.add, operator.mul, operator.sub, operator.ge):
        got = fn(array, mpctensor.encrypt(whole))
        assert_close(got.decrypt(), fn(torch.from_numpy(array), whole), 0)
    assert (array * mpctensor.encrypt(X)).dtype == torch.float32
    assert (ARRAYS["float64"] * mpctensor.encrypt(X)).dtype == torch.float64


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(-0.1), np.int64(3)])
def test_numbers(number):
    for fn in (operator.add, operator.mul, operator.sub, operator.truediv):
        check(lambda x, fn=fn: fn(number, x), X, ulps=16, gradients=False)
        check(lambda x, fn=fn: fn(x, number), X, ulps=16, gradients=False)


def test_functions_are_those_of_torch():
    x = mpctensor.encrypt(X)
    assert_close(np.exp(x).decrypt(), X.exp(), 8)
    array = ARRAYS["float32"]
    assert_close(np.maximum(array, x).decrypt(), torch.from_numpy(array).maximum(X), 1)
    assert_close(np.equal(x, X.numpy()).decrypt(), torch.ones(3, 3, dtype=torch.bool), 0)


def test_arrays_receive_no_secrets():
    x, array = mpctensor.encrypt(X), np.ones((3, 3), dtype=np.float32)
    with pytest.raises(SecretLeakError, match=r"`numpy.add` would write.*torch.as_tensor"):
        array += x
    with pytest.raises(SecretLeakError, match="decrypt"):
        np.array(x)
    for wrong in (np.add.reduce, np.cbrt, lambda v: np.add(v, array, where=array > 0)):
        with pytest.raises(UnsupportedOperationError, match=r"`numpy\..*torch.as_tensor"):
            wrong(x)
    with pytest.raises(RuntimeError, match="size"):
        np.ones(5, dtype=np.float32) + x


@pytest.mark.filterwarnings("error")
def test_arrays_of_a_secret_are_refused_without_a_warning():
    x = mpctensor.encrypt(X)
    for fn in (np.array, np.asarray, lambda v: np.array(v, dtype=np.float64, copy=True)):
        with pytest.raises(SecretLeakError, match=r"`array`.*decrypt"):
            fn(x)
