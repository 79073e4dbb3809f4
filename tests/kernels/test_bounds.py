"""What the machine allows: the loops touch all that they claim to, at any length."""

from functools import reduce
from operator import xor

import pytest
import torch
from torch import Tensor

from mpctensor import kernels
from mpctensor.kernels import bounds

KEY = bytes(range(16))
LENGTHS = [0, 1, 7, 8, 9, 511, 513, 4097, 100_003]


def xor_of(words: Tensor) -> int:
    return reduce(xor, (word % 2**64 for word in words.tolist()), 0)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("m", LENGTHS)
def test_stream_reads_and_writes_all(each_isa: str, n: int, m: int) -> None:
    source = kernels.prg(KEY, 1, 0, n)
    room = torch.full((m + 1,), 5)
    assert bounds.stream(source, room[:m]) == xor_of(source)
    assert room[m] == 5
    if n and m:
        once = room[:m].clone()
        room[:m] = once ^ -1
        assert bounds.stream(source, room[:m]) == xor_of(source)
        assert torch.equal(room[:m], once)


@pytest.mark.parametrize("blocks", [0, 1, 31, 33, 511, 513, 70_001])
def test_aes_makes_every_block(each_isa: str, blocks: int) -> None:
    assert bounds.aes(KEY, blocks) == xor_of(kernels.prg(KEY, 0, 0, 2 * blocks))


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="`source` must be an int64 tensor"):
        bounds.stream(torch.zeros(3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="`out` must be contiguous"):
        bounds.stream(torch.zeros(3, dtype=torch.int64), torch.zeros(6, dtype=torch.int64)[::2])
    with pytest.raises(ValueError, match="`blocks` must be at least 0"):
        bounds.aes(KEY, -1)
