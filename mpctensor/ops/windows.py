"""How the windows of a pool lie on its input: public geometry, applied to each party's part."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..share import Share

aten = torch.ops.aten


def numbers(values: Any, n: int) -> tuple[Any, ...]:
    """One public number per spatial dimension, from an int, a single number, or n of them."""
    several = (values,) if isinstance(values, (int, Tensor)) else tuple(values)
    given = tuple(value if value is None else operator.index(value) for value in several)
    return given if len(given) == n else given * n


@dataclass(frozen=True)
class Windows:
    """How windows lie on an input of `size` (*lead, *spatial), after padding.

    Element k of window o (both per dimension) is the padded position o * stride + k * dilation.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool

    @property
    def n(self) -> int:
        return len(self.kernel)

    @property
    def lead(self) -> tuple[int, ...]:
        return self.size[: -self.n]

    @property
    def output(self) -> tuple[int, ...]:
        return tuple(self._output(i) for i in range(self.n))

    def _output(self, i: int) -> int:
        """As torch has it: with ceil, the last window must start inside input or left padding."""
        length, pad, step = self.size[i - self.n], self.padding[i], self.stride[i]
        reach = length + 2 * pad - self.dilation[i] * (self.kernel[i] - 1) - 1
        count = (reach + (step - 1 if self.ceil else 0)) // step + 1
        if self.ceil and (count - 1) * step >= length + pad:
            count -= 1
        if count < 1:
            raise RuntimeError("pooling window is larger than the padded input")
        return count

    @property
    def padded(self) -> tuple[int, ...]:
        """Spatial sizes that hold every window."""
        return tuple(
            max(
                self.size[i - self.n] + 2 * self.padding[i],
                (self.output[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1,
            )
            for i in range(self.n)
        )

    def pad(self, part: Tensor, fill: int) -> Tensor:
        """The part with its borders filled."""
        pads: list[int] = []
        for i in reversed(range(self.n)):
            before = self.padding[i]
            pads += [before, self.padded[i] - before - self.size[i - self.n]]
        return aten.constant_pad_nd.default(part, pads, fill) if any(pads) else part

    def view(self, padded: Tensor) -> Tensor:
        """(*lead, *output, K): every window's elements along the last dimension."""
        strides = padded.stride()[-self.n :]
        lead = padded.stride()[: -self.n]
        moved = tuple(s * step for s, step in zip(strides, self.stride, strict=True))
        inner = tuple(s * d for s, d in zip(strides, self.dilation, strict=True))
        windows = padded.as_strided(
            (*self.lead, *self.output, *self.kernel),
            (*lead, *moved, *inner),
            padded.storage_offset(),
        )
        return windows.flatten(-self.n)

    def fold(self, windows: Tensor) -> Tensor:
        """The transpose of `pad` and `view`: every element added where it came from."""
        out = torch.zeros((*self.lead, *self.padded), dtype=windows.dtype)
        flat = out.view(prod(self.lead), prod(self.padded))
        positions = torch.arange(prod(self.padded)).view(self.padded)
        own = Windows(self.padded, self.kernel, self.stride, (0,) * self.n, self.dilation, False)
        index = own.select(positions, self.output).reshape(-1)
        flat.index_add_(1, index, windows.reshape(prod(self.lead), index.numel()))
        for i in range(self.n):
            out = out.narrow(i - self.n, self.padding[i], self.size[i - self.n])
        return out.contiguous()

    def select(self, positions: Tensor, output: Sequence[int]) -> Tensor:
        """`view` on a tensor of spatial dimensions alone, for a given number of windows."""
        strides = positions.stride()
        moved = tuple(s * step for s, step in zip(strides, self.stride, strict=True))
        inner = tuple(s * d for s, d in zip(strides, self.dilation, strict=True))
        return positions.as_strided((*output, *self.kernel), (*moved, *inner))


@dataclass(frozen=True)
class Covering:
    """Windows of unequal sizes: number o of m covers floor(o n / m) .. ceil((o + 1) n / m).

    A shorter one repeats its last element, which never wins against itself.
    """

    size: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def n(self) -> int:
        return len(self.output)

    @property
    def lead(self) -> tuple[int, ...]:
        return self.size[: -self.n]

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(index.shape[1] for index in self._along())

    def _along(self) -> list[Tensor]:
        """For each dimension the (m, longest window) positions."""
        return [_covered(n, m) for n, m in zip(self.size[-self.n :], self.output, strict=True)]

    def positions(self) -> Tensor:
        """(*output, K): every window's elements, as flat positions in the spatial dimensions."""
        spatial = self.size[-self.n :]
        total = torch.zeros((1,) * (2 * self.n), dtype=torch.int64)
        for i, index in enumerate(self._along()):
            shape = [1] * (2 * self.n)
            shape[i], shape[self.n + i] = index.shape
            total = total + index.view(shape) * prod(spatial[i + 1 :])
        return total.flatten(-self.n)

    def candidates(self, part: Tensor) -> Tensor:
        """(*lead, *output, K)."""
        return part.flatten(-self.n)[..., self.positions()]

    def fold(self, windows: Tensor) -> Tensor:
        """The transpose of `candidates`: every element added where it came from."""
        out = torch.zeros((prod(self.lead), prod(self.size[-self.n :])), dtype=windows.dtype)
        index = self.positions().reshape(-1)
        out.index_add_(1, index, windows.reshape(prod(self.lead), index.numel()))
        return out.view(self.size)


def _covered(n: int, m: int) -> Tensor:
    """(m, longest window) positions of the windows that cover n elements evenly."""
    outputs = torch.arange(m)
    starts, ends = outputs * n // m if m else outputs, -(-(outputs + 1) * n // max(m, 1))
    longest = int((ends - starts).max()) if m else 1
    return torch.minimum(starts.unsqueeze(1) + torch.arange(longest), ends.unsqueeze(1) - 1)


AnyWindows = Windows | Covering


def windows_of(
    x: Share, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, n: int
) -> Windows:
    kernel = numbers(kernel, n)
    stride = numbers(stride, n) if stride not in (None, [], ()) else kernel
    padding, dilation = numbers(padding, n), numbers(dilation, n)
    if min(*kernel, *stride, *dilation) < 1 or min(padding) < 0:
        raise RuntimeError("kernel size, stride and dilation must be positive, padding at least 0")
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError("pad should be at most half of effective kernel size")
    return Windows(tuple(x.shape), kernel, stride, padding, dilation, ceil)


def adaptive_max_windows(x: Share, output: Sequence[int]) -> AnyWindows:
    """The windows of an adaptive maximum; views of the input where they are all alike."""
    n = len(output)
    spatial = tuple(x.shape[-n:])
    if not all(output) or any(i % o for i, o in zip(spatial, output, strict=True)):
        return Covering(tuple(x.shape), tuple(output))
    step = tuple(i // o for i, o in zip(spatial, output, strict=True))
    return Windows(tuple(x.shape), step, step, (0,) * n, (1,) * n, False)
