"""Sums, means, variances, running sums, products, norms, any and all."""

import pytest
import torch

import mpctensor
from tests.plaintext import check, on_grid

X = on_grid(2, 3, 4)

LINEAR = {
    "sum": lambda x: x.sum(),
    "sum_dim": lambda x: x.sum(1),
    "sum_dims_keep": lambda x: x.sum((0, -1), keepdim=True),
    "sum_dtype": lambda x: x.sum(dtype=torch.float64),
    "mean": lambda x: x.mean(),
    "mean_dim": lambda x: x.mean(-1),
    "mean_dims_keep": lambda x: x.mean((1, 2), keepdim=True),
    "cumsum": lambda x: x.cumsum(1),
    "sum_of_scalar": lambda x: x[0, 0, 0].sum(),
    "nansum_free": lambda x: torch.sum(x, [0]),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name):
    check(LINEAR[name], X, ulps=1)


MOMENTS = {
    "var": lambda x: x.var(),
    "var_dim": lambda x: x.var(1),
    "var_biased": lambda x: x.var(2, unbiased=False),
    "var_correction": lambda x: torch.var(x, dim=(0, 1), correction=0, keepdim=True),
    "var_mean": lambda x: torch.var_mean(x, 2),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name):
    check(MOMENTS[name], X, ulps=16)


@pytest.mark.parametrize("unbiased", [True, False])
def test_std(unbiased):
    check(lambda x: x.std(2, unbiased=unbiased), X, ulps=32, grad_ulps=128)


def test_products():
    check(lambda x: x.prod(), on_grid(5), ulps=64, grad_ulps=128)
    check(lambda x: x.prod(1), X, ulps=64, grad_ulps=128)
    check(lambda x: x.prod(2, keepdim=True), X, ulps=64, grad_ulps=128)
    check(lambda x: x.prod(0), torch.tensor([[2, 3], [-4, 5], [1, 7]]), ulps=0, gradients=False)
    check(lambda x: x.cumprod(1), X, ulps=64, grad_ulps=128)


def test_products_of_few():
    """A result never aliases its operand; a product of nothing is 1."""
    for empty in (torch.zeros(3, 0, 2), torch.zeros(0, 2, dtype=torch.int64)):
        check(lambda x: x.prod(0), empty, gradients=False)
        check(lambda x: x.prod(1, keepdim=True), empty, gradients=False)
        check(lambda x: x.prod(), empty, gradients=False)
        check(lambda x: x.cumprod(1), empty)
    one = on_grid(3, 1, 2)
    check(lambda x: x.prod(1), one)
    check(lambda x: x.prod(-2, keepdim=True), one)
    check(lambda x: x.cumprod(1), one)
    for fn in (lambda x: x.prod(1), lambda x: x.prod(1, keepdim=True), lambda x: x.cumprod(1)):
        x = mpctensor.encrypt(one)
        fn(x).zero_()
        assert torch.equal(x.decrypt(), one)


def test_no_number():
    """Where torch says nan."""
    for fn in (lambda x: x.mean(1), lambda x: x.var(1), lambda x: x[:, :1].var(1)):
        with pytest.raises(mpctensor.EncodingError, match="not a number"):
            fn(mpctensor.encrypt(torch.zeros(3, 0)))
    with pytest.raises(mpctensor.EncodingError, match="correction 5"):
        mpctensor.encrypt(torch.zeros(3)).var(correction=5)


def test_a_product_with_zeros_has_gradients():
    x = on_grid(4)
    x[1] = 0
    check(lambda x: x.prod(), x, ulps=16, grad_ulps=64)


def test_integers():
    x = torch.arange(6).view(2, 3)
    check(lambda x: x.sum(), x, gradients=False)
    check(lambda x: x.cumsum(0), x, gradients=False)
    check(lambda x: x.sum(0), x > 2, gradients=False)
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        check(lambda x: x.mean(), x, gradients=False)


@pytest.mark.parametrize("p", [1, 2, float("inf")])
def test_norms(p):
    check(lambda x: torch.linalg.vector_norm(x, p), X, ulps=64, gradients=p == 2, grad_ulps=64)
    check(lambda x: x.norm(p, dim=1), X, ulps=64, gradients=False)


@pytest.mark.parametrize("fn", [torch.any, torch.all])
def test_any_and_all(fn):
    for x in (torch.tensor([[True, False], [True, True]]), torch.zeros(2, 2, dtype=torch.bool)):
        check(fn, x, gradients=False)
        check(lambda x: fn(x, 1), x, gradients=False)


def test_wrong_dimension():
    with pytest.raises(IndexError, match="Dimension out of range"):
        check(lambda x: x.sum(5), X)


@pytest.mark.parametrize("p", [-3, 0.5, 3])
def test_norms_of_zeros(p):
    """An element that is 0, a row of zeros, a single one, none."""
    x = on_grid(4, 3)
    x[1, 2] = 0
    x[2] = 0
    plain, hidden = x.clone().requires_grad_(), mpctensor.encrypt(x).requires_grad_()
    for v in (plain, hidden):
        torch.linalg.vector_norm(v, p, 1).sum().backward()
    values = torch.linalg.vector_norm(hidden, p, 1)
    assert values.detach().decrypt()[2] == 0
    assert (hidden.grad.decrypt() - plain.grad).abs().max() < 2**-12
    check(lambda x: torch.linalg.vector_norm(x, p, 1), x, ulps=4, gradients=False)
    check(lambda x: x.norm(p, dim=1), x[:, :1], ulps=8, grad_ulps=8)


@pytest.mark.parametrize("p", [1, 2, 3, 0.5])
def test_norms_of_nothing(p):
    check(lambda x: x.norm(p, dim=1), torch.zeros(3, 0), gradients=False)
    check(lambda x: x.norm(p, dim=1), torch.zeros(0, 3), gradients=False)


def test_the_forms_of_a_norm():
    """Dimensions, dtypes and names lead to the same powers."""
    for fn in (
        lambda x: x.norm(3),
        lambda x: x.norm(3, (0, -1), True),
        lambda x: torch.norm(x, 3, dim=1, dtype=torch.float64),
        lambda x: torch.linalg.norm(x, 3, 2),
        lambda x: torch.linalg.vector_norm(x, 3, (1, 2), dtype=torch.float64),
        lambda x: torch.nn.functional.normalize(x, 3, 2),
    ):
        check(fn, X, ulps=8, grad_ulps=16)


@pytest.mark.simulated
def test_the_gradient_of_a_norm_compares_nothing():
    x = mpctensor.encrypt(on_grid(8, 6)).requires_grad_()
    norms = x.norm(3, dim=1)
    with mpctensor.cost() as spent:
        norms.backward(mpctensor.encrypt(torch.ones(8)))
    assert spent.rounds <= 9


@pytest.mark.parametrize("name", ["any", "all"])
@pytest.mark.parametrize("size", [(), (0,), (3, 0), (2, 3)])
def test_bits_over_no_and_all_dimensions(name, size):
    """() reduces nothing; nothing given, or None, everything."""
    fn, x = getattr(torch, name), on_grid(*size) if size else torch.tensor(0.0)
    for options in ({"dim": ()}, {"dim": (), "keepdim": True}, {"dim": None}, {"keepdim": False}):
        check(lambda x, options=options: fn(x > 0, **options), x, gradients=False)
