"""Ring products, convolutions and fused formulas against torch on the same shapes, one thread.

Torch's int64 product computes the same values; its float64 product is the speed a CPU reaches on
words of this size. Both are timed in turns with ours, and the best of several runs counts. To stand
in for a machine without AVX-512, set ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
MPCTENSOR_ISA=avx2 (torch's int64 product ignores these, and uses AVX-512 where it exists).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.bounds import Report, Work, interleaved
from mpctensor import kernels

MATMULS = [
    (1024, 1024, 1024), (256, 256, 256), (64, 784, 128), (128, 64, 784), (128, 10, 128),
    (8, 784, 128), (1, 784, 128), (1, 1024, 1024), (4, 2, 2),
]  # fmt: skip
# name, x, w, stride, padding, groups
CONVOLUTIONS = [
    ("LeNet 1", (32, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1),
    ("LeNet 2", (32, 6, 14, 14), (16, 6, 5, 5), 1, 0, 1),
    ("3x3", (4, 64, 32, 32), (64, 64, 3, 3), 1, 1, 1),
    ("3x3 stride 2", (4, 64, 32, 32), (128, 64, 3, 3), 2, 1, 1),
    ("1x1", (4, 64, 32, 32), (64, 64, 1, 1), 1, 0, 1),
    ("depthwise 3x3", (4, 64, 32, 32), (64, 1, 3, 3), 1, 1, 64),
]
ELEMENTS = 1_000_000


def words(*shape: int) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, shape)


def compare(report: Report, label: str, ours: Work, others: dict[str, Work]) -> None:
    """One line for our time, one for each ratio: above 1 we are the faster."""
    taken, *theirs = interleaved(ours, *others.values())
    report(label, taken * 1e6, "us")
    for name, seconds in zip(others, theirs, strict=True):
        report(f"    times the speed of {name}", seconds / taken, "x")


def matmul(report: Report, m: int, k: int, n: int) -> None:
    a, b = words(m, k), words(k, n)
    real_a, real_b = a.double(), b.double()
    compare(
        report,
        f"matmul {m}x{k}x{n}",
        lambda: kernels.matmul(a, b),
        {"torch float64": lambda: real_a @ real_b, "torch int64": lambda: a @ b},
    )


def convolution(
    report: Report, name: str, x_shape: Sequence[int], w_shape: Sequence[int],
    stride: int, padding: int, groups: int,
) -> None:  # fmt: skip
    x, w = words(*x_shape), words(*w_shape)
    options = {"stride": stride, "padding": padding, "dilation": 1, "groups": groups}
    g = words(*kernels.conv(x, w, **options).shape)
    real_x, real_w, real_g = x.double(), w.double(), g.double()

    def backward(*wanted: bool) -> object:
        return torch.ops.aten.convolution_backward(
            real_g, real_x, real_w, None, [stride] * 2, [padding] * 2, [1] * 2, False, [0] * 2,
            groups, [*wanted, False],
        )  # fmt: skip

    forward = {"torch float64": lambda: F.conv2d(real_x, real_w, None, **options)}
    to_input = {"torch float64": lambda: backward(True, False)}
    to_weight = {"torch float64": lambda: backward(False, True)}
    compare(report, f"conv {name}", lambda: kernels.conv(x, w, **options), forward)
    compare(
        report,
        f"conv_input {name}",
        lambda: kernels.conv_input(g, w, x_shape, **options),
        to_input,
    )
    compare(
        report,
        f"conv_weight {name}",
        lambda: kernels.conv_weight(x, g, w_shape[2:], **options),
        to_weight,
    )


def pointwise(report: Report) -> None:
    a, b, c, d, e, out = (words(ELEMENTS) for _ in range(6))
    compare(
        report,
        f"product_share, {ELEMENTS} elements",
        lambda: kernels.product_share(a, b, c, d, e, out),
        {"torch int64": lambda: a * b - c * d + e},
    )
    compare(
        report,
        f"square_share, {ELEMENTS} elements",
        lambda: kernels.square_share(a, b, c, True, out),
        {"torch int64": lambda: a * a - 2 * (a * b) + c},
    )


def run(report: Report) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print(f"  {kernels.isa()}; torch: {torch.backends.cpu.get_cpu_capability()}")
    for shape in MATMULS:
        matmul(report, *shape)
    for case in CONVOLUTIONS:
        convolution(report, *case)
    pointwise(report)
    torch.set_num_threads(threads)
