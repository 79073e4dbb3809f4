"""Matrix products of every rank, secret and plain on either side, and what Linear makes of them."""

import operator

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import check, grid, on_grid

K = 5  # inner dimension; a product is off by 1 ulp, by up to 2 K where a factor is public
SHAPES = {
    "mm": ((3, K), (K, 4)),
    "mv": ((3, K), (K,)),
    "vm": ((K,), (K, 4)),
    "dot": ((K,), (K,)),
    "bmm": ((2, 3, K), (2, K, 4)),
    "batch_by_matrix": ((2, 3, K), (K, 4)),
    "matrix_by_batch": ((3, K), (2, K, 4)),
    "batch_by_vector": ((2, 3, K), (K,)),
    "vector_by_batch": ((K,), (2, K, 4)),
    "broadcast": ((2, 1, 3, K), (4, K, 2)),
    "outer": ((3, 1), (1, 4)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("secret", [(0, 1), (0,), (1,)], ids=["both", "left", "right"])
def test_matmul(name, secret):
    left, right = SHAPES[name]
    check(
        operator.matmul, on_grid(*left, seed=1), on_grid(*right, seed=2), secret=secret, ulps=3 * K
    )


PRODUCTS = {
    "addmm": (torch.addmm, (4,), (3, K), (K, 4)),
    "addmv": (torch.addmv, (3,), (3, K), (K,)),
    "baddbmm": (torch.baddbmm, (2, 3, 4), (2, 3, K), (2, K, 4)),
    "addmm_scaled": (
        lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2),
        (3, 4),
        (3, K),
        (K, 4),
    ),
    "addbmm": (torch.addbmm, (3, 4), (2, 3, K), (2, K, 4)),
    "linear": (lambda b, x, w: F.linear(x, w, b), (4,), (3, K), (4, K)),
    "linear_of_batch": (lambda b, x, w: F.linear(x, w, b), (4,), (2, 3, K), (4, K)),
    "linear_of_vector": (lambda b, x, w: F.linear(x, w, b), (4,), (K,), (4, K)),
    "bilinear": (lambda b, x, y: F.bilinear(x, y, WEIGHT, b), (2,), (3, K), (3, 4)),
}
WEIGHT = grid(on_grid(2, K, 4) / 4)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("secret", [(0, 1, 2), (1,), (2,), (0,)])
def test_product_with_bias(name, secret):
    fn, *shapes = PRODUCTS[name]
    inputs = [on_grid(*size, seed=i) for i, size in enumerate(shapes)]
    check(fn, *inputs, secret=secret, ulps=6 * K, grad_ulps=12 * K)


def test_einsum_and_friends():
    x, y = on_grid(2, 3, K), on_grid(2, K, 4)
    check(lambda a, b: torch.einsum("bik,bkj->bij", a, b), x, y, ulps=2 * K)
    check(lambda a, b: torch.einsum("bik,bkj->ij", a, b), x, y, ulps=4 * K)
    check(torch.outer, on_grid(3), on_grid(4), ulps=2)
    check(torch.inner, on_grid(3, K), on_grid(2, K), ulps=2 * K)
    check(lambda a, b: torch.tensordot(a, b, dims=([2, 0], [1, 0])), x, y, ulps=4 * K)
    check(torch.kron, on_grid(2, 2), on_grid(2, 3), ulps=2)


def test_integers():
    x, y = torch.randint(-9, 9, (3, K)), torch.randint(-9, 9, (K, 2))
    for secret in ((0, 1), (0,), (1,)):
        check(operator.matmul, x, y, secret=secret, gradients=False)


def test_two_dtypes_are_refused_as_in_torch():
    with pytest.raises(RuntimeError, match="same dtype"):
        mpctensor.encrypt(torch.ones(2, 2)) @ mpctensor.encrypt(torch.ones(2, 2).double())


def test_empty_and_single():
    check(operator.matmul, torch.zeros(0, 3), on_grid(3, 2), ulps=1)
    check(operator.matmul, on_grid(1, 1), on_grid(1, 1, seed=3), ulps=2)


@pytest.mark.simulated
def test_a_layers_step_opens_each_operand_once():
    """X, W and G of a linear layer: forward and both backward products open each of them once."""
    x = mpctensor.encrypt(on_grid(8, 6))
    w = mpctensor.encrypt(on_grid(4, 6).requires_grad_())
    x.requires_grad_()
    g = mpctensor.encrypt(on_grid(8, 4))
    with mpctensor.cost() as cost:
        out = F.linear(x, w)
        out.backward(g)
    assert cost.bytes_sent == 8 * (x.numel() + w.numel() + g.numel())
    assert cost.rounds == 2


@pytest.mark.simulated
def test_a_batch_seen_before_is_not_opened_again():
    data = mpctensor.encrypt(on_grid(8, 6))
    weight = mpctensor.encrypt(on_grid(6, 3))
    sent = []
    for _ in range(2):
        for start in (0, 4):
            with mpctensor.cost() as cost:
                data[start : start + 4] @ weight
            sent.append(cost.bytes_sent)
    assert sent == [8 * (24 + 18), 8 * 24, 0, 0]


def test_small_plain_weights():
    """A plain weight keeps 16 bits of its own size; the error is that of the rounded weight."""
    x, weight = torch.randn(8, 50) * 100, torch.randn(10, 50) * 1e-4
    expected = F.linear(x, weight)
    out = F.linear(mpctensor.encrypt(x), weight).decrypt()
    assert torch.allclose(out, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
