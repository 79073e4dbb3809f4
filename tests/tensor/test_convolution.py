"""Convolutions in one, two and three dimensions, transposed ones, and their gradients."""

import pytest
import torch.nn.functional as F

from tests.plaintext import check, grid, on_grid

CASES = {
    "conv1d": (F.conv1d, (2, 3, 8), (4, 3, 3), {}),
    "conv1d_strided": (F.conv1d, (2, 4, 9), (4, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "conv2d": (F.conv2d, (2, 3, 6, 5), (4, 3, 3, 3), {}),
    "conv2d_strided": (F.conv2d, (2, 3, 7, 6), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    "conv2d_dilated": (F.conv2d, (1, 2, 8, 8), (3, 2, 3, 3), {"dilation": 2, "padding": 2}),
    "conv2d_depthwise": (F.conv2d, (1, 4, 5, 5), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "conv2d_same": (F.conv2d, (1, 2, 5, 5), (3, 2, 3, 3), {"padding": "same"}),
    "conv2d_unbatched": (F.conv2d, (3, 6, 5), (4, 3, 3, 3), {}),
    "transposed1d": (F.conv_transpose1d, (2, 3, 5), (3, 2, 3), {"stride": 2}),
    "transposed, filled up": (
        F.conv_transpose2d,
        (2, 2, 4, 4),
        (2, 2, 4, 5),
        {"stride": (3, 2), "padding": (1, 2), "output_padding": (2, 3), "dilation": 4, "groups": 2},
    ),
    "transposed2d": (
        F.conv_transpose2d,
        (1, 4, 4, 4),
        (4, 2, 3, 3),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("secret", [(0, 1, 2), (0,), (1, 2)], ids=["all", "input", "weight"])
def test_convolution(name, secret):
    fn, size, kernel, options = CASES[name]
    channels = kernel[1] * options.get("groups", 1) if "transposed" in name else kernel[0]
    x, w, b = on_grid(*size, seed=1), grid(on_grid(*kernel, seed=2) / 2), on_grid(channels, seed=3)
    check(lambda x, w, b: fn(x, w, b, **options), x, w, b, secret=secret, ulps=60, grad_ulps=240)


def test_without_bias():
    check(F.conv2d, on_grid(1, 2, 4, 4), on_grid(3, 2, 3, 3), ulps=30)
