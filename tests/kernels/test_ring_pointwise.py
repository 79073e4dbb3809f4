"""The fused share formulas against the same formulas in plain torch."""

import pytest
import torch

from mpctensor import kernels
from tests.kernels.ring_reference import planes, same_on_one_and_two_threads, words

SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096, 4097, 70001]

pytestmark = pytest.mark.usefixtures("each_isa")


@pytest.mark.parametrize("n", SIZES)
def test_product_share(n: int) -> None:
    cx, y, rx, cy, z = (words(n) for _ in range(5))
    expected = cx * y - rx * cy + z
    assert torch.equal(kernels.product_share(cx, y, rx, cy, z), expected)
    assert kernels.product_share(cx, y, rx, cy, z, out=z) is z
    assert torch.equal(z, expected)


@pytest.mark.parametrize("n", SIZES)
def test_square_share(n: int) -> None:
    c, r, z = (words(n) for _ in range(3))
    assert torch.equal(kernels.square_share(c, r, z, True), c * c - 2 * c * r + z)
    assert torch.equal(kernels.square_share(c, r, z, False, out=r.clone()), -2 * c * r + z)


@pytest.mark.parametrize("n", SIZES)
def test_bit_product_share(n: int) -> None:
    g, cg, beta, beta_rg = (words(n) for _ in range(4))
    plane, bit = planes(n)
    expected = bit * g + (1 - 2 * bit) * (cg * beta - beta_rg)
    assert torch.equal(kernels.bit_product_share(plane, g, cg, beta, beta_rg), expected)


@pytest.mark.parametrize("n", SIZES)
def test_bit_share(n: int) -> None:
    beta = words(n)
    plane, bit = planes(n)
    assert torch.equal(kernels.bit_share(plane, beta, True), bit + (1 - 2 * bit) * beta)
    assert torch.equal(kernels.bit_share(plane, beta, False), (1 - 2 * bit) * beta)


def test_extreme_words_and_shapes() -> None:
    extremes = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 2**32, 2**32 - 1, -(2**32)])
    a, b = extremes.repeat(8, 1), extremes.repeat(8, 1).t().contiguous()
    expected = a * b - b * b + a
    result = kernels.product_share(a, b, b, b, a)
    assert result.shape == (8, 8)
    assert torch.equal(result, expected)


def test_threads_do_not_change_the_result() -> None:
    n = 200_003
    c, r, z = (words(n) for _ in range(3))
    plane, _ = planes(n)
    assert same_on_one_and_two_threads(lambda: kernels.square_share(c, r, z, True))
    assert same_on_one_and_two_threads(lambda: kernels.bit_product_share(plane, c, r, z, c))


def test_bad_arguments() -> None:
    a = words(130)
    plane, _ = planes(130)
    with pytest.raises(TypeError, match="`rx`"):
        kernels.product_share(a, a, a.double(), a, a)
    with pytest.raises(ValueError, match="`cy` must have shape"):
        kernels.product_share(a, a, a, a[1:], a)
    with pytest.raises(ValueError, match="`z` must be contiguous"):
        kernels.square_share(a[:65], a[:65], a[::2], True)
    with pytest.raises(ValueError, match="`out` must have shape"):
        kernels.square_share(a, a, a, True, out=a[1:])
    with pytest.raises(ValueError, match="`plane` holds 2 words"):
        kernels.bit_share(plane[:2], a, True)
    with pytest.raises(TypeError, match="`plane`"):
        kernels.bit_share(plane.bool(), a, True)


@pytest.mark.parametrize("n", SIZES)
def test_join(n: int) -> None:
    """Messages at any address, to the whole value or a stretch of it."""
    value, message = words(n), words(n)
    sent = memoryview(b"?" + bytes(message.untyped_storage()))[1:]
    total, mixed = value.clone(), value.clone()
    kernels.join(total, sent, add=True)
    kernels.join(mixed, sent, add=False)
    assert torch.equal(total, value + message) and torch.equal(mixed, value ^ message)
    wider = torch.zeros(2, n + 3, dtype=torch.int64)
    kernels.join(wider, sent, n + 5, add=True)
    flat = wider.view(-1)
    assert torch.equal(flat[n + 5 : 2 * n + 5], message) and not flat[: n + 5].any()


def test_join_refuses_what_does_not_fit() -> None:
    total = torch.zeros(4, dtype=torch.int64)
    for size, first in ((40, 0), (8, 4), (12, 0), (8, -1)):
        with pytest.raises(ValueError, match=f"of {size} bytes does not fit at word {first} of 4"):
            kernels.join(total, memoryview(bytes(size)), first, add=True)
    with pytest.raises(ValueError, match="`total` must be contiguous"):
        kernels.join(torch.zeros(4, 2, dtype=torch.int64).t(), memoryview(bytes(8)), add=True)
    with pytest.raises(TypeError, match="`total` must be an int64 tensor"):
        kernels.join(torch.zeros(4), memoryview(bytes(8)), add=True)
    assert not total.any()
