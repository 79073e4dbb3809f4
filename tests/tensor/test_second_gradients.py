"""Gradients of gradients, beside those of plain torch."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, on_grid

ONES = on_grid(2, 4, low=0.1, high=0.9, seed=7)
WITH_ZEROS = torch.tensor([[0.5, 0.0, -1.5, 2.0], [0.0, 0.0, 1.25, 0.75]])
SIGNED = on_grid(2, 4, low=-1.5, high=1.5, seed=8)
FUNCTIONS = {
    "prod": (lambda x: x.prod(), ONES),
    "prod_dim": (lambda x: x.prod(1), SIGNED),
    "prod_keepdim": (lambda x: torch.prod(x, 0, True), SIGNED),
    "prod_one": (lambda x: (x[:, :1] ** 2).prod(-1), SIGNED),
    "prod_zeros": (lambda x: x.prod(1), WITH_ZEROS),
    "cumprod": (lambda x: x.cumprod(1), SIGNED),
    "logit": (torch.logit, ONES),
    "logit_eps": (lambda x: x.logit(0.25), ONES),
    "logit_": (lambda x: (x * 1).logit_(), ONES),
    "xlogy": (lambda x: torch.xlogy(x, x), ONES),
    "xlog1py": (lambda x: torch.special.xlog1py(x, x), ONES),
    "reciprocal": (torch.reciprocal, ONES),
    "div": (lambda x: x / (x + 1), ONES),
    "sqrt": (torch.sqrt, ONES),
    "rsqrt": (torch.rsqrt, ONES + 0.5),
    "log": (torch.log, ONES + 0.5),
    "exp": (torch.exp, SIGNED),
    "sin": (torch.sin, SIGNED),
    "sigmoid": (torch.sigmoid, SIGNED),
    "tanh": (torch.tanh, SIGNED),
    "erf": (torch.erf, SIGNED),
    "atan": (torch.atan, SIGNED),
    "pow": (lambda x: x**2.5, ONES),
    "norm": (lambda x: x.norm(), SIGNED),
    "softmax": (lambda x: x.softmax(1), SIGNED),
    "log_softmax": (lambda x: x.log_softmax(1).square(), SIGNED),
    "logsumexp": (lambda x: x.logsumexp(1), SIGNED),
    "var": (lambda x: x.var(1), SIGNED),
    "softplus": (F.softplus, SIGNED),
    "layer_norm": (lambda x: F.layer_norm(x, (4,)), SIGNED),
    "matmul": (lambda x: (x @ x.t()).tanh(), SIGNED),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_gradients(name):
    fn, given = FUNCTIONS[name]
    found = []
    for hide in (mpctensor.encrypt, lambda v: v):
        x = hide(given.clone().requires_grad_())
        (first,) = torch.autograd.grad(fn(x).sum(), x, create_graph=True)
        if first.requires_grad:
            (second,) = torch.autograd.grad((first * first).sum(), x, allow_unused=True)
            found.append((first, second))
    for secret, plain in zip(*found, strict=True):
        assert_close(secret.detach().decrypt(), plain.detach(), 48)


def beside_plain(fn, *given):
    """(secret, plain) pairs: value, gradients, and gradients of their weighed sum."""
    found = []
    for hide in (mpctensor.encrypt, lambda v: v.double()):
        leaves = [hide(v.clone()).requires_grad_() for v in given]
        out = fn(*leaves)
        weights = torch.arange(1, out.numel() + 1).reshape(out.shape) % 3 - 0.5
        first = torch.autograd.grad((out * weights).sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum((g * g).sum() for g in first), leaves)
        found.append([mpctensor.decrypt(v.detach()).double() for v in (out, *first, *second)])
    return zip(*found, strict=True)


@pytest.mark.parametrize("p", [0.5, 0.75, 1.5, 3])
def test_of_normalize_of_any_order(p):
    x = on_grid(3, 4, low=0.3, high=2, seed=9)
    x[0] *= -1
    for secret, plain in beside_plain(lambda x: F.normalize(x, p), x):
        assert (secret - plain).abs().max() <= 2.0**-12 * max(1, plain.abs().max())


@pytest.mark.parametrize("size", [(3, 1), (1,), ()])
def test_of_prod_over_one_element(size):
    x = on_grid(*size, low=0.5, high=2) if size else torch.tensor(1.25)
    calls = [lambda x: x.prod(-1) ** 2, lambda x: (x * x).prod(-1, keepdim=True)]
    for fn in [*calls, lambda x: x.prod() ** 3]:
        for secret, plain in beside_plain(fn, x):
            assert secret.shape == plain.shape
            assert torch.allclose(secret, plain, atol=2.0**-10)
