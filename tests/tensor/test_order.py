"""sort, argsort, topk, kthvalue, medians, quantiles: values, positions, ties and gradients."""

import re

import pytest
import torch

import mpctensor
from mpctensor import EncodingError, SecretLeakError
from tests.plaintext import ULP, assert_close, check, on_grid

X = on_grid(3, 4, 5)
QUARTERS = torch.tensor([0.25, 0.5, 0.7])

ORDERED = {
    "sort": lambda x: x.sort(),
    "sort_descending": lambda x: torch.sort(x, 0, True),
    "sort_stable": lambda x: torch.sort(x, stable=True, dim=1),
    "argsort": lambda x: x.argsort(1),
    "argsort_descending": lambda x: torch.argsort(x, dim=-2, descending=True, stable=True),
    "msort": lambda x: torch.msort(x),
    "topk": lambda x: x.topk(2),
    "topk_smallest": lambda x: torch.topk(x, 3, dim=1, largest=False),
    "topk_none": lambda x: x.topk(0),
    "topk_values": lambda x: x.topk(2, sorted=True).values,
    "kthvalue": lambda x: x.kthvalue(2),
    "kthvalue_keep": lambda x: torch.kthvalue(x, 1, dim=0, keepdim=True),
    "median": lambda x: x.median(),
    "median_dim": lambda x: x.median(1),
    "nanmedian_keep": lambda x: torch.nanmedian(x, -1, keepdim=True),
    "quantile": lambda x: x.quantile(0.3),
    "quantile_dim": lambda x: torch.quantile(x, QUARTERS, dim=1),
    "quantile_keep": lambda x: x.quantile(0.5, 0, keepdim=True),
    "nanquantile": lambda x: torch.nanquantile(x, QUARTERS[:1], dim=0, keepdim=True),
    "midpoint": lambda x: x.quantile(QUARTERS, 2, interpolation="midpoint"),
    "lower": lambda x: x.quantile(0.4, 1, interpolation="lower"),
    "higher": lambda x: x.quantile(0.4, interpolation="higher"),
    "nearest": lambda x: x.quantile(QUARTERS, 1, interpolation="nearest"),
}


@pytest.mark.parametrize("name", ORDERED)
def test_ordered(name):
    """What was chosen is exact; between two, a truncation and a weight rounded to 2^-16."""
    check(ORDERED[name], X, ulps=2 if "quantile" in name or name == "midpoint" else 0.1)


@pytest.mark.parametrize("name", ["sort", "argsort", "median"])
def test_integers_and_strided_inputs(name):
    whole = torch.randperm(60).view(3, 4, 5) - 30
    check(ORDERED[name], whole, gradients=False)
    check(ORDERED[name], on_grid(5, 4, 3).permute(2, 1, 0), ulps=1)
    check(lambda x: ORDERED[name](x[:, ::2]), X, ulps=1)


TIED = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [-1.0, 0.5, 0.25, 0.5]])


def test_ties_keep_their_order():
    check(lambda x: x.sort(dim=1, stable=True), TIED, ulps=0.1)
    check(lambda x: torch.sort(x, dim=1, stable=True, descending=True), TIED, ulps=0.1)
    check(lambda x: torch.sort(x, dim=0, stable=True).indices, TIED > 1, gradients=False)
    values, indices = mpctensor.encrypt(TIED).topk(3)
    expected = torch.sort(TIED, dim=1, stable=True, descending=True)
    assert torch.equal(values.decrypt(), expected.values[:, :3])
    assert torch.equal(indices.decrypt(), expected.indices[:, :3])
    check(lambda x: x.median(), TIED, ulps=2)  # all that equal it share the gradient


LONG = on_grid(2, 450, seed=3)  # more pairs than are compared


@pytest.mark.parametrize(
    "fn", [lambda x: x.topk(3), lambda x: x.kthvalue(2), lambda x: torch.topk(x, 1, largest=False)]
)
def test_few_of_a_long_row(fn):
    check(fn, LONG, ulps=1)


def test_long_rows():
    x = mpctensor.encrypt(LONG.clone().requires_grad_())
    values, indices = x.sort(descending=True)
    expected = torch.sort(LONG, dim=1, stable=True, descending=True)
    assert_close(values.detach().decrypt(), expected.values, 0.1)
    assert torch.equal(indices.decrypt(), expected.indices)
    (values * torch.arange(450)).sum().backward()
    weights = torch.arange(450.0).expand(2, -1)
    routed = torch.zeros(2, 450).scatter(1, expected.indices, weights)
    assert_close(x.grad.decrypt(), routed, 0.1)


def test_values_and_indices_by_name():
    out = mpctensor.encrypt(X).sort(dim=0)
    assert out.values.shape == out.indices.shape == X.shape and out.indices.dtype is torch.int64


def test_masked_scores():
    """What a public fill of -inf left out comes last."""
    keep = torch.tensor([True, False, True, True])
    hidden = mpctensor.encrypt(TIED).masked_fill(~keep, -torch.inf)
    assert torch.equal(hidden.argsort(1, True).decrypt()[:, -1], torch.ones(3, dtype=torch.int64))


SECOND = {
    "sort": lambda x: x.sort(1).values.square(),
    "topk": lambda x: x.topk(2, 0).values.square(),
    "median": lambda x: x.median().square(),
    "quantile": lambda x: x.quantile(0.4, 1).square(),
}


@pytest.mark.parametrize("name", SECOND)
def test_gradients_of_gradients(name):
    def second(secret):
        hide = mpctensor.encrypt if secret else lambda v: v
        w, x = hide(on_grid(5, 5).requires_grad_()), hide(X.clone().requires_grad_())
        (first,) = torch.autograd.grad(SECOND[name](x @ w).sum(), x, create_graph=True)
        first.square().sum().backward()
        return [v.grad.decrypt() if secret else v.grad for v in (w, x)]

    for got, expected in zip(second(True), second(False), strict=True):
        assert_close(got, expected, 64)


@pytest.mark.parametrize("size", [(), (1,), (0,), (0, 3), (2, 0, 3), (3, 1)])
def test_small_sizes(size):
    x = torch.zeros(size)
    for fn in (lambda x: x.sort(), lambda x: x.argsort(), lambda x: torch.msort(x)):
        check(fn, x)
    if size and size[-1]:
        for fn in (lambda x: x.topk(1), lambda x: x.kthvalue(1), lambda x: x.median(-1)):
            check(fn, x)


BAD = {
    "topk_too_many": lambda x: x.topk(6),
    "topk_negative": lambda x: x.topk(-1),
    "topk_dim": lambda x: x.topk(1, dim=3),
    "kthvalue_none": lambda x: x.kthvalue(0),
    "kthvalue_too_many": lambda x: x.kthvalue(6),
    "sort_dim": lambda x: x.sort(3),
    "argsort_dim": lambda x: x.argsort(-4),
    "median_dim": lambda x: x.median(5),
    "median_of_none": lambda x: x[..., :0].median(-1),
    "quantile_above": lambda x: x.quantile(1.5),
    "quantile_whole": lambda x: x.long().quantile(0.5),
    "quantile_word": lambda x: x.quantile(0.5, interpolation="none"),
    "quantile_of_none": lambda x: x[:0].quantile(0.5),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_raise_as_in_torch(name):
    with pytest.raises((RuntimeError, IndexError)) as plain:
        BAD[name](X)
    with pytest.raises(plain.type, match=re.escape(str(plain.value))):
        BAD[name](mpctensor.encrypt(X))


def test_refusals():
    x = mpctensor.encrypt(X)
    with pytest.raises(EncodingError, match="nan"):
        x[:0].median()
    with pytest.raises(SecretLeakError, match="public"):
        torch.quantile(x, mpctensor.encrypt(torch.tensor(0.5)))
    with pytest.raises(SecretLeakError):
        x.topk(mpctensor.encrypt(torch.tensor(2)))


@pytest.mark.simulated
def test_backward_compares_nothing():
    x = mpctensor.encrypt(X.clone().requires_grad_())
    with mpctensor.cost() as spent:
        values = x.topk(2).values
    assert spent.rounds == 6
    with mpctensor.cost() as spent:
        values.sum().backward()
    assert spent.rounds <= 1  # the gradient of a sum is public
    assert x.grad.decrypt().sum() == pytest.approx(2 * 12, abs=ULP)


OUT = {  # functions caught whole, with results of the dtypes given
    "sort": (lambda x, **out: torch.sort(x, **out), (torch.float32, torch.int64)),
    "topk": (lambda x, **out: torch.topk(x, 2, **out), (torch.float32, torch.int64)),
    "max": (lambda x, **out: torch.max(x, 1, **out), (torch.float32, torch.int64)),
    "cummin": (lambda x, **out: torch.cummin(x, 0, **out), (torch.float32, torch.int64)),
    "amax": (lambda x, **out: torch.amax(x, 1, **out), (torch.float32,)),
    "argmin": (lambda x, **out: torch.argmin(x, 1, **out), (torch.int64,)),
}


@pytest.mark.parametrize("name", OUT)
def test_results_are_written_to_out(name):
    function, dtypes = OUT[name]
    plain = on_grid(4, 5)
    expected = function(plain)
    several = isinstance(expected, tuple)
    results = expected if several else (expected,)
    empty = [torch.zeros(v.shape, dtype=d) for v, d in zip(results, dtypes, strict=True)]

    def out(tensors):
        return tuple(tensors) if several else tensors[0]

    secret = [mpctensor.encrypt(v.clone()) for v in empty]
    x = mpctensor.encrypt(plain)
    given = function(x, out=out(secret))
    for got, target, value in zip(given if several else [given], secret, results, strict=True):
        assert got is target and torch.equal(target.decrypt(), value)
    with pytest.raises(mpctensor.SecretLeakError, match=f"`{name}` would write a secret"):
        function(x, out=out(empty))
    wrong = [mpctensor.encrypt(torch.zeros(7, dtype=d)) for d in dtypes]
    with pytest.raises(RuntimeError, match="`out` has shape"):
        function(x, out=out(wrong))
    bits = [mpctensor.encrypt(v.bool()) for v in empty]
    with pytest.raises(RuntimeError, match="`out` has dtype"):
        function(x, out=out(bits))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        function(mpctensor.encrypt(plain).requires_grad_(), out=out(secret))
