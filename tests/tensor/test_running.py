"""cummax, cummin, logcumsumexp, cumprod."""

import re

import pytest
import torch

import mpctensor
from tests.plaintext import check, on_grid

X = on_grid(3, 4, 5)
TIED = torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0], [2.0, 2.0, 2.0, 1.0, 1.0]])


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extrema(name):
    for dim in (0, 1, -1):
        check(lambda x, dim=dim: getattr(torch, name)(x, dim), X, ulps=1)
    check(lambda x: getattr(x, name)(1), TIED, ulps=1)
    check(lambda x: getattr(x, name)(dim=0), TIED.t(), ulps=1)
    check(lambda x: getattr(x, name)(1).indices, TIED.long(), gradients=False)


@pytest.mark.parametrize("name", ["cummax", "cummin", "logcumsumexp", "cumprod"])
@pytest.mark.parametrize("size", [(), (1,), (0,), (2, 0), (0, 2)])
def test_small_sizes(name, size):
    check(lambda x: getattr(x, name)(-1), torch.zeros(size))


def test_logcumsumexp():
    """An ulp or two for each level of logaddexp, and of its gradient."""
    check(lambda x: x.logcumsumexp(1), X, ulps=6, grad_ulps=12)
    check(lambda x: torch.logcumsumexp(x, 0), X * 8, ulps=6, grad_ulps=12)


@pytest.mark.parametrize("name", ["cummax", "cummin", "logcumsumexp", "cumprod"])
def test_bad_dimension_raises_as_in_torch(name):
    with pytest.raises(IndexError) as plain:
        getattr(X, name)(3)
    with pytest.raises(IndexError, match=re.escape(str(plain.value))):
        getattr(mpctensor.encrypt(X), name)(3)


def test_cumprod():
    check(lambda x: x.cumprod(1), X, ulps=8, grad_ulps=32)
    check(lambda x: torch.cumprod(x, dim=0, dtype=torch.float64), TIED, ulps=8)
    check(lambda x: torch.cumprod(x, -1), TIED.long(), gradients=False)
    check(lambda x: torch.cumprod(x, -1, dtype=torch.float32), TIED.long(), gradients=False)
    check(lambda x: (x * 1).cumprod_(1), TIED, ulps=8)


@pytest.mark.parametrize("zeros", [[], [2], [1, 3], [0, 1, 4]])
def test_gradients_of_cumprod_divide_nothing(zeros):
    x = on_grid(2, 5)
    x[:, zeros] = 0
    check(lambda x: x.cumprod(1), x, ulps=8, grad_ulps=32)


def test_input_of_a_gradient_is_not_needed():
    """Only the choices are kept, so the input may change."""
    x = mpctensor.encrypt(TIED.clone().requires_grad_())
    y = x * 1
    out = y.cummax(1).values
    y.add_(1)
    out.sum().backward()
    assert x.grad.decrypt().tolist() == [[1, 1, 2, 0, 1], [1, 1, 3, 0, 0]]


def test_the_product_of_one_element_has_memory_of_its_own():
    x = mpctensor.encrypt(torch.ones(2, 1)).requires_grad_()
    y = x * 1
    y.prod(1).mul_(5)
    assert y.decrypt().flatten().tolist() == [1, 1]
