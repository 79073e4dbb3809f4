"""Bits of bundles, read without the kernels: see mpctensor/kernels/arguments.py for the layout."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_WORDS = 16


def words(n: int) -> int:
    return -(-n // 128) * 2


def bits_of(bundle: Tensor, planes: int, n: int) -> NDArray[np.uint8]:
    """The bits of a bundle: (planes, n)."""
    flat = bundle.contiguous().view(-1).numpy()
    blocks, at, left = [np.zeros((planes, 0), np.int64)], 0, words(n)
    while left:
        size = min(left, BLOCK_WORDS)
        blocks.append(flat[at : at + planes * size].reshape(planes, size))
        at, left = at + planes * size, left - size
    data = np.ascontiguousarray(np.hstack(blocks)).view(np.uint8)
    return np.unpackbits(data, axis=1, bitorder="little")[:, :n]


def plane_of(bits: NDArray[np.uint8]) -> Tensor:
    """One plane with these bits."""
    padded = np.zeros(64 * words(bits.size), np.uint8)
    padded[: bits.size] = bits
    return torch.from_numpy(np.packbits(padded, bitorder="little").view(np.int64))
