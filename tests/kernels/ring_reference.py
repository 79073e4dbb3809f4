"""Ring elements for tests, and convolution on them as sums over kernel taps in plain torch.

torch's int64 sums and products wrap modulo 2^64, which is the ring.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from mpctensor import kernels


def words(*shape: int) -> Tensor:
    """Uniform ring elements."""
    low = torch.randint(0, 2**32, shape, dtype=torch.int64)
    return (torch.randint(0, 2**32, shape, dtype=torch.int64) << 32) | low


def planes(n: int) -> tuple[Tensor, Tensor]:
    """A bit plane of n elements, arbitrary beyond n, and its bits as int64 zeros and ones."""
    plane = words(2 * -(-n // 128))
    i = torch.arange(n)
    return plane, (plane[i >> 6] >> (i & 63)) & 1


def same_on_one_and_two_threads(run: Callable[[], Tensor]) -> bool:
    """Whether `run` gives one result however many threads it may use."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run()
        torch.set_num_threads(2)
        return torch.equal(one, run())
    finally:
        torch.set_num_threads(before)


class Convolution:
    """One geometry: its three maps by the kernels and, from taps, by plain torch."""

    def __init__(
        self, x: Sequence[int], w: Sequence[int], stride: Sequence[int], padding: Sequence[int],
        dilation: Sequence[int], groups: int,
    ) -> None:  # fmt: skip
        self.x_shape, self.w_shape, self.kernel = tuple(x), tuple(w), tuple(w[2:])
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        spans = [d * (k - 1) for k, d in zip(self.kernel, dilation, strict=True)]
        self.padded = [n + 2 * p for n, p in zip(x[2:], padding, strict=True)]
        dims = zip(self.padded, spans, stride, strict=True)
        self.y_shape = (x[0], w[0], *((n - span - 1) // s + 1 for n, span, s in dims))
        self.options = {
            "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        }  # fmt: skip

    def conv(self, x: Tensor, w: Tensor, **into: object) -> Tensor:
        return kernels.conv(x, w, **self.options, **into)

    def conv_input(self, g: Tensor, w: Tensor, **into: object) -> Tensor:
        return kernels.conv_input(g, w, self.x_shape, **self.options, **into)

    def conv_weight(self, x: Tensor, g: Tensor, **into: object) -> Tensor:
        return kernels.conv_weight(x, g, self.kernel, **self.options, **into)

    def expect_conv(self, x: Tensor, w: Tensor) -> Tensor:
        y = torch.zeros(self.y_shape, dtype=torch.int64)
        image, y_groups, weight = self._padded_image(x), self._grouped(y), self._weight(w)
        for tap, window in self._taps():
            y_groups += torch.einsum("ngcp,gfc->ngfp", self._window(image, window), weight[tap])
        return y

    def expect_conv_input(self, g: Tensor, w: Tensor) -> Tensor:
        image, weight = self._padded_image(), self._weight(w)
        for tap, window in self._taps():
            back = torch.einsum("ngfp,gfc->ngcp", self._grouped(g), weight[tap])
            image[window] += back.reshape(image[window].shape)
        return image[self._inside()].contiguous()

    def expect_conv_weight(self, x: Tensor, g: Tensor) -> Tensor:
        image = self._padded_image(x)
        weight = torch.zeros(self.w_shape, dtype=torch.int64)
        for tap, window in self._taps():
            part = torch.einsum("ngcp,ngfp->gfc", self._window(image, window), self._grouped(g))
            weight[(..., *tap)] = part.reshape(self.w_shape[:2])
        return weight

    def _taps(self) -> Iterator[tuple[tuple[int, ...], tuple[object, ...]]]:
        """Each kernel tap, with the index of the padded image's points that it meets."""
        for tap in product(*map(range, self.kernel)):
            dims = zip(tap, self.dilation, self.stride, self.y_shape[2:], strict=True)
            yield tap, (..., *(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in dims))

    def _padded_image(self, x: Tensor | int = 0) -> Tensor:
        image = torch.zeros(*self.x_shape[:2], *self.padded, dtype=torch.int64)
        image[self._inside()] = x
        return image

    def _inside(self) -> tuple[object, ...]:
        """The index of the padded image's points that are not padding."""
        dims = zip(self.padding, self.x_shape[2:], strict=True)
        return (..., *(slice(p, p + n) for p, n in dims))

    def _window(self, image: Tensor, window: tuple[object, ...]) -> Tensor:
        return self._grouped(image[window])

    def _grouped(self, t: Tensor) -> Tensor:
        """(N, C, *S) as (N, groups, C / groups, points)."""
        return t.reshape(t.shape[0], self.groups, t.shape[1] // self.groups, prod(t.shape[2:]))

    def _weight(self, w: Tensor) -> dict[tuple[int, ...], Tensor]:
        """Per tap, (groups, filters / groups, channels / groups)."""
        by_group = w.reshape(self.groups, -1, *self.w_shape[1:])
        return {tap: by_group[(..., *tap)] for tap in product(*map(range, self.kernel))}
