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
