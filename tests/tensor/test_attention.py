"""Scaled dot-product attention: masks, scales, plain operands, gradients, and its cost."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import SecretLeakError
from tests.plaintext import assert_close, check, on_grid

pytestmark = pytest.mark.lengthy

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


SOME = torch.tensor([[1, 0, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [1] * 5, [0, 1] * 2 + [0]])
SOME = SOME.bool()
NONE = SOME & (torch.arange(5) != 2)[:, None]  # the third query may attend to nothing
HIDDEN = {
    "some": SOME,
    "none": NONE,
    "keys": SOME[:1],
    "batch": SOME[:2, None, None],
    "one": NONE[:, :1],
}


@pytest.mark.parametrize("secret", [(0, 1, 2, 3), (3,), (2, 3), (0, 3)])
@pytest.mark.parametrize("mask", HIDDEN)
def test_secret_bool_mask(mask, secret):
    check(
        F.scaled_dot_product_attention,
        *(Q, K, V, HIDDEN[mask]),
        secret=secret,
        ulps=32,
        grad_ulps=96,
    )


def test_secret_comparison_as_mask():
    check(
        lambda q, k, v, kept: F.scaled_dot_product_attention(q, k, v, kept > 0),
        *(Q, K, V, on_grid(5, 5)),
        ulps=32,
        grad_ulps=96,
    )


@pytest.mark.parametrize("precision", [8, 20, 24])
def test_secret_mask_at_other_precisions(precision):
    secret = [mpctensor.encrypt(t, precision=precision) for t in (Q, K, V)]
    got = F.scaled_dot_product_attention(*secret, mpctensor.encrypt(NONE)).decrypt()
    expected = F.scaled_dot_product_attention(Q, K, V, NONE)
    assert torch.allclose(got, expected, atol=2e-3 if precision > 8 else 0.1)


@pytest.mark.parametrize("secret", [(0, 1, 2), (2,)])
@pytest.mark.parametrize("float_mask", [False, True])
def test_query_that_attends_to_nothing(float_mask, secret):
    mask = torch.zeros(5, 5).masked_fill(~NONE, -torch.inf) if float_mask else NONE
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask),
        *(Q, K, V),
        secret=secret,
        ulps=32,
        grad_ulps=96,
    )


@pytest.mark.simulated
def test_secret_mask_costs_no_round():
    q, k, v, mask = (mpctensor.encrypt(t) for t in (Q, K, V, SOME))
    with mpctensor.cost() as plain:
        F.scaled_dot_product_attention(q, k, v)
    with mpctensor.cost() as masked:
        F.scaled_dot_product_attention(q, k, v, mask)
    assert masked.rounds == plain.rounds


@pytest.mark.parametrize("mask", [SOME[:, :3], SOME[:3], SOME.int()])
def test_wrong_masks_raise_what_torch_raises(mask):
    with pytest.raises(RuntimeError) as expected:
        F.scaled_dot_product_attention(Q, K, V, mask)
    q, k, v = (mpctensor.encrypt(t) for t in (Q, K, V))
    for given in (mask, mpctensor.encrypt(mask)):
        with pytest.raises(RuntimeError) as got:
            F.scaled_dot_product_attention(q, k, v, given)
        assert str(got.value) == str(expected.value)


MASKS = {"bool": CAUSAL < 0, "float": CAUSAL, "none": None}


@pytest.mark.parametrize("secret_masks", [False, True])
@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("mask", MASKS)
def test_multihead_attention(mask, weights, secret_masks):
    if secret_masks and mask == "float":
        return  # -inf cannot be encrypted
    x = on_grid(5, 3, 4)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 4] = True
    plain = torch.nn.MultiheadAttention(4, 2)
    hidden = mpctensor.encrypt(torch.nn.MultiheadAttention(4, 2))
    with torch.no_grad():
        for target, source in zip(hidden.parameters(), plain.parameters(), strict=True):
            target.copy_(source)

    def run(layer, value, *masks):
        return layer(
            *(value, value, value),
            attn_mask=masks[0],
            key_padding_mask=masks[1],
            need_weights=weights,
        )[0]

    secret, masks = mpctensor.encrypt(x), (MASKS[mask], padding)
    expected = run(plain, x, *masks)
    got = run(hidden, secret, *(mpctensor.encrypt(masks) if secret_masks else masks))
    expected.sum().backward()
    got.sum().backward()
    assert torch.allclose(got.detach().decrypt(), expected, atol=2e-3)
    for own, other in zip(hidden.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own.grad.decrypt(), other.grad, atol=5e-3, rtol=1e-2)


PADDED = torch.tensor([[False, False, True], [False, True, True]])
PAST = torch.ones(3, 3).triu(1) > 0
SECRET_MASKS = {
    "padding": lambda hide: {"src_key_padding_mask": hide(PADDED)},
    "past": lambda hide: {"src_mask": hide(PAST)},
    "both": lambda hide: {"src_key_padding_mask": hide(PADDED), "src_mask": hide(PAST)},
}


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masks", SECRET_MASKS)
def test_a_plain_layer_reads_secret_masks(masks, activation, norm_first):
    """Where all else is plain, torch has one fused function for the layer in evaluation."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        *(8, 2, 16, 0.0, activation), batch_first=True, norm_first=norm_first
    ).eval()
    x, make = on_grid(2, 3, 8), SECRET_MASKS[masks]
    with torch.no_grad():
        got, expected = layer(x, **make(mpctensor.encrypt)), layer(x, **make(lambda m: m))
        assert_close(got.decrypt(), expected, 32)


def test_plain_attention_reads_a_secret_mask():
    attention, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), on_grid(2, 3, 8)
    with torch.no_grad():
        for options in ({}, {"average_attn_weights": False}):
            got = attention(x, x, x, key_padding_mask=mpctensor.encrypt(PADDED), **options)
            expected = attention(x, x, x, key_padding_mask=PADDED, **options)
            for one, other in zip(got, expected, strict=True):
                assert_close(one.decrypt(), other, 16)


def stacks(kind):
    layers = {
        nn.TransformerEncoder: nn.TransformerEncoderLayer,
        nn.TransformerDecoder: nn.TransformerDecoderLayer,
    }
    torch.manual_seed(5)
    options = {"dropout": 0.0, "batch_first": True}
    if kind is nn.Transformer:
        return nn.Transformer(8, 2, 1, 1, 12, **options)
    return kind(layers[kind](8, 2, 12, **options), 2, **NO_NESTED.get(kind, {}))


NO_NESTED = {nn.TransformerEncoder: {"enable_nested_tensor": False}}
CALLS = {
    nn.TransformerEncoder: lambda m, x, mask: m(x, mask),
    nn.TransformerDecoder: lambda m, x, mask: m(x, x, tgt_mask=mask),
    nn.Transformer: lambda m, x, mask: m(x, x, src_mask=mask, tgt_mask=mask, memory_mask=mask),
}
SQUARE = torch.ones(4, 4).triu(1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mask", [SQUARE.bool(), -3 * SQUARE], ids=["bool", "float"])
@pytest.mark.parametrize("kind", CALLS)
def test_encrypted_stacks_take_secret_masks(kind, mask, training):
    plain, x = stacks(kind).train(training), on_grid(2, 4, 8)
    hidden = mpctensor.encrypt(copy.deepcopy(plain))
    expected = CALLS[kind](plain, x, mask)
    got = CALLS[kind](hidden, mpctensor.encrypt(x), mpctensor.encrypt(mask))
    assert_close(got.detach().decrypt(), expected.detach(), 256)
    again = CALLS[kind](copy.deepcopy(hidden), mpctensor.encrypt(x), mask)  # plain, with the hook
    assert_close(again.detach().decrypt(), expected.detach(), 256)


@pytest.mark.parametrize("kind", CALLS)
def test_plain_stacks_say_how_they_take_a_secret_mask(kind):
    module, x = stacks(kind), on_grid(2, 4, 8)
    mpctensor.encrypt(module)
    mpctensor.decrypt(module)
    assert not any(m._forward_pre_hooks for m in module.modules())
    with pytest.raises(SecretLeakError, match="is_causal=False"):
        CALLS[kind](module, x, mpctensor.encrypt(SQUARE.bool()))


EMPTY = torch.tensor([[False] * 5, [True] * 5, [True, False, False, True, True]] * 2)[:5]
LEFT = torch.tensor([[True, True, False, False, False], [False] * 5])
EMPTIED = {
    "rows": (EMPTY, None),
    "floats": (torch.zeros(5, 5).masked_fill(EMPTY, -torch.inf), None),
    "padding": (None, torch.tensor([[True] * 5, [False] * 5])),
    "both": (CAUSAL < 0, LEFT),
    "heads": (EMPTY.expand(4, 5, 5), LEFT),
}


@pytest.mark.parametrize("secret_masks", [False, True])
@pytest.mark.parametrize("name", EMPTIED)
def test_multihead_attention_to_nothing(name, secret_masks):
    if secret_masks and name == "floats":
        return  # -inf cannot be encrypted
    torch.manual_seed(1)
    plain = nn.MultiheadAttention(4, 2, batch_first=True)
    hidden, x = mpctensor.encrypt(copy.deepcopy(plain)), on_grid(2, 5, 4)
    found = []
    for layer, hide in ((hidden, mpctensor.encrypt), (plain, lambda v: v)):
        of_queries, of_keys = EMPTIED[name]
        if secret_masks and layer is hidden:
            of_queries, of_keys = (m if m is None else hide(m) for m in EMPTIED[name])
        value = hide(x.clone().requires_grad_())
        masks = {"attn_mask": of_queries, "key_padding_mask": of_keys}
        out, _ = layer(value, value, value, need_weights=False, **masks)
        out.square().sum().backward()
        found.append((out.detach(), value.grad))
        if layer is hidden:
            shown, weights = layer(value, value, value, **masks)
            assert_close(shown.detach().decrypt(), out.detach().decrypt(), 4)
            sums = weights.detach().decrypt().sum(-1)
    for got, expected in zip(*found, strict=True):
        assert_close(got.decrypt(), expected, 96)
    assert bool(((sums.abs() < 1e-3) | ((sums - 1).abs() < 1e-3)).all())
    assert bool((sums.abs() < 1e-3).any())


def test_secret_float_mask_of_fills():
    hidden = mpctensor.encrypt((~NONE).float()) * torch.finfo(torch.float32).min
    got = F.scaled_dot_product_attention(*map(mpctensor.encrypt, (Q, K, V)), hidden)
    assert_close(got.decrypt(), F.scaled_dot_product_attention(Q, K, V, NONE), 32)


@pytest.mark.parametrize("padding", [None, "secret", "plain"])
def test_biases_of_scores_beside_masks_that_may_hide_every_key(padding):
    torch.manual_seed(0)
    model, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.randn(1, 4, 4)
    bias = torch.randn(4, 4)
    hidden = torch.tensor([[False, False, True, False]])
    secret, held = mpctensor.encrypt(copy.deepcopy(model)), mpctensor.encrypt(x)
    if padding is None:
        bias[3] = -torch.inf
        hidden = None
    given = mpctensor.encrypt(hidden) if padding == "secret" else hidden
    got = secret(held, held, held, attn_mask=bias, key_padding_mask=given)[1].decrypt()
    plain = None if hidden is None else torch.zeros(1, 4).masked_fill(hidden, -torch.inf)
    expected = model(x, x, x, attn_mask=bias, key_padding_mask=plain)[1].nan_to_num()
    assert_close(got, expected.detach(), 8)
