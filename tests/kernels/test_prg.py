"""The PRG: known answers, every implementation, every start and length."""

import pytest
import torch
from torch import Tensor

from mpctensor import kernels
from mpctensor.kernels.prg import aes_blocks

IMPLEMENTATIONS = ["portable", "aes-ni", "vaes-256", "vaes-512"]
KEY = bytes(range(100, 116))
OTHER = bytes(range(200, 216))
LENGTHS = [0, 1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 1023, 1025, 4097, 40000]


def encrypt(implementation: str, key: bytes, block: bytes) -> bytes:
    """One block of AES: any block is a counter block."""
    stream, index = (int.from_bytes(half, "little") for half in (block[:8], block[8:]))
    try:
        out = aes_blocks(implementation, key, stream, index, 1)
    except ValueError as error:
        pytest.skip(str(error))
    return out.numpy().tobytes()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_fips_197(implementation: str) -> None:
    """FIPS-197, appendices B and C.1."""
    for key, plain, cipher in [
        ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734",
         "3925841d02dc09fbdc118597196a0b32"),
        ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
         "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ]:  # fmt: skip
        out = encrypt(implementation, bytes.fromhex(key), bytes.fromhex(plain))
        assert out.hex() == cipher


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_sp_800_38a(implementation: str) -> None:
    """SP 800-38A, F.1.1 (ECB) and F.5.1 (counter mode; its counter is big-endian)."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plain = [
        "6bc1bee22e409f96e93d7e117393172a", "ae2d8a571e03ac9c9eb76fac45af8e51",
        "30c81c46a35ce411e5fbc1191a0a52ef", "f69f2445df4f9b17ad2b417be66c3710",
    ]  # fmt: skip
    ecb = [
        "3ad77bb40d7a3660a89ecaf32466ef97", "f5d3d58503b9699de785895a96fdbaaf",
        "43b1cd7f598ece23881b00e3ed030688", "7b0c785e27e8ad3f8223207104725dd4",
    ]  # fmt: skip
    ctr = [
        "874d6191b620e3261bef6864990db6ce", "9806f66b7970fdff8617187bb9fffdff",
        "5ae4df3edbd5d35e5b4f09020db03eab", "1e031dda2fbe03d1792170a0f3009cee",
    ]  # fmt: skip
    counter = int.from_bytes(bytes(range(0xF0, 0x100)), "big")
    for i, text in enumerate(bytes.fromhex(block) for block in plain):
        assert encrypt(implementation, key, text).hex() == ecb[i]
        stream = encrypt(implementation, key, (counter + i).to_bytes(16, "big"))
        assert bytes(a ^ b for a, b in zip(stream, text, strict=True)).hex() == ctr[i]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_number_of_blocks(implementation: str) -> None:
    expected = aes_blocks("portable", KEY, 5, 2**63 - 20, 150)
    try:
        for blocks in range(151):
            out = aes_blocks(implementation, KEY, 5, 2**63 - 20, blocks)
            assert torch.equal(out, expected[: 2 * blocks])
    except ValueError as error:
        pytest.skip(str(error))


def test_definition(each_isa: str) -> None:
    """Word i is half i & 1 of the block LE64(stream) || LE64(i >> 1)."""
    stream, start = 2**64 - 3, 2**40 + 1
    words = kernels.prg(KEY, stream, start, 5)
    for i, word in enumerate(words.tolist()):
        index = start + i
        block = aes_blocks("portable", KEY, stream, index >> 1, 1)
        assert word == block[index & 1].item()


@pytest.mark.parametrize("n", LENGTHS)
def test_starts_and_lengths(each_isa: str, n: int) -> None:
    whole = kernels.prg(KEY, 9, 0, n + 70)
    for start in (0, 1, 2, 3, 17, 64, 69):
        assert torch.equal(kernels.prg(KEY, 9, start, n), whole[start : start + n])


@pytest.mark.parametrize("n", LENGTHS)
def test_instruction_sets_agree(each_isa: str, n: int) -> None:
    here = everything(n)
    kernels.force_isa("portable")
    assert all(torch.equal(a, b) for a, b in zip(here, everything(n), strict=True))


def everything(n: int) -> list[Tensor]:
    base = torch.arange(n) * 0x9E3779B97F4A7C1
    keys = KEY + OTHER
    return [kernels.prg_combine(base, keys, 4, 3, op) for op in ("add", "sub", "xor")] + [
        kernels.prg(keys, 4, 3, n),
        kernels.prg_bundle(keys, 4, 3, n),
    ]


def test_operations(each_isa: str) -> None:
    a, b = kernels.prg(KEY, 1, 7, 301), kernels.prg(OTHER, 1, 7, 301)
    base = torch.arange(301) << 50
    assert torch.equal(kernels.prg(KEY + OTHER, 1, 7, 301), a + b)
    assert torch.equal(kernels.prg_combine(base, KEY + OTHER, 1, 7, "add"), base + a + b)
    assert torch.equal(kernels.prg_combine(base, KEY + OTHER, 1, 7, "sub"), base - a - b)
    assert torch.equal(kernels.prg_combine(base, KEY + OTHER, 1, 7, "xor"), base ^ a ^ b)
    shaped = kernels.prg_combine(base.view(7, 43), KEY, 1, 7, "add")
    assert torch.equal(shaped, (base + a).view(7, 43))
    assert kernels.prg_combine(base, KEY, 1, 7, "xor", base) is base
    assert torch.equal(base ^ a, torch.arange(301) << 50)


def test_many_keys(each_isa: str) -> None:
    keys = [bytes([i] * 16) for i in range(20)]
    total = sum(kernels.prg(key, 3, 1, 50) for key in keys)
    assert torch.equal(kernels.prg(b"".join(keys), 3, 1, 50), total)


def test_streams_differ() -> None:
    a = kernels.prg(KEY, 1, 0, 1000)
    assert not (a == kernels.prg(KEY, 2, 0, 1000)).any()
    assert not (a == kernels.prg(OTHER, 1, 0, 1000)).any()
    ones = sum(int(word).bit_count() for word in (a & 0x7FFFFFFFFFFFFFFF).tolist())
    assert abs(ones - 31500) < 6 * 126  # six standard deviations of 63000 fair bits


def test_threads_do_not_change_the_result() -> None:
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(kernels.prg(KEY, 5, 1, 100_001))
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_bad_arguments() -> None:
    base = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match="`keys`"):
        kernels.prg("secret", 1, 0, 4)  # type: ignore[arg-type]
    for keys in (b"", KEY[:15], KEY + b"x"):
        with pytest.raises(ValueError, match="`keys`"):
            kernels.prg(keys, 1, 0, 4)
    with pytest.raises(ValueError, match="`n`"):
        kernels.prg(KEY, 1, 0, -1)
    with pytest.raises(ValueError, match="`stream`"):
        kernels.prg(KEY, 1 << 64, 0, 4)
    with pytest.raises(ValueError, match="`start`"):
        kernels.prg(KEY, 1, -1, 4)
    with pytest.raises(ValueError, match="`op`"):
        kernels.prg_combine(base, KEY, 1, 0, "mul")
    with pytest.raises(TypeError, match="`base`"):
        kernels.prg_combine(base.double(), KEY, 1, 0, "add")
    with pytest.raises(ValueError, match="`out`"):
        kernels.prg_combine(base, KEY, 1, 0, "add", base[:3])
    with pytest.raises(ValueError, match="`out`"):
        kernels.prg_combine(base, KEY, 1, 0, "add", torch.zeros(8, dtype=torch.int64)[::2])
