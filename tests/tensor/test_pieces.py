"""Functions that are written with fewer pieces than torch has: RReLU, packing."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import mpctensor
from tests.plaintext import assert_close, check, on_grid

IMAGE = on_grid(2, 2, 5, 6)


def test_rrelu_of_new_data():
    check(lambda x: F.rrelu(x, 0.125, 0.375), IMAGE, ulps=2, grad_ulps=4)
    check(lambda x: torch.rrelu_(x * 1, 0.125, 0.375), IMAGE, ulps=2, grad_ulps=4)


def test_rrelu_draws_slopes_between_its_bounds():
    x = mpctensor.encrypt(torch.full((200,), -1.0).requires_grad_())
    out = F.rrelu(x, 0.25, 0.5, training=True)
    out.sum().backward()
    slopes = -out.detach().decrypt()
    assert 0.24 < slopes.min() < 0.3 and 0.45 < slopes.max() < 0.51
    assert_close(x.grad.decrypt(), slopes, 2)
    above = mpctensor.encrypt(torch.ones(3))
    assert_close(F.rrelu(above, training=True, inplace=True).decrypt(), torch.ones(3), 1)


@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)])
def test_xlogy(secret):
    x = on_grid(4, 5)
    x[0] = 0
    y = on_grid(4, 5, low=0.25, high=3)
    check(torch.xlogy, x, y, secret=secret, ulps=16, grad_ulps=32)
    check(torch.special.xlog1py, x, y - 1, secret=secret, ulps=16, grad_ulps=32)


@pytest.mark.parametrize("fn", [torch.xlogy, torch.special.xlog1py])
def test_xlogy_of_numbers(fn):
    x = on_grid(4, 5, low=0.25, high=3)
    check(lambda x: fn(x, 2.5), x, ulps=8)
    check(lambda x: fn(0.5, x), x, ulps=8)
    check(lambda x: fn(x, 3), (x * 8).long(), ulps=8 * 24, gradients=False)
    check(lambda x: fn(0, x), x - 0.25, ulps=0, gradients=False)  # 0 log(0), too


def test_xlog1py_of_little():
    tiny = torch.tensor([1e-6, -3e-5, 2e-3])
    check(lambda x: torch.special.xlog1py(x, tiny), torch.tensor([1000.0, 50.0, 3.0]), ulps=4)


@pytest.mark.parametrize("first", [True, False])
def test_packing_and_padding(first):
    def through(x):
        packed = pack_padded_sequence(x, torch.tensor([5, 3, 2]), batch_first=first)
        return pad_packed_sequence(packed, first, padding_value=-1.5, total_length=6)

    check(through, on_grid(*((3, 5) if first else (5, 3)), 2), ulps=1, grad_ulps=2)


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_recurrent_layers_of_packed_sequences(kind):
    layer = kind(3, 2, bidirectional=True)
    x = on_grid(4, 3, 3)

    def run(value):
        packed = pack_padded_sequence(value, torch.tensor([4, 2, 1]), enforce_sorted=False)
        return pad_packed_sequence(layer(packed)[0])[0]

    expected = run(x).detach()
    mpctensor.encrypt(layer)
    secret = mpctensor.encrypt(x.clone().requires_grad_())
    out = run(secret)
    out.sum().backward()
    assert_close(out.detach().decrypt(), expected, 64)
    assert secret.grad.decrypt()[2:, 2].eq(0).all(), "beyond a sequence's end nothing flows"


@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)])
def test_logaddexp(secret):
    x, y = on_grid(4, 5) * 8, on_grid(5, seed=1) * 8
    check(torch.logaddexp, x, y, secret=secret, ulps=4, grad_ulps=16)
    out = mpctensor.encrypt(torch.zeros(4, 5))
    torch.logaddexp(mpctensor.encrypt(x), y, out=out)
    assert_close(out.decrypt(), torch.logaddexp(x, y), 4)


@pytest.mark.simulated
def test_the_gradient_of_logaddexp_divides_nothing():
    x, y, g = (mpctensor.encrypt(on_grid(9, seed=i).requires_grad_(i < 2)) for i in range(3))
    out = torch.logaddexp(x, y)
    with mpctensor.cost() as cost:
        out.backward(g)
    assert cost.rounds == 2


def test_copysign():
    x, y = on_grid(20), on_grid(20, seed=1)
    y[:3] = 0
    check(torch.copysign, x, y, ulps=0, gradients=False)
    check(lambda x: torch.copysign(x, y), x, ulps=0)
    check(lambda x: x.copysign(-0.5), x, ulps=0)
    check(lambda y: torch.copysign(x, y), y, ulps=0, gradients=False)
    check(torch.copysign, torch.arange(-3, 3), (y[:6] * 4).long(), ulps=0, gradients=False)


def test_inverses_have_gradients():
    x = on_grid(40, low=0.05, high=0.95)
    check(torch.logit, x, ulps=4, grad_ulps=64)
    check(lambda x: torch.logit(x, 0.25), x, ulps=4, grad_ulps=64)
    check(torch.atanh, x * 2 - 1, ulps=4, grad_ulps=64)
    check(torch.asinh, x * 8 - 4, ulps=4, grad_ulps=64)
    check(torch.acosh, x * 8 + 1, ulps=4, grad_ulps=64)


def test_choices_between_two_numbers():
    x = torch.tensor([0.25, 0.5, 0.0, 3.0])
    check(torch.special.entr, x, gradients=False)
    check(lambda v: torch.where(v > 0.3, 2, 0.5), x, ulps=0, gradients=False)


def test_the_sign_giver_of_copysign_has_a_gradient_of_zeros():
    x, y = on_grid(3, 4), on_grid(4, seed=1)
    for secret in ((0, 1), (0,), (1,)):
        check(torch.copysign, x, y, secret=secret, ulps=1)
