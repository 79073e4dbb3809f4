"""What the kernels of bits and streams take: words, bit planes, keys, sources; and their checks.

Bit planes: element i of n is bit i & 63 of word i >> 6, and a plane has `words(n)` words (an even
number: AES yields two at a time). A bundle of P planes is a tensor (P, words(n)); its words lie in
blocks of 16 (1024 elements), inside a block plane after plane, so that a kernel walks through
memory in order. Bits beyond n are arbitrary, the same at every run.
"""

import torch
from torch import Tensor

KEY_BYTES = 16

# Where a kernel finds a party's share: in memory, or as PRG output of (key, stream).
Source = Tensor | tuple[bytes, int]

# A source as the bindings take it: pointer (0 for PRG output), key, stream.
RawSource = tuple[int, bytes, int]


def words(n: int) -> int:
    """Words of a plane of n bits."""
    return 2 * (-(-n // 128))


def threads() -> int:
    return torch.get_num_threads()


def new_words(n: int) -> Tensor:
    return torch.empty(n, dtype=torch.int64)


def new_bundle(planes: int, n: int) -> Tensor:
    return torch.empty((planes, words(n)), dtype=torch.int64)


def dense(name: str, tensor: Tensor, n: int | None = None) -> Tensor:
    """`tensor`, contiguous, after checking that it is int64 on the CPU and has n elements."""
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.int64 or tensor.device.type != "cpu":
        kind = f"{tensor.dtype} on {tensor.device}" if isinstance(tensor, Tensor) else type(tensor)
        raise TypeError(f"`{name}` must be an int64 tensor on the CPU, not {kind}")
    if n is not None and tensor.numel() != n:
        raise ValueError(f"`{name}` must have {n} elements, not {tensor.numel()}")
    return tensor.contiguous()


def bundle(name: str, tensor: Tensor, planes: int, n: int) -> Tensor:
    """A bundle of `planes` planes of n bits, checked."""
    return dense(name, tensor, planes * words(n))


def key_list(name: str, keys: bytes, *, empty: bool = False) -> bytes:
    """Keys one after the other, 16 bytes each."""
    if not isinstance(keys, bytes):
        raise TypeError(f"`{name}` must be bytes, not {type(keys).__name__}")
    if len(keys) % KEY_BYTES or not (keys or empty):
        raise ValueError(f"`{name}` must hold keys of {KEY_BYTES} bytes, not {len(keys)} bytes")
    return keys


def one_key(name: str, key: bytes) -> bytes:
    if len(key_list(name, key)) != KEY_BYTES:
        raise ValueError(f"`{name}` must be one key of {KEY_BYTES} bytes, not {len(key)} bytes")
    return key


def plane_source(name: str, source: Source, planes: int, n: int) -> tuple[RawSource, Tensor | None]:
    """A bundle's source for the bindings, and the tensor that must outlive the call."""
    return word_source(name, source, planes * words(n))


def word_source(name: str, source: Source, n: int) -> tuple[RawSource, Tensor | None]:
    """Like `plane_source`, for n words."""
    if isinstance(source, tuple):
        key, stream = source
        return (0, one_key(name, key), below(name, stream, 0, 1 << 64)), None
    held = dense(name, source, n)
    return (held.data_ptr(), b"", 0), held


def below(name: str, value: int, low: int, high: int) -> int:
    """`value`, after checking low <= value < high."""
    if not low <= value < high:
        raise ValueError(f"`{name}` must be at least {low} and below {high}, not {value}")
    return value
