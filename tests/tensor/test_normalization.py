"""Batch, layer, instance and group normalization; running statistics."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import SecretLeakError
from tests.plaintext import assert_close, check, on_grid

X = on_grid(6, 4, seed=1)
IMAGE = on_grid(3, 4, 3, 3, seed=1)
WEIGHT, BIAS = on_grid(4, low=0.5, high=1.5, seed=2), on_grid(4, seed=3)
MEAN, VAR = on_grid(4, seed=4), on_grid(4, low=0.5, high=2.0, seed=5)


@pytest.mark.parametrize("x", [X, IMAGE], ids=["1d", "2d"])
@pytest.mark.parametrize("secret", [(0, 1, 2), (0,)])
def test_batch_norm_in_training(x, secret):
    check(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        x,
        WEIGHT,
        BIAS,
        secret=secret,
        ulps=64,
        grad_ulps=256,
    )


@pytest.mark.parametrize("secret", [(0, 1, 2), (0,), (0, 1, 2, 3, 4)])
def test_batch_norm_in_evaluation(secret):
    check(
        lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, training=False),
        IMAGE,
        WEIGHT,
        BIAS,
        MEAN,
        VAR,
        secret=secret,
        ulps=32,
        grad_ulps=256,
    )


NORMS = {
    "layer": lambda x: F.layer_norm(x, (4,)),
    "layer_affine": lambda x: F.layer_norm(x, (4,), WEIGHT, BIAS),
    "group": lambda x: F.group_norm(x.unsqueeze(-1), 2, WEIGHT, BIAS),
    "instance": lambda x: F.instance_norm(x.view(3, 4, 2)),
    "rms": lambda x: F.rms_norm(x, (4,), WEIGHT),
    "normalize": lambda x: F.normalize(x),
}


@pytest.mark.parametrize("name", NORMS)
def test_other_norms(name):
    check(NORMS[name], X, ulps=64, grad_ulps=256)


def test_layer_norm_with_secret_weights():
    check(lambda x, w, b: F.layer_norm(x, (4,), w, b), X, WEIGHT, BIAS, ulps=64, grad_ulps=256)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics(momentum):
    plain = nn.BatchNorm2d(4, momentum=momentum)
    hidden = mpctensor.encrypt(copy.deepcopy(plain))
    for seed in range(3):
        x = on_grid(3, 4, 3, 3, seed=seed) + 1
        assert_close(hidden(mpctensor.encrypt(x)).detach().decrypt(), plain(x).detach(), 64)
    assert int(hidden.num_batches_tracked) == 3
    mpctensor.decrypt(hidden)
    assert_close(hidden.running_mean, plain.running_mean, 16)
    assert_close(hidden.running_var, plain.running_var, 64)
    x = on_grid(2, 4, 3, 3)
    assert_close(hidden.eval()(x).detach(), plain.eval()(x).detach(), 256)


def test_plain_statistics_take_no_secrets():
    with pytest.raises(SecretLeakError, match="running"):
        nn.BatchNorm1d(4)(mpctensor.encrypt(X))
    with torch.no_grad():
        nn.BatchNorm1d(4).eval()(mpctensor.encrypt(X))


WIDE = torch.tensor([[1000.0, 2000, -3000, 500], [-16000, 0.5, 15000, 8000]])
PIXELS = (on_grid(3, 4, 5, 5, low=0, high=255, seed=6) * 4).round() / 4
WIDELY_SPREAD = {
    "layer": (lambda x: F.layer_norm(x, (4,), WEIGHT, BIAS), WIDE),
    "rms": (lambda x: F.rms_norm(x, (4,)), WIDE),
    "batch": (lambda x: F.batch_norm(x, None, None, WEIGHT, BIAS, training=True), PIXELS),
    "evaluated": (lambda x: F.batch_norm(x, MEAN, VAR * 1e6), PIXELS * 16),
    "group": (lambda x: F.group_norm(x, 2, WEIGHT, BIAS), PIXELS * 8),
    "instance": (F.instance_norm, PIXELS * 8),
}


@pytest.mark.parametrize("name", WIDELY_SPREAD)
def test_the_error_does_not_grow_with_the_deviation(name):
    function, x = WIDELY_SPREAD[name]
    check(function, x, ulps=8, grad_ulps=16)


@pytest.mark.parametrize("precision", [8, 20, 24])
def test_other_precisions(precision):
    x = WIDE[:1] / 100
    y = F.layer_norm(mpctensor.encrypt(x, precision=precision), (4,))
    torch.testing.assert_close(
        y.decrypt(), F.layer_norm(x, (4,)), atol=2.0 ** (4 - min(precision, 16)), rtol=0
    )


def test_no_samples_and_the_dtype_of_statistics():
    check(lambda x: F.group_norm(x, 2), torch.zeros(0, 4, 3))
    check(lambda x: F.group_norm(x, 1), torch.zeros(0, 2))
    x = mpctensor.encrypt(on_grid(2, 4, 3))
    for out in (
        torch.native_layer_norm(x, [3], None, None, 1e-5),
        torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
        torch.native_group_norm(x, None, None, 2, 4, 3, 2, 1e-5),
    ):
        assert {value.dtype for value in out} == {torch.float32}
