"""Sequences of several lengths: padded, packed, and through recurrent layers."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
)

import mpctensor
from mpctensor import MPCError
from tests.plaintext import assert_close, check, on_grid

X = on_grid(2, 3, 4)
LONG, SHORT = on_grid(3, 2), on_grid(1, 2, seed=1)
LENGTHS = {"falling": ([3, 2], True), "rising": ([1, 3], False)}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_pad_sequence(side, batch_first):
    def fn(*sequences):
        return pad_sequence(list(sequences), batch_first, -1.5, padding_side=side)

    check(fn, LONG, SHORT, ulps=0)
    check(fn, SHORT, LONG, secret=[1], ulps=0)
    check(lambda x, y: pad_sequence((x[:, 0], y[:, 0])), LONG, SHORT, ulps=0)


@pytest.mark.simulated
def test_padding_and_packing_send_nothing():
    with mpctensor.cost() as cost:
        x = pad_sequence([mpctensor.encrypt(LONG), mpctensor.encrypt(SHORT)])
        pad_packed_sequence(pack_padded_sequence(x, torch.tensor([3, 1])))
    assert cost.rounds == cost.provider_bytes == 0


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("case", LENGTHS)
def test_packing_and_back(case, batch_first):
    lengths, in_order = LENGTHS[case]
    x = X if batch_first else X.transpose(0, 1)

    def fn(x, length=None):
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, in_order)
        padded, back = pad_packed_sequence(packed, batch_first, 0.5, length)
        return padded, packed.data, packed.batch_sizes, back

    check(fn, x, ulps=0)
    check(lambda x: fn(x, 5), x, ulps=0)


def test_packed_sequences_of_a_list():
    def fn(*sequences):
        return unpack_sequence(pack_sequence(list(sequences), enforce_sorted=False))

    check(fn, SHORT, LONG, ulps=0)


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_on_packed_sequences(kind, case):
    lengths, in_order = LENGTHS[case]
    plain = kind(4, 3, batch_first=True, bidirectional=True)
    secret = mpctensor.encrypt(copy.deepcopy(plain))

    def run(layer, x):
        packed = pack_padded_sequence(x, torch.tensor(lengths), True, in_order)
        out, _ = layer(packed)
        padded, _ = pad_packed_sequence(out, True)
        padded.square().sum().backward()
        return padded.detach()

    x, hidden = X.clone().requires_grad_(), mpctensor.encrypt(X.clone().requires_grad_())
    expected = run(plain, x)
    assert_close(run(secret, hidden).decrypt(), expected, 16)
    assert_close(hidden.grad.decrypt(), x.grad, 32)
    for one, other in zip(plain.parameters(), secret.parameters(), strict=True):
        assert_close(other.grad.decrypt(), one.grad, 32)


def test_bad_sequences():
    x, plain = mpctensor.encrypt(X), X
    for bad in ([2, 3], [3, 0], [3]):
        messages = []
        for value in (x, plain):
            with pytest.raises(RuntimeError) as caught:
                pack_padded_sequence(value, torch.tensor(bad), True)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    with pytest.raises(MPCError, match="lengths"):
        pack_padded_sequence(x, mpctensor.encrypt(torch.tensor([3, 2])), True)
    with pytest.raises(RuntimeError):
        pad_sequence([mpctensor.encrypt(LONG), mpctensor.encrypt(X[0])])


@pytest.mark.simulated
def test_a_step_of_an_lstm_finds_its_gates_open_again():
    """Backward, a frame takes 2 rounds for each of its 5 curves, and 6 for products."""
    layer = mpctensor.encrypt(nn.LSTM(4, 4))
    spent = []
    for frames in (2, 4):
        out, _ = layer(mpctensor.encrypt(on_grid(frames, 2, 4)))
        g = mpctensor.encrypt(on_grid(*out.shape))
        with mpctensor.cost() as cost:
            out.backward(g)
        spent.append(cost.rounds)
    assert (spent[1] - spent[0]) / 2 == 16
