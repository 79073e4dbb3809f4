"""Pseudorandom words: AES-128 in counter mode (FIPS-197, SP 800-38A).

Word i of (key, stream) is the little-endian half i & 1 of AES_key(LE64(stream) || LE64(i >> 1)); it
depends on nothing else. `keys` holds one or more keys of 16 bytes, one after the other. Never used
twice for different secrets under one (key, stream): that is the caller's duty.
"""

import torch
from torch import Tensor

from mpctensor import _C
from mpctensor.kernels.arguments import (
    below,
    dense,
    key_list,
    new_bundle,
    new_words,
    one_key,
    threads,
)

OPERATIONS = {"add": 0, "sub": 1, "xor": 2}


def prg(keys: bytes, stream: int, start: int, n: int) -> Tensor:
    """Words start .. start+n-1 of the stream, summed over the keys: int64 (n,)."""
    out = new_words(below("n", n, 0, 1 << 62))
    _combine(out, None, keys, stream, start, "add")
    return out


def prg_combine(
    base: Tensor, keys: bytes, stream: int, start: int, op: str, out: Tensor | None = None
) -> Tensor:
    """base op G_1 op G_2 ... with one stream a key and op "add", "sub" or "xor"; shaped like base.

    Element i meets word start+i. `out` may be `base`.
    """
    held = dense("base", base)
    if out is None:
        out = torch.empty_like(held)
    elif out is not dense("out", out, held.numel()):
        raise ValueError("`out` must be contiguous")
    _combine(out, held, keys, stream, start, op)
    return out


def prg_bundle(keys: bytes, stream: int, planes: int, n: int) -> Tensor:
    """A bundle of random planes (planes, words(n)): the XOR of the keys' streams from word 0."""
    out = new_bundle(below("planes", planes, 0, 1 << 20), below("n", n, 0, 1 << 62))
    _combine(out, None, keys, stream, 0, "xor")
    return out


def _combine(
    out: Tensor, base: Tensor | None, keys: bytes, stream: int, start: int, op: str
) -> None:
    if op not in OPERATIONS:
        raise ValueError(f'`op` must be "add", "sub" or "xor", not {op!r}')
    below("stream", stream, 0, 1 << 64)
    below("start", start, 0, (1 << 64) - out.numel())
    pointer = 0 if base is None else base.data_ptr()
    _C.prg_combine(
        out.data_ptr(), pointer, key_list("keys", keys), stream, start, out.numel(),
        OPERATIONS[op], threads(),
    )  # fmt: skip


def aes_blocks(implementation: str, key: bytes, stream: int, first: int, blocks: int) -> Tensor:
    """AES of the blocks LE64(stream) || LE64(first + i) by one implementation, for tests.

    implementation: "portable", "aes-ni", "vaes-256" or "vaes-512"; ValueError where it is missing.
    Returns int64 (2 * blocks,).
    """
    out = new_words(2 * blocks)
    _C.aes_blocks(out.data_ptr(), implementation, one_key("key", key), stream, first, blocks)
    return out
