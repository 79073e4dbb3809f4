"""Transformers as people write them, BERT's way and GPT's, unmodified: forward and backward."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import SharedTensor
from tests.plaintext import ULP, assert_close, check, on_grid

WORDS, WIDTH, HEADS, LONGEST = 13, 8, 2, 6
IDS = torch.tensor([[1, 5, 2, 0], [7, 3, 3, 12]])
PADDED = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])


class Embeddings(nn.Module):
    """Words, positions and sentences, all public; position ids in a buffer."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH, padding_idx=0)
        self.positions = nn.Embedding(LONGEST, WIDTH)
        self.sentences = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer(
            "position_ids", torch.arange(LONGEST).expand((1, -1)), persistent=False
        )

    def forward(self, ids):
        length = ids.size(1)
        sentences = torch.zeros(ids.size(), dtype=torch.long, device=ids.device)
        hidden = self.words(ids) + self.sentences(sentences)
        hidden += self.positions(self.position_ids[:, :length])
        return self.dropout(self.norm(hidden))


class BertBlock(nn.Module):
    """Scores by matmul, an additive mask of finfo.min, residuals before LayerNorm."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.dense = nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def heads(self, x):
        return x.view(*x.size()[:-1], HEADS, WIDTH // HEADS).permute(0, 2, 1, 3)

    def forward(self, hidden, mask):
        query, key = self.heads(self.query(hidden)), self.heads(self.key(hidden))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS) + mask
        weights = nn.functional.softmax(scores, dim=-1)
        context = torch.matmul(weights, self.heads(self.value(hidden)))
        context = context.permute(0, 2, 1, 3).contiguous()
        context = context.view(*context.size()[:-2], WIDTH)
        hidden = self.first(self.dense(context) + hidden)
        return self.second(self.down(F.gelu(self.up(hidden), approximate="tanh")) + hidden)


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.layer = nn.ModuleList([BertBlock()])
        self.pooler = nn.Linear(WIDTH, WIDTH)
        self.classifier = nn.Linear(WIDTH, 3)

    def forward(self, ids, mask):
        hidden = self.embeddings(ids)
        added = mask[:, None, None, :].to(dtype=hidden.dtype)
        added = (1.0 - added) * torch.finfo(hidden.dtype).min
        for block in self.layer:
            hidden = block(hidden, added)
        return self.classifier(torch.tanh(self.pooler(hidden[:, 0])))


class GptBlock(nn.Module):
    """One projection for all three, a causal mask in a buffer, residuals after LayerNorm."""

    def __init__(self, attention):
        super().__init__()
        self.attend, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = attention
        allowed = torch.tril(torch.ones(LONGEST, LONGEST, dtype=torch.bool))
        self.register_buffer("bias", allowed.view(1, 1, LONGEST, LONGEST), persistent=False)

    def forward(self, hidden):
        batch, length, _ = hidden.size()
        query, key, value = (
            x.view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2)
            for x in self.attend(self.first(hidden)).split(WIDTH, dim=2)
        )
        context = self.attention(query, key, value, self.bias[:, :, :length, :length])
        context = context.transpose(1, 2).contiguous().view(batch, length, WIDTH)
        hidden = hidden + self.project(context)
        return hidden + self.down(F.gelu(self.up(self.second(hidden)), approximate="tanh"))


def scores(query, key):
    return (query @ key.transpose(-2, -1)) * (1.0 / math.sqrt(key.size(-1)))


def where_lowest(query, key, value, allowed):
    weights = scores(query, key)
    lowest = torch.full([], torch.finfo(weights.dtype).min, dtype=weights.dtype)
    return F.softmax(torch.where(allowed, weights, lowest), dim=-1) @ value


def by_einsum(query, key, value, allowed):
    weights = torch.einsum("bhqd,bhkd->bhqk", query, key) / key.size(-1) ** 0.5
    weights = weights.masked_fill(~allowed, torch.finfo(weights.dtype).min).softmax(-1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)


ATTENTIONS = {
    "masked_fill -inf": lambda q, k, v, allowed: (
        scores(q, k).masked_fill(allowed == 0, float("-inf")).softmax(-1) @ v
    ),
    "where finfo.min": where_lowest,
    "einsum": by_einsum,
    "is_causal": lambda q, k, v, _: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "boolean": lambda q, k, v, allowed: F.scaled_dot_product_attention(q, k, v, attn_mask=allowed),
    "additive": lambda q, k, v, allowed: F.scaled_dot_product_attention(
        q, k, v, attn_mask=torch.zeros(allowed.shape).masked_fill(~allowed, float("-inf"))
    ),
    "triu": lambda q, k, v, allowed: (
        (scores(q, k) + torch.full(allowed.shape[-2:], float("-inf")).triu(1)).softmax(-1) @ v
    ),
}


class Gpt(nn.Module):
    """The head is tied to the words; the loss is that of the next word."""

    def __init__(self, attention):
        super().__init__()
        self.words, self.positions = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.blocks = nn.Sequential(GptBlock(attention), GptBlock(attention))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        self.head.weight = self.words.weight
        self.apply(self.initialise)

    def initialise(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.3)

    def forward(self, ids):
        places = torch.arange(0, ids.size(1), dtype=torch.long, device=ids.device).unsqueeze(0)
        return self.head(self.norm(self.blocks(self.words(ids) + self.positions(places))))


def next_word(logits, ids):
    return F.cross_entropy(logits[..., :-1, :].flatten(0, 1), ids[..., 1:].flatten())


def compare(plain, loss_of, grad_ulps):
    """The loss and every gradient, plain and encrypted."""
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    expected, got = loss_of(plain), loss_of(secret)
    expected.backward()
    got.backward()
    assert_close(got.detach().decrypt(), expected.detach(), grad_ulps)
    for (name, one), other in zip(plain.named_parameters(), secret.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            assert_close(other.grad.decrypt(), one.grad, grad_ulps)
    return secret


def test_bert():
    plain = Bert().eval()
    targets = torch.tensor([2, 0])
    secret = compare(plain, lambda m: F.cross_entropy(m(IDS, PADDED), targets), 256)
    with torch.inference_mode():
        assert_close(secret(IDS, PADDED).decrypt(), plain(IDS, PADDED), 256)
    assert not isinstance(secret.embeddings.position_ids, SharedTensor)


def test_bert_learns_with_dropout():
    model = mpctensor.encrypt(Bert().train())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(IDS, PADDED), torch.tensor([2, 0]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.decrypt())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ATTENTIONS)
def test_gpt(name):
    secret = compare(Gpt(ATTENTIONS[name]), lambda m: next_word(m(IDS), IDS), 256)
    assert secret.head.weight is secret.words.weight


def test_gpt_generates():
    """Greedy words, each revealed: the same as in plain."""
    plain = Gpt(ATTENTIONS["is_causal"]).eval()
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    one = other = IDS[:, :2]
    with torch.no_grad():
        for _ in range(2):
            one = torch.cat([one, plain(one)[:, -1].argmax(-1, keepdim=True)], 1)
            word = secret(other)[:, -1].argmax(-1, keepdim=True)
            other = torch.cat([other, word.decrypt()], 1)
    assert torch.equal(one, other)


QUERY, KEY, VALUE = (on_grid(2, 2, 4, 4, seed=seed) for seed in range(3))
ALLOWED = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.bool)
CALLS = {
    "plain": {},
    "causal": {"is_causal": True},
    "boolean": {"attn_mask": ALLOWED},
    "additive": {"attn_mask": torch.zeros(4, 4).masked_fill(~ALLOWED, -math.inf)},
    "bias": {"attn_mask": on_grid(4, 4)},
    "scale": {"scale": 0.25},
}


@pytest.mark.parametrize("name", CALLS)
def test_scaled_dot_product_attention(name):
    check(
        lambda *qkv: F.scaled_dot_product_attention(*qkv, **CALLS[name]),
        QUERY,
        KEY,
        VALUE,
        ulps=24,
        grad_ulps=64,
    )


def test_attention_with_dropout_keeps_its_mean():
    ones = torch.ones(1, 1, 4, 2)
    out = F.scaled_dot_product_attention(
        *(mpctensor.encrypt(ones.expand(1, 64, 4, 2)) for _ in range(3)), dropout_p=0.5
    ).decrypt()
    assert abs(out.mean() - 1) < 0.15 and out.std() > 0.1
    assert set((out * 2).round().flatten().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_torchs_own_layers(kind):
    layer = kind(WIDTH, HEADS, 16, dropout=0.0, batch_first=True)
    inputs = [on_grid(2, 4, WIDTH)] * (1 if kind is nn.TransformerEncoderLayer else 2)

    def loss(model):
        secret = isinstance(model.linear1.weight, SharedTensor)
        return model(*(mpctensor.encrypt(x) if secret else x for x in inputs)).square().mean()

    compare(layer, loss, 128)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("secret_mask", [False, True])
@pytest.mark.parametrize("plain_words", [False, True])
def test_torchs_own_encoder_with_padding(mode, secret_mask, plain_words):
    """In eval without gradients torch packs words into nested tensors; words that are none are 0.

    Encrypted they keep what the ordinary path gives them.
    """
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=True)
    plain = nn.TransformerEncoder(layer, 2).eval()
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    words, padding = on_grid(2, 4, WIDTH), PADDED == 0
    expected = plain(words, src_key_padding_mask=padding).detach()
    with mode():
        given = words if plain_words else mpctensor.encrypt(words)
        mask = mpctensor.encrypt(padding) if secret_mask else padding
        got = secret(given, src_key_padding_mask=mask).detach().decrypt()
    assert_close(got, expected, 128)


@pytest.mark.parametrize("training", [True, False])
def test_torchs_own_layer_with_secret_masks(training):
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0, batch_first=True)
    words, masks = on_grid(2, 4, WIDTH), (~ALLOWED[[0, 1, 3, 3]], PADDED == 0)

    def loss(model):
        secret = isinstance(model.linear1.weight, SharedTensor)
        return model(*(mpctensor.encrypt([words, *masks]) if secret else [words, *masks]))

    compare(layer.train(training), lambda model: loss(model).square().mean(), 128)


def test_a_secret_attention_mask_is_a_condition():
    """Which words count may be secret too: the mask is multiplied in, not looked at."""
    words = on_grid(2, 4, 4)
    expected = (words @ words.mT).masked_fill(PADDED[:, None] == 0, -1e4).softmax(-1)
    secret, mask = mpctensor.encrypt(words), mpctensor.encrypt(PADDED)
    got = (secret @ secret.mT).masked_fill(mask[:, None] == 0, -1e4).softmax(-1)
    assert_close(got.decrypt(), expected, 8)
    assert (got.decrypt()[0, :, 3].abs() <= ULP).all()


LOWEST = torch.finfo(torch.float32).min
ADDED = {
    "float": lambda mask: (1 - mask) * LOWEST,
    "after": lambda mask: LOWEST * (1.0 - mask.to(torch.float32)),
    "tensor": lambda mask: (1 - mask) * torch.tensor(LOWEST),
    "half": lambda mask: (1 - mask) * torch.finfo(torch.bfloat16).min,
    "bool": lambda mask: (mask == 0) * LOWEST,
    "in place": lambda mask: (1 - mask.float()).mul_(LOWEST),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize("name", ADDED)
def test_a_secret_mask_becomes_what_is_added_to_scores(name, dtype):
    def attention(words, mask):
        return (words @ words.mT + ADDED[name](mask)[:, None]).softmax(-1) @ words

    check(attention, on_grid(2, 4, 4), PADDED.to(dtype), ulps=32, grad_ulps=64, gradients=False)
    check(attention, on_grid(2, 4, 4), PADDED.to(dtype), secret=(1,), ulps=32, gradients=False)


@pytest.mark.parametrize("precision", [8, 24])
def test_masks_of_other_precisions_become_what_is_added_to_scores(precision):
    words = on_grid(2, 4, 4) / 2
    expected = (words @ words.mT + (1 - PADDED[:, None]) * LOWEST).softmax(-1)
    secret = mpctensor.encrypt(words, precision=precision)
    mask = mpctensor.encrypt(PADDED.float(), precision=precision)
    got = (secret @ secret.mT + (1 - mask[:, None]) * LOWEST).softmax(-1)
    assert torch.allclose(got.decrypt(), expected, atol=4 * 2.0**-precision + 1e-3)
