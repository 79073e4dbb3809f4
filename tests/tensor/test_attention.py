"""Scaled dot-product attention: masks, scales, plain operands, gradients, and its cost."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import check, on_grid

Q, K, V = (on_grid(2, 2, 5, 4, seed=seed) for seed in (1, 2, 3))
CAUSAL = torch.full((5, 5), float("-inf")).triu(1)
FORMS = {
    "plain": {},
    "causal": {"is_causal": True},
    "float_mask": {"attn_mask": CAUSAL, "scale": 0.3},
    "bool_mask": {"attn_mask": CAUSAL == 0},
}


@pytest.mark.parametrize("form", FORMS)
def test_attention(form):
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **FORMS[form]),
        *(Q, K, V),
        ulps=32,
        grad_ulps=96,
    )


@pytest.mark.parametrize("secret", [(0,), (1,), (2,), (0, 2)])
def test_plain_operands(secret):
    check(F.scaled_dot_product_attention, Q, K, V, secret=secret, ulps=32, grad_ulps=96)


def test_dropout_scales_what_it_keeps():
    torch.manual_seed(0)
    q = mpctensor.encrypt(torch.zeros(1, 1, 4, 8))
    v = mpctensor.encrypt(torch.eye(8).view(1, 1, 8, 8).clone().requires_grad_())
    k = mpctensor.encrypt(torch.zeros(1, 1, 8, 8))
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    out.sum().backward()
    weights = out.detach().decrypt()  # softmax of zeros gives 1/8 each
    kept = weights > 0.1
    assert 0 < kept.sum() < weights.numel(), "some are dropped, some are not"
    assert torch.allclose(weights, kept * 0.25, atol=1e-3)
    assert torch.allclose(v.grad.decrypt()[0, 0, :, 0], weights[0, 0].sum(0), atol=1e-2)


@pytest.mark.simulated
def test_backward_takes_no_exponential():
    q, k, v = (mpctensor.encrypt(t.clone().requires_grad_()) for t in (Q, K, V))
    out = F.scaled_dot_product_attention(q, k, v)
    with mpctensor.cost() as cost:
        out.sum().backward()
    assert cost.rounds <= 7


MASKS = {"bool": CAUSAL < 0, "float": CAUSAL, "none": None}


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_multihead_attention(mask, weights):
    x = on_grid(5, 3, 4)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 4] = True
    plain = torch.nn.MultiheadAttention(4, 2)
    hidden = mpctensor.encrypt(torch.nn.MultiheadAttention(4, 2))
    with torch.no_grad():
        for target, source in zip(hidden.parameters(), plain.parameters(), strict=True):
            target.copy_(source)

    def run(layer, value):
        return layer(
            *(value, value, value),
            attn_mask=MASKS[mask],
            key_padding_mask=padding,
            need_weights=weights,
        )[0]

    secret = mpctensor.encrypt(x)
    expected, got = run(plain, x), run(hidden, secret)
    expected.sum().backward()
    got.sum().backward()
    assert torch.allclose(got.detach().decrypt(), expected, atol=2e-3)
    for own, other in zip(hidden.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own.grad.decrypt(), other.grad, atol=5e-3, rtol=1e-2)
