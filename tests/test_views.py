"""Views: what all parties but one see together is uniform, whatever the secret.

In rings of 2 to 4 bits the honest party's randomness is enumerated completely; the others' is
drawn. A view is what reaches the others: the honest party's messages, and the corrections dealt to
the last party if that is another. If every view occurs equally often for every secret, nothing is
learned. Controls break one rule each and must be caught.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from tests.twins import comparison, truncation
from tests.twins.comparison import Structure, xor
from tests.twins.enumeration import Bits, Elements, Spec, World, is_uniform, leaks, to_bits

TINY = Structure(2, (1,), ())  # one digit, no merge
MERGED = Structure(3, (1, 1), ((2,),))  # two digits, one merge
WIDE = Structure(4, (1, 1, 1), ((3,),))  # three digits in one merge, as nine are in "wan" sessions
WIDE_EQUAL = Structure(3, (1, 1, 1), ((3,),), order=False)
COALITIONS = [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]  # parties, the honest one


def draws() -> Iterator[int]:
    return iter(range(4))


# --- Comparison, and what is selected by its bit


def comparison_spec(structure: Structure, thresholds: int, values: bool) -> tuple[Spec, Spec]:
    own, dealt = {"r": structure.ring_bits}, {"rows": sum((1 << w) - 1 for w in structure.widths)}
    for t in range(thresholds):
        own[f"outcome {t}"] = 1
        for level in range(len(structure.levels)):
            groups = structure.groups(level)
            own[f"masks {t} {level}"] = sum(len(group.opened) for group in groups)
            dealt[f"monomials {t} {level}"] = sum(len(group.monomials) for group in groups)
        if values:
            dealt |= {f"beta {t}": structure.ring_bits, f"beta r {t}": structure.ring_bits}
    return own, dealt


def comparison_view(
    world: World, structure: Structure, x: list[Elements], thresholds: tuple[int, ...],
    values: bool, fault: str = "",
) -> list[Bits]:  # fmt: skip
    """Opening of c, rows, and one comparison a threshold on the same c and rows."""
    k = structure.ring_bits
    ring = np.uint64((1 << k) - 1)
    masks = world.elements("r")
    r, c = sum(masks) & ring, (sum(x) + sum(masks)) & ring
    rows, view = world.dealt("rows", comparison.rows(structure, r))
    view.append(to_bits(x[world.honest] + masks[world.honest], k))
    for t, threshold in enumerate(thresholds):
        fresh = 0 if fault == "masks reused" else t
        shifted = (c - np.uint64(threshold % (1 << k))) & ring
        view += _one_threshold(world, structure, shifted, r, rows, (t, fresh), values, fault)
    return view


def shares_by_party(
    rows: list[Bits], masks: list[list[Bits]], monomials: list[list[Bits]], outcome: list[Bits]
) -> list[comparison.Dealt]:
    """masks, monomials: by level, then party."""
    return [
        comparison.Dealt(rows[p], tuple(m[p] for m in masks), tuple(m[p] for m in monomials), mask)
        for p, mask in enumerate(outcome)
    ]


def _one_threshold(
    world: World, structure: Structure, c: Elements, r: Elements, rows: list[Bits],
    which: tuple[int, int], values: bool, fault: str,
) -> list[Bits]:  # fmt: skip
    t, fresh = which
    view: list[Bits] = []
    outcome = world.each(f"outcome {fresh}")
    if fault == "no outcome mask":
        outcome = [0 * mask for mask in outcome]
    masks = [world.each(f"masks {fresh} {level}") for level in range(len(structure.levels))]
    monomials = []
    for level, parts in enumerate(masks):
        dealt = comparison.monomials(structure, level, xor(parts))
        shares, seen = world.dealt(f"monomials {t} {level}", dealt)
        monomials.append(shares)
        view += seen
    rounds = comparison.run(structure, c, shares_by_party(rows, masks, monomials, outcome))
    view += [messages[world.honest] for messages in rounds]
    beta = comparison.beta(structure, r, xor(outcome)).astype(np.uint64)
    if values:
        view += world.dealt_sum(f"beta {t}", beta, structure.ring_bits)
        view += world.dealt_sum(f"beta r {t}", beta * r, structure.ring_bits)
    return view


@pytest.mark.parametrize("parties, honest", COALITIONS)
@pytest.mark.parametrize("structure", [TINY, MERGED], ids=["one digit", "merged"])
def test_relu(structure: Structure, parties: int, honest: int) -> None:
    own, dealt = comparison_spec(structure, 1, True)
    for draw in draws():
        world = World.make(parties, honest, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            x = world.inputs(secret, structure.ring_bits, draw)
            return comparison_view(world, structure, x, (0,), True)

        assert is_uniform(view, range(1 << structure.ring_bits))


@pytest.mark.parametrize("parties, honest", COALITIONS)
@pytest.mark.parametrize("structure", [WIDE, WIDE_EQUAL], ids=["order", "equality"])
def test_one_merge_of_many_digits(structure: Structure, parties: int, honest: int) -> None:
    own, dealt = comparison_spec(structure, 1, False)
    for draw in range(2):
        world = World.make(parties, honest, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            x = world.inputs(secret, structure.ring_bits, draw)
            return comparison_view(world, structure, x, (0,), False)

        assert is_uniform(view, range(1 << structure.ring_bits))


@pytest.mark.parametrize("parties, honest", COALITIONS)
def test_two_thresholds_on_one_opening(parties: int, honest: int) -> None:
    own, dealt = comparison_spec(MERGED, 2, False)
    for draw, threshold in product(draws(), (1, 3, 6)):
        world = World.make(parties, honest, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            return comparison_view(
                world, MERGED, world.inputs(secret, 3, draw), (0, threshold), False
            )

        assert is_uniform(view, range(8))


@pytest.mark.parametrize("fault", ["masks reused", "no outcome mask"])
def test_control_of_comparison(fault: str) -> None:
    own, dealt = comparison_spec(MERGED, 2, False)
    caught = []
    for draw in draws():
        world = World.make(2, 0, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            x = world.inputs(secret, 3, draw)
            return comparison_view(world, MERGED, x, (0, 3), False, fault)

        caught.append(leaks(view, range(8)))
    assert any(caught)


@pytest.mark.parametrize("parties, honest", COALITIONS)
def test_equality(parties: int, honest: int) -> None:
    structure = Structure(2, (1, 1), ((2,),), order=False)
    own, dealt = comparison_spec(structure, 1, True)
    for draw in draws():
        world = World.make(parties, honest, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            x = world.inputs(secret, 2, draw)
            return comparison_view(world, structure, x, (0,), True)

        assert is_uniform(view, range(4))


# --- Products and truncations, also on the opening of a comparison


def product_view(
    world: World, bits: int, x: list[Elements], y: list[Elements], fault: str = ""
) -> list[Bits]:
    """A Beaver product from the openings c_x = x + r, c_y = y + s."""
    r = world.elements("r")
    s = r if fault == "one mask for both" else world.elements("s")
    h = world.honest
    view = [to_bits(x[h] + r[h], bits), to_bits(y[h] + s[h], bits)]
    return view + world.dealt_sum("r s", sum(r) * sum(s), bits)


@pytest.mark.parametrize("parties, honest", COALITIONS)
def test_product(parties: int, honest: int) -> None:
    for draw in draws():
        world = World.make(parties, honest, {"r": 3, "s": 3}, {"r s": 3}, draw)

        def view(secret: int) -> list[Bits]:
            x, y = world.inputs(secret % 8, 3, draw), world.inputs(secret // 8, 3, draw + 9)
            return product_view(world, 3, x, y)

        assert is_uniform(view, range(64))


def test_control_of_product() -> None:
    world = World.make(2, 0, {"r": 3, "s": 3}, {"r s": 3}, 0)

    def view(secret: int) -> list[Bits]:
        x, y = world.inputs(1, 3), world.inputs(secret, 3)
        return product_view(world, 3, x, y, "one mask for both")

    assert leaks(view, range(8))


@pytest.mark.parametrize("parties, honest", COALITIONS)
def test_relu_truncation_and_product_on_one_opening(parties: int, honest: int) -> None:
    own, dealt = comparison_spec(TINY, 1, True)
    own |= {"s": 2}
    dealt |= {"r s": 2, "rho": 2, "mu": 1}
    for draw in draws():
        world = World.make(parties, honest, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            x, y = world.inputs(secret % 4, 2, draw), world.inputs(secret // 4, 2, draw + 9)
            r, s = sum(world.elements("r")) & np.uint64(3), sum(world.elements("s"))
            rho, mu = truncation.open_values(truncation.Ring(2), r, 1)
            out = comparison_view(world, TINY, x, (0,), True)
            out.append(to_bits(y[honest] + world.elements("s")[honest], 2))
            out += world.dealt_sum("rho", rho, 2) + world.dealt_sum("mu", mu, 1)
            return out + world.dealt_sum("r s", r * s, 2)

        assert is_uniform(view, range(16))


def wrap_view(
    world: World, ring: truncation.Ring, x: list[Elements], which: int, fault: str = ""
) -> list[Bits]:
    """Truncation by the wrap bit."""
    fresh = 0 if fault == "bit reused" else which
    a, b = (bit[0] for bit in world.each(f"bit {fresh}"))
    own = (a, b)[world.honest]
    view = [truncation.wrap_message(ring, x[world.honest], own, world.honest)[None]]
    return view + world.dealt_sum(f"product {which}", (a & b).astype(np.uint64), ring.bits)


@pytest.mark.parametrize("honest", [0, 1])
def test_truncation_by_the_wrap_bit(honest: int) -> None:
    ring = truncation.Ring(4)
    for draw in range(16):
        world = World.make(2, honest, {"bit 0": 1}, {"product 0": 4}, draw)

        def view(secret: int) -> list[Bits]:
            return wrap_view(world, ring, world.inputs(secret, 4, draw), 0)

        assert is_uniform(view, range(16))


def test_control_of_the_wrap_bit() -> None:
    ring, own, dealt = (
        truncation.Ring(4),
        {"bit 0": 1, "bit 1": 1},
        {"product 0": 4, "product 1": 4},
    )
    caught = []
    for draw in range(16):
        world = World.make(2, 0, own, dealt, draw)

        def view(secret: int) -> list[Bits]:
            one, other = world.inputs(1, 4, draw), world.inputs(secret, 4, draw)
            return wrap_view(world, ring, one, 0) + wrap_view(world, ring, other, 1, "bit reused")

        caught.append(leaks(view, range(16)))
    assert all(caught)


@pytest.mark.parametrize("parties, honest", COALITIONS)
def test_truncation_by_opening(parties: int, honest: int) -> None:
    ring = truncation.Ring(4)
    for draw in draws():
        world = World.make(parties, honest, {"r": 4}, {"rho": 4, "mu": 4}, draw)

        def view(secret: int) -> list[Bits]:
            x, masks = world.inputs(secret, 4, draw), world.elements("r")
            rho, mu = truncation.open_values(ring, ring.wrap(sum(masks)), 1)
            message = to_bits(x[honest] + masks[honest], 4)
            return [message, *world.dealt_sum("rho", rho, 4), *world.dealt_sum("mu", mu, 4)]

        assert is_uniform(view, range(16))


# --- The twins compute what they claim, for every secret and every mask of a tiny ring


@pytest.mark.parametrize("structure", [TINY, MERGED, WIDE], ids=["one digit", "merged", "wide"])
def test_comparison_is_right_in_tiny_rings(structure: Structure) -> None:
    k = structure.ring_bits
    own, dealt = comparison_spec(structure, 1, False)
    world = World.make(2, 0, own, dealt, 0)
    r = sum(world.elements("r")) & np.uint64((1 << k) - 1)
    rows = world.dealt("rows", comparison.rows(structure, r))[0]
    masks = [world.each(f"masks 0 {level}") for level in range(len(structure.levels))]
    monomials = [
        world.dealt(f"monomials 0 {level}", comparison.monomials(structure, level, xor(parts)))[0]
        for level, parts in enumerate(masks)
    ]
    outcome = world.each("outcome 0")
    shares = shares_by_party(rows, masks, monomials, outcome)
    for x in range(1 << k):
        c = (np.uint64(x) + r) & np.uint64((1 << k) - 1)
        opened = xor(comparison.run(structure, c, shares)[-1])
        bit = comparison.bit_hat(structure, c, opened) ^ comparison.beta(structure, r, xor(outcome))
        assert (bit == x >> k - 1).all()


@pytest.mark.parametrize("f", [1, 2, 3])
def test_truncation_is_right_in_tiny_rings(f: int) -> None:
    """Every z, every sharing, every bit: errors 0 or 1, and the mean error is 0."""
    ring, half = truncation.Ring(6), 1 << 4
    shares = np.tile(np.arange(64, dtype=np.uint64), 4)
    a, b = (np.repeat(bits, 64).astype(np.uint8) for bits in ([0, 0, 1, 1], [0, 1, 0, 1]))
    first = shares * np.uint64(37) & np.uint64(63)
    for z in range(-half, half):
        x = shares, ring.wrap(np.uint64(z % 64) - shares)
        e = [truncation.wrap_message(ring, x[p], (a, b)[p], p) for p in (0, 1)]
        dealt = first, truncation.wrap_correction(ring, a, b, first)
        wrap = sum(
            truncation.wrap_finish(ring, x[p], p, *e, (a, b)[p], dealt[p], f) for p in (0, 1)
        )
        c = ring.wrap(np.uint64(z % 64) + shares)
        opening = truncation.open_finish(ring, c, *truncation.open_values(ring, shares, f), f, True)
        for out in (wrap, opening):
            error = (ring.wrap(out).astype(np.int64) - (z >> f) + 32) % 64 - 32
            assert set(error.tolist()) <= {0, 1}
            assert error.mean() == (z % (1 << f)) / (1 << f)
