"""kernels.matmul against torch's int64 product, which wraps modulo 2^64 as the ring does."""

import pytest
import torch

from mpctensor import kernels
from tests.kernels.ring_reference import same_on_one_and_two_threads, words

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 33]

pytestmark = pytest.mark.usefixtures("each_isa")


@pytest.mark.parametrize("m", SIZES)
def test_every_edge(m: int) -> None:
    for n in SIZES:
        for k in [1, 2, 3, 10]:
            a, b = words(m, k), words(k, n)
            assert torch.equal(kernels.matmul(a, b), a @ b), (m, k, n)


@pytest.mark.parametrize(
    "m, k, n",
    [(1, 700, 300), (300, 700, 1), (3, 257, 5), (64, 784, 128), (130, 512, 70), (800, 40, 33),
     (5, 9, 1700), (1, 1, 2000), (2000, 1, 1), (65, 600, 1601),
     (16, 1100, 64), (17, 1025, 40), (64, 33, 16), (40, 37, 9)],
)  # fmt: skip
def test_block_borders(m: int, k: int, n: int) -> None:
    a, b = words(m, k), words(k, n)
    expected = a @ b
    assert torch.equal(kernels.matmul(a, b), expected)
    assert torch.equal(kernels.matmul(a.t().contiguous().t(), b), expected)
    assert torch.equal(kernels.matmul(a, b.t().contiguous().t()), expected)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    out = words(m, n)
    assert torch.equal(kernels.matmul(words(m, k), words(k, n)), torch.zeros_like(out))
    kept = kernels.matmul(words(m, k), words(k, n), out.clone(), accumulate=True)
    assert torch.equal(kept, out)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("negate", [False, True])
def test_accumulate_and_negate(accumulate: bool, negate: bool) -> None:
    for m, k, n in [(3, 5, 2), (17, 300, 19)]:
        a, b, out = words(m, k), words(k, n), words(m, n)
        expected = (out if accumulate else 0) + (-(a @ b) if negate else a @ b)
        result = kernels.matmul(a, b, out, accumulate=accumulate, negate=negate)
        assert result is out
        assert torch.equal(out, expected)


def test_strided_operands() -> None:
    a, b = words(40, 30)[1::3, ::2], words(45, 50)[::3, 4:29:3]
    assert torch.equal(kernels.matmul(a, b), a @ b)
    a, b = words(9, 6, 5).permute(2, 1, 0), words(9, 4, 5).permute(2, 0, 1)
    assert torch.equal(kernels.matmul(a, b), a @ b)
    ones = torch.ones(1, 1, dtype=torch.int64).expand(7, 30)
    assert torch.equal(kernels.matmul(ones, words(30, 4).fill_(3)), torch.full((7, 4), 90))


@pytest.mark.parametrize(
    "a_shape, b_shape",
    [((3, 4, 5), (3, 5, 6)), ((3, 4, 5), (5, 6)), ((4, 5), (3, 5, 6)), ((2, 1, 4, 5), (3, 5, 6)),
     ((2, 3, 4, 5), (2, 3, 5, 1)), ((1, 4, 5), (1, 5, 6)), ((0, 4, 5), (5, 6)),
     ((12, 2, 16, 8), (12, 2, 8, 16))],
)  # fmt: skip
def test_batches(a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> None:
    a, b = words(*a_shape), words(*b_shape)
    assert torch.equal(kernels.matmul(a, b), a @ b)


@pytest.mark.parametrize(
    "a_shape, b_shape",
    [((200, 600), (600, 150)), ((200, 600), (6, 600, 40)), ((3, 900), (900, 700)),
     ((5, 60, 70), (5, 70, 80))],
)  # fmt: skip
def test_threads_do_not_change_the_result(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...]
) -> None:
    a, b = words(*a_shape), words(*b_shape)
    assert torch.equal(kernels.matmul(a, b), a @ b)
    assert same_on_one_and_two_threads(lambda: kernels.matmul(a, b))


@pytest.mark.parametrize("m, k, n", [(640, 640, 640), (641, 643, 645), (642, 1302, 646)])
def test_products_by_quadrants(m: int, k: int, n: int) -> None:
    a, b, out = words(m, k), words(k, n), words(m, n)
    expected = a @ b
    assert torch.equal(kernels.matmul(a, b), expected)
    update = kernels.matmul(a, b, out.clone(), accumulate=True, negate=True)
    assert torch.equal(update, out - expected)
    assert same_on_one_and_two_threads(lambda: kernels.matmul(a, b))


def test_products_by_quadrants_of_strided_operands() -> None:
    a, b = words(2, 650, 660).transpose(1, 2)[:, 4:], words(1301, 700)[::2, 20:]
    out = words(2, 656, 680)
    expected = a @ b[:650]
    assert torch.equal(kernels.matmul(a, b[:650], out, negate=True), -expected)
    assert torch.equal(kernels.matmul(a, b[:650].t().contiguous().t()), expected)
    pair = torch.stack([b[:650], b[1:]])
    assert torch.equal(kernels.matmul(a, pair), a @ pair)


def test_extreme_words() -> None:
    extremes = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 2**32, 2**32 - 1, -(2**32)])
    a = extremes.repeat(8, 1) + torch.arange(8)[:, None]
    assert torch.equal(kernels.matmul(a, a.t()), a @ a.t())


def test_bad_arguments() -> None:
    a, b = words(3, 4), words(4, 5)
    with pytest.raises(TypeError, match="`a`"):
        kernels.matmul(a.double(), b)
    with pytest.raises(TypeError, match="`b`"):
        kernels.matmul(a, [[1]])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`a` and `b`"):
        kernels.matmul(a, a)
    with pytest.raises(ValueError, match="`a` and `b`"):
        kernels.matmul(a[0], b)
    with pytest.raises(ValueError, match="do not broadcast"):
        kernels.matmul(a.expand(2, 3, 4), b.expand(3, 4, 5))
    with pytest.raises(ValueError, match="`out` must have shape"):
        kernels.matmul(a, b, words(3, 4))
    with pytest.raises(ValueError, match="`out` must be contiguous"):
        kernels.matmul(a, b, words(5, 3).t())
    with pytest.raises(TypeError, match="`out`"):
        kernels.matmul(a, b, torch.empty(3, 5))
    with pytest.raises(ValueError, match="`accumulate` needs `out`"):
        kernels.matmul(a, b, accumulate=True)
