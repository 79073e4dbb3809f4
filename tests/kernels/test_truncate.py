"""Truncation kernels against plain integers: error sets, bias, edges, every instruction set."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mpctensor import kernels
from tests.twins import truncation as twin
from tests.twins.planes import bits_of

LENGTHS = [0, 1, 63, 64, 65, 127, 128, 129, 4097]
EDGES = [
    0, 1, -1, 2**16 - 1, 2**16, 2**16 + 1, 1 - 2**16, -(2**16), -(2**16) - 1, 2**40, -(2**40),
    2**62 - 1, 2**62 - 2, -(2**62), 1 - 2**62,
]  # fmt: skip
SHIFTS = [1, 16, 38, 62]
DIVISORS = [2, 3, 10, 1000, 10**6, 10**9, 2**31 + 11, 2**32, 10**15, 2**61 - 1, 2**62 - 1]
KEYS = (bytes(range(16)), bytes(range(16, 32)))
WRAP_BITS, PRODUCT, COINS, DEALT, INPUT = 5, 6, 7, 8, 99


def secrets(n: int) -> Tensor:
    """Edges, then values of all magnitudes below 2^62."""
    z = torch.randint(-(2**62), 2**62, (n,)) >> torch.randint(0, 62, (n,))
    z[: len(EDGES)] = torch.tensor(EDGES)[:n]
    return z


def shares(z: Tensor) -> tuple[Tensor, Tensor]:
    first = kernels.prg(KEYS[0], INPUT, 0, z.numel())
    return first, z - first


def by_wrap_bit(z: Tensor, offset: int, finish: Callable[..., Tensor]) -> Tensor:
    """Both parties and the provider; finish(x, party, e0, e1, own, product) is the last step."""
    n, x = z.numel(), shares(z)
    bits = [(key, WRAP_BITS) for key in KEYS]
    planes = [kernels.prg_bundle(key, WRAP_BITS, 1, n)[0] for key in KEYS]
    product = [(KEYS[0], PRODUCT), kernels.wrap_deal(*planes, n, KEYS[0], PRODUCT)]
    e = [kernels.wrap_open(x[p], offset if p == 0 else 0, bits[p]) for p in (0, 1)]
    return sum(finish(x[p], p, *e, bits[p], product[p]) for p in (0, 1))


def wrap_shift(z: Tensor, f: int) -> Tensor:
    return by_wrap_bit(z, 2**62, lambda *args: kernels.wrap_shift(*args, f))


def near(d: int) -> int:
    """The multiple of d nearest to 2^62."""
    return (2**62 + d // 2) // d * d


def wrap_divide(z: Tensor, d: int) -> Tensor:
    coins = kernels.prg(KEYS[1], COINS, 0, z.numel())
    return by_wrap_bit(z, near(d), lambda *args: kernels.wrap_divide(*args, d, coins))


def by_opening(
    z: Tensor, parties: int, divisor: int,
    deal: Callable[..., tuple[Tensor, Tensor]], finish: Callable[..., Tensor],
) -> Tensor:  # fmt: skip
    keys = [bytes([p + 1] * 16) for p in range(parties)]
    r = kernels.prg(b"".join(keys), INPUT, 0, z.numel())
    dealt = deal(r, divisor, b"".join(keys[:-1]), DEALT)
    values = [((key, DEALT), (key, DEALT + 1)) for key in keys[:-1]] + [dealt]
    return sum(finish(z + r, *values[p], divisor, p == 0) for p in range(parties))


def open_shift(z: Tensor, f: int, parties: int = 2) -> Tensor:
    return by_opening(z, parties, f, kernels.open_shift_deal, kernels.open_shift)


def open_divide(z: Tensor, d: int, parties: int = 2) -> Tensor:
    return by_opening(z, parties, d, kernels.open_divide_deal, kernels.open_divide)


def errors(out: Tensor, z: Tensor, d: int) -> set[int]:
    return set((out - torch.div(z, d, rounding_mode="floor")).tolist())


@pytest.mark.parametrize("n", LENGTHS)
def test_shift(each_isa: str, n: int) -> None:
    z = secrets(n)
    for f in SHIFTS:
        for out in (wrap_shift(z, f), open_shift(z, f), open_shift(z, f, 3)):
            assert errors(out, z, 2**f) <= {0, 1}
            assert not out[z == 0].any()


@pytest.mark.parametrize("n", LENGTHS)
def test_divide(each_isa: str, n: int) -> None:
    for d in DIVISORS:
        z = secrets(n).clamp(d - 2**62, 2**62 - 1 - d)
        assert errors(wrap_divide(z, d), z, d) <= {-1, 0, 1, 2}
        for parties in (2, 3):
            assert errors(open_divide(z, d, parties), z, d) <= {0, 1}


def test_zero_stays_zero() -> None:
    zeros = torch.zeros(100_000, dtype=torch.int64)
    assert not wrap_shift(zeros, 16).any()
    assert not open_shift(zeros, 16).any()
    assert not open_shift(zeros, 16, 3).any()
    for d in (10, 10**6):
        assert not open_divide(zeros, d).any()


def test_exact_multiples_stay_exact() -> None:
    """Rounding is stochastic, but a value with no fraction has nothing to round."""
    whole = torch.randint(-(2**40), 2**40, (20_000,))
    assert torch.equal(wrap_shift(whole << 16, 16), whole)
    assert torch.equal(open_shift(whole << 16, 16), whole)


@pytest.mark.parametrize("d", [2**16, 10, 1000])
def test_unbiased(d: int) -> None:
    """The mean error, in units, lies within six standard deviations of zero."""
    z = torch.randint(-(2**40), 2**40, (400_000,))
    if d & (d - 1) == 0:
        results = [wrap_shift(z, d.bit_length() - 1), open_shift(z, d.bit_length() - 1)]
    else:
        results = [wrap_divide(z, d), open_divide(z, d)]
    for out in results:
        floor = torch.div(z, d, rounding_mode="floor")
        error = (out - floor).double() - (z - floor * d).double() / d
        assert abs(error.mean().item()) < 6 * error.std().item() / len(z) ** 0.5


def test_rare_errors_of_division_by_the_wrap_bit() -> None:
    z = torch.randint(-(2**61), 2**61, (200_000,))
    error = wrap_divide(z, 10) - torch.div(z, 10, rounding_mode="floor")
    assert ((error < 0) | (error > 1)).double().mean() < 0.05


def test_only_the_low_bits_of_the_product_count() -> None:
    """The product may be dealt modulo 2^f."""
    z, f = secrets(500), 16
    x, n = shares(z), 500
    planes = [kernels.prg_bundle(key, WRAP_BITS, 1, n)[0] for key in KEYS]
    e = [kernels.wrap_open(x[p], 2**62 if p == 0 else 0, planes[p]) for p in (0, 1)]
    product = kernels.prg(KEYS[0], PRODUCT, 0, n)
    out = kernels.wrap_shift(x[0], 0, *e, planes[0], product, f)
    assert torch.equal(out, kernels.wrap_shift(x[0], 0, *e, planes[0], product & (2**f - 1), f))


def everything(n: int) -> list[Tensor]:
    torch.manual_seed(5)
    z = secrets(n)
    out = [t for f in SHIFTS for t in (wrap_shift(z, f), open_shift(z, f))]
    return out + [t for d in DIVISORS for t in (wrap_divide(z, d), open_divide(z, d))]


@pytest.mark.parametrize("n", [*LENGTHS, 20_000])
def test_instruction_sets_agree(each_isa: str, n: int) -> None:
    here = everything(n)
    kernels.force_isa("portable")
    assert all(torch.equal(a, b) for a, b in zip(here, everything(n), strict=True))


@pytest.mark.parametrize("f", SHIFTS)
def test_bit_for_bit_with_the_twin(each_isa: str, f: int) -> None:
    n, ring = 300, twin.Ring(64)
    z = secrets(n)
    x = [part.numpy().view(np.uint64) for part in shares(z)]
    bits = [bits_of(kernels.prg_bundle(key, WRAP_BITS, 1, n), 1, n)[0] for key in KEYS]
    e = [twin.wrap_message(ring, x[p], bits[p], p) for p in (0, 1)]
    first = kernels.prg(KEYS[0], PRODUCT, 0, n).numpy().view(np.uint64)
    products = [first, twin.wrap_correction(ring, *bits, first)]
    parts = [twin.wrap_finish(ring, x[p], p, *e, bits[p], products[p], f) for p in (0, 1)]
    assert np.array_equal(wrap_shift(z, f).numpy().view(np.uint64), parts[0] + parts[1])
    r = kernels.prg(bytes([1] * 16 + [2] * 16), INPUT, 0, n).numpy().view(np.uint64)
    values = twin.open_values(ring, r, f)
    parts = twin.open_finish(ring, z.numpy().view(np.uint64) + r, *values, f, True)
    assert np.array_equal(open_shift(z, f).numpy().view(np.uint64), parts)


def test_threads_do_not_change_the_result() -> None:
    threads = torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(everything(100_000))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_quotients_of_extreme_masks(each_isa: str) -> None:
    """What is dealt for a division, for masks at every edge of the ring."""
    around = [-(2**63), -(2**62), -(2**32), 0, 2**32, 2**62, 2**63 - 1]
    for d in DIVISORS:
        edges = {min(max(e + s, -(2**63)), 2**63 - 1) for e in around for s in (-d, -1, 0, 1, d)}
        r = torch.tensor(sorted(edges))
        v1, v0 = kernels.open_divide_deal(r, d)
        assert v1.tolist() == [-((v % 2**64) // d) for v in r.tolist()]
        assert v0.tolist() == [-(v // d) for v in r.tolist()]


def test_bad_arguments() -> None:
    x, plane = torch.zeros(70, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    own, product = (KEYS[0], 1), (KEYS[0], 2)
    for f in (0, 63):
        with pytest.raises(ValueError, match="`f`"):
            kernels.wrap_shift(x, 0, plane, plane, own, product, f)
        with pytest.raises(ValueError, match="`f`"):
            kernels.open_shift(x, x, x, f, True)
        with pytest.raises(ValueError, match="`f`"):
            kernels.open_shift_deal(x, f)
    for d in (1, 0, -3, 2**62):
        with pytest.raises(ValueError, match="`d`"):
            kernels.wrap_divide(x, 0, plane, plane, own, product, d, x)
        with pytest.raises(ValueError, match="`d`"):
            kernels.open_divide_deal(x, d)
        with pytest.raises(ValueError, match="`d`"):
            kernels.open_divide(x, x, x, d, True)
    with pytest.raises(ValueError, match="`party`"):
        kernels.wrap_shift(x, 2, plane, plane, own, product, 16)
    with pytest.raises(ValueError, match="`e1`"):
        kernels.wrap_shift(x, 0, plane, x, own, product, 16)
    with pytest.raises(ValueError, match="`product`"):
        kernels.wrap_shift(x, 0, plane, plane, own, x[1:], 16)
    with pytest.raises(ValueError, match="`coins`"):
        kernels.wrap_divide(x, 0, plane, plane, own, product, 10, x[1:])
    with pytest.raises(TypeError, match="`x`"):
        kernels.wrap_open(x.to(torch.int32), 0, own)
    with pytest.raises(ValueError, match="`offset`"):
        kernels.wrap_open(x, -1, own)
    with pytest.raises(ValueError, match="`mask`"):
        kernels.wrap_open(x, 0, x)
    with pytest.raises(ValueError, match="`a`"):
        kernels.wrap_deal(plane[:1], plane, 70, KEYS[0], 1)
