"""What the machine allows: a pass over memory and a run of AES, for benchmarks."""

from torch import Tensor

from mpctensor import _C
from mpctensor.kernels.arguments import below, dense, one_key, threads


def stream(source: Tensor, out: Tensor) -> int:
    """Read all of `source` and write all of `out`, in one pass; the XOR of the words read.

    What `out` holds afterwards is of no meaning.
    """
    source = dense("source", source)
    if out is not dense("out", out):
        raise ValueError("`out` must be contiguous")
    xor: int = _C.stream(source.data_ptr(), source.numel(), out.data_ptr(), out.numel(), threads())
    return xor


def aes(key: bytes, blocks: int) -> int:
    """Make blocks 0 .. blocks-1 of stream 0 and keep none; the XOR of their words."""
    xor: int = _C.aes(one_key("key", key), below("blocks", blocks, 0, 1 << 60), threads())
    return xor
