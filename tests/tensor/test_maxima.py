"""max, min, argmax, argmin, amax, amin: values, positions, ties and gradients."""

import re

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, check, on_grid

X = on_grid(3, 4, 5)

EXTREMA = {
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "max_dim": lambda x: torch.max(x, 1),
    "min_dim_keep": lambda x: x.min(2, keepdim=True),
    "max_values": lambda x: x.max(dim=0).values,
    "amax": lambda x: x.amax(1),
    "amax_dims": lambda x: torch.amax(x, (0, 2), keepdim=True),
    "amin_all": lambda x: torch.amin(x),
    "argmax": lambda x: x.argmax(),
    "argmax_dim": lambda x: torch.argmax(x, 1),
    "argmax_keep": lambda x: x.argmax(-1, keepdim=True),
    "argmin": lambda x: x.argmin(2),
    "max_other": lambda x: torch.max(x, x.flip(0)),
    "logsumexp_free": lambda x: x.amax(-1, keepdim=True) - x,
    "single": lambda x: x[:, :1].max(1),
}


@pytest.mark.parametrize("name", EXTREMA)
def test_extremum(name):
    check(EXTREMA[name], X, ulps=1)


def test_of_three():
    for values in ([1.0, 3.0, 3.0], [3.0, 3.0, 1.0], [0.0, 0.0, 0.0]):
        check(lambda x: x.max(), torch.tensor(values), ulps=0.1, gradients=False)
        check(lambda x: x.argmax(), torch.tensor(values), gradients=False)
        check(lambda x: x.argmin(), torch.tensor(values), gradients=False)
        check(lambda x: x.max(0), torch.tensor(values), ulps=0.1)


def test_of_one_number():
    check(lambda x: x.max(), torch.tensor(1.5))
    check(lambda x: x.amin(()), torch.tensor(1.5))
    check(lambda x: x.max(0), torch.tensor(1.5))


def test_integers():
    x = torch.tensor([[3, -1, 7], [2, 9, -9]])
    check(lambda x: x.max(1), x, gradients=False)
    check(lambda x: x.amin(0), x, gradients=False)


def test_large_values():
    check(lambda x: x.max(1), on_grid(3, 4) * 2**20, ulps=1)


TIED = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [-1.0, 0.5, 0.25, 0.5]])
SPREAD = {
    "max": lambda x: x.max() * 1,
    "min": lambda x: torch.min(x),
    "amax": lambda x: x.amax(-1),
    "amin_keep": lambda x: x.amin(0, keepdim=True),
    "amax_all": lambda x: torch.amax(x, (0, 1)),
    "product": lambda x: (x * x).amax(1),
}


@pytest.mark.parametrize("name", SPREAD)
def test_winners_share_the_gradient(name):
    check(SPREAD[name], TIED, ulps=2, grad_ulps=8)


@pytest.mark.simulated
def test_sharing_the_gradient_divides_nothing():
    """An equality (4 rounds), the row of the count, two products."""
    x, g = mpctensor.encrypt((TIED.clone().requires_grad_(), on_grid(3)))
    out = x.amax(1)
    with mpctensor.cost() as cost:
        out.backward(g)
    assert cost.rounds == 7


def test_max_along_a_dimension_gives_it_to_the_first():
    check(lambda x: x.max(-1).values, TIED, ulps=1)


def test_input_changed_before_the_gradient():
    x = mpctensor.encrypt(torch.randn(4, requires_grad=True))
    y = x * 1
    out = y.amax(0)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "amax", "amin"])
def test_of_no_elements(name):
    """No rows give no extrema; no candidates raise what torch raises."""
    rows, nothing = torch.zeros(2, 0, 3), torch.zeros(0)
    check(lambda x: getattr(x, name)(-1), rows)
    for fn in (lambda x: getattr(x, name)(), lambda x: getattr(x, name)(0)):
        with pytest.raises((RuntimeError, IndexError)) as plain:
            fn(nothing)
        with pytest.raises(plain.type, match=re.escape(str(plain.value))):
            fn(mpctensor.encrypt(nothing))


SECOND = {
    "max": lambda x: x.max(1).values.square(),
    "min": lambda x: x.min(0)[0].square(),
    "amax": lambda x: x.amax((0, 2)).square(),
    "all": lambda x: x.max().square(),
    "pool": lambda x: F.max_pool1d(x, 2).square(),
    "padded pool": lambda x: F.max_pool2d(x, 3, 2, 1).square(),
    "adaptive pool": lambda x: F.adaptive_max_pool1d(x, 1).square(),
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


ALIASES = {
    **{
        name: lambda x, name=name: getattr(torch, name)(x, axis=1)
        for name in ("prod", "sort", "argsort", "cumprod", "logcumsumexp", "cummax", "median")
    },
    **{
        name: lambda x, name=name: getattr(x, name)(axis=-1, keepdims=True)
        for name in ("max", "min", "amax", "amin", "argmax", "argmin", "prod", "nanmedian")
    },
    "topk": lambda x: x.topk(2, axis=0),
    "kthvalue": lambda x: torch.kthvalue(x, 2, axis=0, keepdims=True),
    "quantile": lambda x: torch.quantile(x, 0.5, axis=0),
    "input": lambda x: torch.amax(x=x, axis=0),
    "other": lambda x: torch.max(x, x2=-x),
    "both": lambda x: torch.minimum(x1=x, x2=-x),
}


@pytest.mark.parametrize("name", ALIASES)
def test_keywords_of_numpy(name):
    check(ALIASES[name], on_grid(4, 5), ulps=8, gradients=False)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: torch.max(x, dims=1),
        lambda x: torch.amax(x, dim=0, axis=0),
        lambda x: torch.prod(x, axes=1),
        lambda x: F.softmax(x, axis=1),
    ],
)
def test_keywords_that_torch_refuses(wrong):
    x = on_grid(4, 5)
    with pytest.raises(TypeError) as plain:
        wrong(x)
    with pytest.raises(TypeError) as secret:
        wrong(mpctensor.encrypt(x))
    assert str(secret.value).replace("SharedTensor", "Tensor") == str(plain.value)
