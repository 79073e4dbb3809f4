"""Activations and their gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import mpctensor
from tests.plaintext import ULP, assert_close, check, on_grid

X = on_grid(5, 6, low=-8, high=8)

RECTIFIERS = {
    "relu": F.relu,
    "relu_inplace": lambda x: F.relu(x * 1, inplace=True),
    "leaky_relu": F.leaky_relu,
    "leaky_relu_steep": lambda x: F.leaky_relu(x, 0.3),
    "hardtanh": F.hardtanh,
    "hardtanh_bounds": lambda x: F.hardtanh(x, -0.5, 2.5),
    "relu6": F.relu6,
    "clamp": lambda x: x.clamp(-1, 1.5),
    "clamp_min": lambda x: x.clamp(min=0.5),
    "clamp_max": lambda x: x.clamp(max=0.5),
    "clamp_inf": lambda x: x.clamp(min=-1, max=float("inf")),
    "clamp_at_zero": lambda x: x.clamp(min=0),
    "threshold": lambda x: F.threshold(x, 0.5, -1.0),
    "threshold_zero": lambda x: F.threshold(x, 0.0, 0.0),
    "abs": torch.abs,
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25])),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "relu_of_product": lambda x: F.relu(x * x - x * 3),
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_rectifier(name):
    check(RECTIFIERS[name], X, ulps=4, grad_ulps=16)


def test_gradient_at_the_corners_is_torchs():
    x = torch.tensor([0.0, ULP, -ULP, 1.0, -1.0, 6.0])
    for fn in (F.relu, F.leaky_relu, F.hardtanh, F.relu6, lambda x: x.clamp(-1, 1), torch.abs):
        check(fn, x, ulps=1)


def test_prelu_with_a_secret_weight():
    check(F.prelu, X, torch.tensor([0.25]), ulps=4, grad_ulps=300)
    check(F.prelu, X, on_grid(6, low=0.1, high=0.5), ulps=4, grad_ulps=300)


SMOOTH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda x: F.softmax(x, -1),
    "softmax_first": lambda x: F.softmax(x, 0),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "silu": F.silu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "softplus": F.softplus,
    "mish": F.mish,
    "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink,
    "softsign": F.softsign,
    "glu": F.glu,
    "softmin": lambda x: F.softmin(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, -1),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth(name):
    check(SMOOTH[name], X, ulps=64, grad_ulps=256)


def test_relu_backward_compares_nothing():
    x = mpctensor.encrypt(on_grid(8, 8).requires_grad_())
    y = F.relu(x)
    with mpctensor.cost() as cost:
        y.sum().backward()
    assert cost.rounds == 0  # the gradient of a sum is public
    g = mpctensor.encrypt(on_grid(8, 8))
    x.grad, y = None, F.relu(x)
    with mpctensor.cost() as cost:
        y.backward(g)
    assert cost.rounds == 1


@pytest.mark.simulated
@pytest.mark.parametrize("fn", [torch.sigmoid, torch.tanh])
def test_gradients_from_an_open_result_take_a_truncation_and_an_opening(fn):
    x, g = mpctensor.encrypt((on_grid(8, 8).requires_grad_(), on_grid(8, 8)))
    y = fn(x)
    y.detach() * g  # opens both
    pending = mpctensor.encrypt(on_grid(8, 8)) * mpctensor.encrypt(on_grid(8, 8))
    for gradient in (g, pending):
        with mpctensor.cost() as cost:
            y.backward(gradient, retain_graph=True)
        assert cost.rounds == 2


def test_hardtanh_and_clamp_backward_compare_nothing():
    for fn in (F.hardtanh, F.relu6, lambda x: x.clamp(-1, 1), lambda x: x.clamp(min=0.5)):
        x, g = mpctensor.encrypt((on_grid(8, 8).requires_grad_(), on_grid(8, 8)))
        y = fn(x)
        with mpctensor.cost() as cost:
            y.backward(g)
        assert cost.rounds <= 2


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_dropout(mode):
    x = mpctensor.encrypt(torch.ones(2000))
    with mode():
        y = F.dropout(x, 0.25)
        values = y.detach().decrypt()
        assert F.dropout(x, 0.5, training=False).decrypt().equal(torch.ones(2000))
    kept = values > 0
    assert 0.7 < kept.float().mean() < 0.8
    assert torch.allclose(values[kept], torch.tensor(4 / 3), atol=4 * ULP)


def test_dropout_backward_uses_the_same_mask():
    x = mpctensor.encrypt(torch.ones(200).requires_grad_())
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert torch.allclose(x.grad.decrypt(), y.detach().decrypt(), atol=2 * ULP)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent(kind):
    plain = kind(3, 4, batch_first=True)
    hidden = mpctensor.encrypt(copy.deepcopy(plain))
    check_pair(hidden, plain, on_grid(2, 5, 3))


def check_pair(hidden, plain, x):
    """An encrypted module against its plain twin: results and gradients of the weights."""
    with torch.inference_mode():
        assert_close(hidden(mpctensor.encrypt(x))[0].decrypt(), plain(x)[0], 32)
    hidden(mpctensor.encrypt(x))[0].sum().backward()
    plain(x)[0].sum().backward()
    for one, other in zip(hidden.parameters(), plain.parameters(), strict=True):
        assert_close(one.grad.decrypt(), other.grad, 128)


WIDE = torch.tensor([[-40.0, -20.0, -12.0, -1.0], [0.0, 1.0, 13.0, 15.0], [18.0, 20.0, 25.0, 40.0]])
STABLE = {
    "softplus": F.softplus,
    "steep": lambda x: F.softplus(x, beta=3, threshold=50),
    "flat": lambda x: F.softplus(x, beta=0.25, threshold=2),
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "logaddexp": lambda x: torch.logaddexp(x, torch.zeros(4)),
    "logsumexp": lambda x: torch.logsumexp(x, -1),
}


@pytest.mark.parametrize("name", STABLE)
def test_smooth_where_an_exponential_would_rest(name):
    ulps = 72 if name == "mish" else 32  # x times an error of 1 ulp, for x up to 40
    check(STABLE[name], WIDE, ulps=ulps, grad_ulps=2 * ulps)


@pytest.mark.parametrize("size", [(), (1,), (3, 1), (0,), (2, 0), (0, 3)])
@pytest.mark.parametrize("fn", [F.softmax, F.log_softmax])
def test_softmax_of_one_class_or_of_nothing(fn, size):
    check(lambda x: fn(x, -1), torch.full(size, 2.5), ulps=0, grad_ulps=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_plain_recurrent_layers_read_secrets(kind):
    """Their plain first state becomes a public share; weights that train would learn secrets."""
    layer, x = kind(4, 3, bidirectional=True), on_grid(5, 2, 4)
    frozen = copy.deepcopy(layer).requires_grad_(False)
    secret = mpctensor.encrypt(x)
    assert torch.allclose(frozen(secret)[0].decrypt(), frozen(x)[0], atol=16 * ULP)
    packed = [pack_padded_sequence(value, [5, 3]) for value in (secret, x)]
    got, expected = (frozen(value)[0].data for value in packed)
    assert torch.allclose(got.decrypt(), expected, atol=16 * ULP)
    with pytest.raises(mpctensor.SecretLeakError, match=r"requires grad.*encrypt"):
        layer(secret)[0].sum().backward()


@pytest.mark.parametrize("size, dim", [((), 0), ((), ()), ((), -1), ((3, 0), 0), ((0, 3), (-1,))])
def test_logsumexp_of_small_sizes(size, dim):
    for kept in (False, True):
        check(lambda x, kept=kept: x.logsumexp(dim, kept), torch.full(size, 0.75))
