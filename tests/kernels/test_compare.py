"""Comparison kernels: against plain integers, against the plain twin, and set against set."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mpctensor import kernels
from tests.kernels.compare_chain import MASKS, MONOMIALS, OUTCOME, ROWS, VALUES, Chain
from tests.twins import comparison as twin
from tests.twins.planes import bits_of, plane_of

LENGTHS = [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 4097]
EDGES = [
    0, 1, -1, 2, -2, 15, 16, -16, -17, 2**16 - 1, 2**16, -(2**16), 1 - 2**16, -(2**16) - 1, 2**32,
    -(2**32), 2**62 - 1, 2**62, -(2**62), -(2**62) - 1, 2**63 - 1, 2**63 - 2, -(2**63), 1 - 2**63,
]  # fmt: skip
KEY = bytes(range(16))
TWINS = {
    kernels.LESS: twin.ORDER_64,
    kernels.EQUAL: twin.EQUALITY_64,
    kernels.LESS_WIDE: twin.ORDER_64_WIDE,
    kernels.EQUAL_WIDE: twin.EQUALITY_64_WIDE,
}
NAMES = {
    kernels.LESS: "less",
    kernels.EQUAL: "equal",
    kernels.LESS_WIDE: "less wide",
    kernels.EQUAL_WIDE: "equal wide",
}


def of_digits(*cases: kernels.Digits) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("digits", cases, ids=[NAMES[case] for case in cases])


def secrets(n: int) -> Tensor:
    """Edge values, then values of every magnitude."""
    x = torch.randint(-(2**63), 2**63 - 1, (n,)) >> torch.randint(0, 64, (n,))
    x[: len(EDGES)] = torch.tensor(EDGES)[:n]
    return x


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("n", LENGTHS)
@of_digits(kernels.LESS, kernels.LESS_WIDE)
def test_less_than_and_relu(each_isa: str, digits: kernels.Digits, n: int, parties: int) -> None:
    x = secrets(n)
    chain = Chain(x, parties, digits)
    assert torch.equal(chain.bit(chain.hat()), (x < 0).long())
    hat = chain.hat(flip=True)
    assert torch.equal(chain.bit(hat), (x >= 0).long())
    assert torch.equal(chain.select(hat), x.clamp(min=0))


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("f", [1, 16, 38, 62])
def test_fused_truncation(each_isa: str, f: int, parties: int) -> None:
    for n in (1, 65, 5000):
        x = secrets(n)
        chain = Chain(x, parties)
        out = chain.select_shift(chain.hat(flip=True), f)
        error = out - (x.clamp(min=0) >> f)
        assert set(error.tolist()) <= {0, 1}
        assert not out[x <= 0].any()


def test_fused_truncation_is_unbiased() -> None:
    x = torch.full((200_000,), 3 << 14)  # three quarters of a unit
    chain = Chain(x, 2)
    mean = chain.select_shift(chain.hat(flip=True), 16).double().mean().item()
    assert abs(mean - 0.75) < 6 * 0.001  # six standard deviations


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("n", LENGTHS)
@of_digits(kernels.EQUAL, kernels.EQUAL_WIDE)
def test_equality(each_isa: str, digits: kernels.Digits, n: int, parties: int) -> None:
    x = secrets(n)
    chain = Chain(x, parties, digits)
    assert torch.equal(chain.bit(chain.hat()), (x == 0).long())
    one_bit = Chain(torch.ones(64, dtype=torch.int64) << torch.arange(64), parties, digits)
    assert not one_bit.bit(one_bit.hat()).any()


@pytest.mark.parametrize("threshold", [1, -1, 2**40 + 3, -(2**62)])
@of_digits(kernels.LESS, kernels.LESS_WIDE)
def test_threshold(each_isa: str, digits: kernels.Digits, threshold: int) -> None:
    x = secrets(700) >> 1
    chain = Chain(x, 2, digits, threshold=threshold)
    assert torch.equal(chain.bit(chain.hat(flip=True)), (x >= threshold).long())


def bundle(key: bytes, stream: int, planes: int, n: int) -> np.ndarray:
    return bits_of(kernels.prg_bundle(key, stream, planes, n), planes, n)


def twin_shares(chain: Chain, structure: twin.Structure) -> tuple[list[twin.Dealt], np.ndarray]:
    """The parties' shares as the twin wants them, from the same PRG words; and beta."""
    n, last = chain.n, chain.parties - 1
    r = chain.r.numpy().view(np.uint64)

    def shared(value: np.ndarray, stream: int) -> list[np.ndarray]:
        shares = [bundle(key, stream, len(value), n) for key in chain.keys[:last]]
        return [*shares, twin.xor([value, *shares])]

    rows = shared(twin.rows(structure, r), ROWS)
    masks, monomials = [], []
    for level in range(len(structure.levels)):
        mask, stream = MASKS[level], MONOMIALS[level]
        planes = sum(len(group.opened) for group in structure.groups(level))
        masks.append([bundle(key, mask, planes, n) for key in chain.keys])
        monomials.append(shared(twin.monomials(structure, level, twin.xor(masks[-1])), stream))
    outcome = [bundle(key, OUTCOME, 1, n) for key in chain.keys]
    by_party = zip(
        rows, zip(*masks, strict=True), zip(*monomials, strict=True), outcome, strict=True
    )
    dealt = [twin.Dealt(*shares) for shares in by_party]
    return dealt, twin.beta(structure, r, twin.xor(outcome))


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("n", [1, 65, 1100])
@of_digits(*TWINS)
def test_bit_for_bit_with_the_twin(
    each_isa: str, digits: kernels.Digits, n: int, parties: int
) -> None:
    structure = TWINS[digits]
    chain = Chain(secrets(n), parties, digits)
    hat = chain.hat()
    dealt, beta = twin_shares(chain, structure)
    corrections = (dealt[-1].rows, *dealt[-1].monomials)
    for value, expected in zip(chain.dealt.values(), corrections, strict=True):
        assert np.array_equal(bits_of(value, len(expected), n), expected)
    c = chain.c.numpy().view(np.uint64)
    rounds = twin.run(structure, c, dealt)
    for messages, expected_messages in zip(chain.messages, rounds, strict=True):
        for message, expected in zip(messages, expected_messages, strict=True):
            assert np.array_equal(bits_of(message, len(expected), n), expected)
    expected_hat = twin.bit_hat(structure, c, twin.xor(rounds[-1]))
    assert np.array_equal(bits_of(hat, 1, n)[0], expected_hat)
    assert np.array_equal(bits_of(chain.beta, 1, n)[0], beta)


@of_digits(*TWINS)
def test_planes_are_counted(digits: kernels.Digits) -> None:
    structure = TWINS[digits]
    levels = [structure.groups(level) for level in range(len(structure.levels))]
    assert digits.rows == sum((1 << width) - 1 for width in structure.widths)
    opened = [sum(len(group.opened) for group in groups) for groups in levels]
    assert digits.messages == (*opened, 1) and digits.merges == len(levels)
    assert digits.monomials == tuple(sum(len(g.monomials) for g in groups) for groups in levels)


def everything(n: int) -> list[Tensor]:
    """All that the kernels write, of every kind of comparison."""
    torch.manual_seed(3)
    out = []
    for digits in TWINS:
        chain = Chain(secrets(n), 2, digits)
        hat = chain.hat()
        out += [hat, chain.select(hat), chain.select_shift(hat, 16), chain.beta]
        out += chain.dealt.values()
        out += [message for messages in chain.messages for message in messages]
    return out


@pytest.mark.parametrize("n", [*LENGTHS, 20_000])
def test_instruction_sets_agree(each_isa: str, n: int) -> None:
    here = everything(n)
    kernels.force_isa("portable")
    assert all(torch.equal(a, b) for a, b in zip(here, everything(n), strict=True))


def test_threads_do_not_change_the_result() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = everything(70_000)
    torch.set_num_threads(3)
    three = everything(70_000)
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("n", LENGTHS)
def test_bits_to_words_and_back(each_isa: str, n: int) -> None:
    bits = torch.randint(0, 2, (n,))
    plane = kernels.pack(bits)
    assert torch.equal(plane, plane_of(bits.numpy().astype(np.uint8)))
    assert torch.equal(kernels.bit_values(plane, n), bits)
    dealt = kernels.bit_values(plane, n, KEY, 4)
    assert torch.equal(dealt + kernels.prg(KEY, 4, 0, n), bits)


def test_dealt_values() -> None:
    n = 1500
    chain = Chain(secrets(n), 3)
    beta, r, f = kernels.bit_values(chain.beta, n), chain.r, 20
    rho, mu = (r >> f) & (2 ** (64 - f) - 1), (r < 0).long()
    streams = [sum(kernels.prg(key, VALUES + i, 0, n) for key in chain.keys[:-1]) for i in range(5)]
    dealt = kernels.select_deal(chain.beta, r, chain.others, VALUES)
    for i, value in enumerate((beta, beta * r)):
        assert torch.equal(dealt[i] + streams[i], value)
    dealt = kernels.relu_shift_deal(chain.beta, r, f, chain.others, VALUES)
    for i, value in enumerate((beta, rho, beta * rho, mu, beta * mu)):
        assert torch.equal(dealt[i] + streams[i], value)


def test_sources_in_memory_and_from_the_prg() -> None:
    n = 1100
    c = secrets(n)
    rows = kernels.prg_bundle(KEY, ROWS, 232, n)
    from_memory = kernels.lookup(kernels.LESS, c, rows, KEY, 1, True)
    from_stream = kernels.lookup(kernels.LESS, c, (KEY, ROWS), KEY, 1, True)
    assert all(torch.equal(a, b) for a, b in zip(from_memory, from_stream, strict=True))
    plane = kernels.prg_bundle(KEY, 9, 1, n)[0]
    words = [kernels.prg(KEY, i, 0, n) for i in range(5)]
    streams = [(KEY, i) for i in range(5)]
    for f in (1, 62):
        assert torch.equal(
            kernels.select_shift_share(plane, c, f, *words, True),
            kernels.select_shift_share(plane, c, f, *streams, True),
        )


@pytest.mark.parametrize("threshold", [1, -(2**40), 2**63 - 1])
@pytest.mark.parametrize("n", [1, 65, 1024, 1100])
def test_a_threshold_is_taken_off_before(each_isa: str, n: int, threshold: int) -> None:
    c = secrets(n)
    for digits in TWINS:
        lowered = kernels.lookup(digits, c, (KEY, ROWS), KEY, 1, True, threshold)
        expected = kernels.lookup(digits, c - threshold, (KEY, ROWS), KEY, 1, True)
        assert all(torch.equal(a, b) for a, b in zip(lowered, expected, strict=True))
    opened = kernels.prg_bundle(KEY, 9, 1, n)
    for flip in (False, True):
        hat = kernels.bit_hat(c, opened, flip, threshold)
        assert torch.equal(hat, kernels.bit_hat(c - threshold, opened, flip))


def test_bad_arguments() -> None:
    c, plane = torch.zeros(100, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match="`c`"):
        kernels.lookup(kernels.LESS, c.float(), (KEY, 0), KEY, 1, True)
    with pytest.raises(ValueError, match="`rows`"):
        kernels.lookup(kernels.LESS, c, c, KEY, 1, True)
    with pytest.raises(ValueError, match="`key`"):
        kernels.lookup(kernels.LESS, c, (KEY, 0), KEY + KEY, 1, True)
    for digits in TWINS:
        for level in (0, digits.merges + 1):
            with pytest.raises(ValueError, match="`level`"):
                kernels.merge_deal(digits, level, 100, KEY, 1, KEY, 2)
    opened = torch.zeros(27, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="`tops`"):
        kernels.merge(kernels.LESS, 1, 100, opened, opened[:3], KEY, 1, (KEY, 2), 3, True)
    with pytest.raises(ValueError, match="`opened`"):
        kernels.merge(kernels.LESS, 1, 100, opened[1:], opened[:4], KEY, 1, (KEY, 2), 3, True)
    with pytest.raises(ValueError, match="`monomials`"):
        kernels.merge(kernels.LESS, 1, 100, opened, opened[:4], KEY, 1, opened, 3, True)
    with pytest.raises(ValueError, match="`f`"):
        kernels.relu_shift_deal(plane, c, 0, KEY, 1)
    with pytest.raises(ValueError, match="`f`"):
        kernels.select_shift_share(plane, c, 63, c, c, c, c, c, True)
    with pytest.raises(ValueError, match="`plane`"):
        kernels.select_share(c, c, c, c, c, True)
    with pytest.raises(ValueError, match="`plane`"):
        kernels.bit_values(plane, 129)
    with pytest.raises(ValueError, match="`beta_r`"):
        kernels.select_share(plane, c, c, c, c[1:], True)
