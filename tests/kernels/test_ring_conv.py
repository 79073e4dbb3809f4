"""Convolution kernels against sums over taps, and against torch's float64 on small integers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mpctensor import kernels
from tests.kernels.ring_reference import Convolution, same_on_one_and_two_threads, words

pytestmark = pytest.mark.usefixtures("each_isa")

# x, w, stride, padding, dilation, groups
GEOMETRIES: list[tuple[Any, ...]] = [
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 7, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 1, 12, 12), (6, 1, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((3, 6, 14, 14), (16, 6, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 9, 8), (6, 2, 3, 2), (2, 1), (1, 0), (1, 2), 2),
    ((1, 8, 10, 11), (8, 1, 3, 3), (1, 1), (1, 1), (1, 1), 8),
    ((2, 6, 11, 9), (12, 1, 3, 3), (2, 2), (1, 1), (1, 1), 6),
    ((2, 4, 8, 8), (5, 4, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 9, 9), (5, 4, 1, 1), (3, 2), (0, 0), (1, 1), 1),
    ((1, 2, 13, 13), (3, 2, 2, 2), (4, 5), (0, 1), (1, 1), 1),
    ((1, 2, 12, 12), (3, 2, 3, 3), (3, 2), (2, 4), (2, 3), 1),
    ((2, 3, 3, 3), (20, 3, 3, 3), (1, 1), (5, 4), (1, 1), 1),
    ((4, 20, 6, 6), (24, 20, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((0, 2, 5, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 2, 5, 5), (0, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 4, 0), (3, 3, 3, 2), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1, 0), (1, 1, 1), (2,), (2,), (1,), 1),
    ((2, 3, 17), (5, 3, 4), (1,), (0,), (1,), 1),
    ((2, 4, 40), (4, 2, 5), (2,), (3,), (2,), 2),
    ((1, 2, 5, 6, 4), (3, 2, 2, 3, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2), 1),
]


def geometry_name(value: object) -> str:
    return str(value).replace(" ", "")


@pytest.fixture(params=GEOMETRIES, ids=geometry_name)
def geometry(request: pytest.FixtureRequest) -> Convolution:
    return Convolution(*request.param)


def test_conv(geometry: Convolution) -> None:
    x, w = words(*geometry.x_shape), words(*geometry.w_shape)
    assert torch.equal(geometry.conv(x, w), geometry.expect_conv(x, w))


def test_conv_input(geometry: Convolution) -> None:
    g, w = words(*geometry.y_shape), words(*geometry.w_shape)
    assert torch.equal(geometry.conv_input(g, w), geometry.expect_conv_input(g, w))


def test_conv_weight(geometry: Convolution) -> None:
    x, g = words(*geometry.x_shape), words(*geometry.y_shape)
    assert torch.equal(geometry.conv_weight(x, g), geometry.expect_conv_weight(x, g))


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("negate", [False, True])
def test_accumulate_and_negate(accumulate: bool, negate: bool) -> None:
    for shape in [(2, 4, 9, 9), (2, 40, 9, 9)]:
        geometry = Convolution(shape, (6, shape[1], 2, 3), (3, 2), (1, 1), (1, 1), 1)
        x, w, g = words(*shape), words(*geometry.w_shape), words(*geometry.y_shape)
        for run, expect, operands, out in [
            (geometry.conv, geometry.expect_conv, (x, w), words(*geometry.y_shape)),
            (geometry.conv_input, geometry.expect_conv_input, (g, w), words(*shape)),
            (geometry.conv_weight, geometry.expect_conv_weight, (x, g), words(*w.shape)),
        ]:
            product = -expect(*operands) if negate else expect(*operands)
            expected = (out if accumulate else 0) + product
            result = run(*operands, out=out, accumulate=accumulate, negate=negate)
            assert result is out
            assert torch.equal(out, expected)


def test_an_input_position_that_no_tap_meets_gets_zero() -> None:
    geometry = Convolution((1, 1, 7, 7), (1, 1, 1, 1), (3, 3), (0, 0), (1, 1), 1)
    g, w, out = words(*geometry.y_shape), words(1, 1, 1, 1), words(1, 1, 7, 7)
    expected = geometry.expect_conv_input(g, w)
    assert (expected == 0).sum() >= 40
    assert torch.equal(geometry.conv_input(g, w), expected)
    kept = geometry.conv_input(g, w, out=out.clone(), accumulate=True)
    assert torch.equal(kept, out + expected)


def test_like_torch_on_small_values() -> None:
    x, w = torch.randint(-99, 99, (2, 4, 9, 10)), torch.randint(-99, 99, (6, 2, 3, 2))
    options: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    xd, wd = x.double().requires_grad_(), w.double().requires_grad_()
    y = F.conv2d(xd, wd, **options)
    g = torch.randint(-99, 99, y.shape)
    y.backward(g.double())
    assert torch.equal(kernels.conv(x, w, **options).double(), y)
    assert torch.equal(kernels.conv_input(g, w, x.shape, **options).double(), xd.grad)
    assert torch.equal(kernels.conv_weight(x, g, (3, 2), **options).double(), wd.grad)


def test_strided_operands() -> None:
    geometry = Convolution((2, 3, 6, 6), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    x, w = words(6, 6, 3, 2).permute(3, 2, 0, 1), words(3, 4, 3, 3).transpose(0, 1)
    g = words(1, 4, 1, 1).expand(2, 4, 6, 6)
    assert torch.equal(geometry.conv(x, w), geometry.expect_conv(x, w))
    assert torch.equal(geometry.conv_input(g, w), geometry.expect_conv_input(g, w))
    assert torch.equal(geometry.conv_weight(x, g), geometry.expect_conv_weight(x, g))


def test_threads_do_not_change_the_result() -> None:
    for groups in (1, 16):
        geometry = Convolution(
            (4, 16, 20, 20), (32, 16 // groups, 3, 3), (1, 2), (1, 1), (1, 1), groups
        )
        x, w, g = words(*geometry.x_shape), words(*geometry.w_shape), words(*geometry.y_shape)
        assert same_on_one_and_two_threads(lambda: geometry.conv(x, w))
        assert same_on_one_and_two_threads(lambda: geometry.conv_input(g, w))
        assert same_on_one_and_two_threads(lambda: geometry.conv_weight(x, g))


def test_bad_arguments() -> None:
    x, w, g = words(2, 4, 8, 8), words(6, 4, 3, 3), words(2, 6, 6, 6)
    options: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    for wrong, match in [
        ({"stride": 0}, "`stride`"),
        ({"stride": (1, 1, 1)}, "`stride`"),
        ({"padding": -1}, "`padding`"),
        ({"dilation": 0}, "`dilation`"),
        ({"groups": 3}, "`groups`"),
        ({"dilation": 4}, "does not fit"),
    ]:
        with pytest.raises(ValueError, match=match):
            kernels.conv(x, w, **{**options, **wrong})
    with pytest.raises(TypeError, match="`x`"):
        kernels.conv(x.double(), w, **options)
    with pytest.raises(TypeError, match="`w`"):
        kernels.conv(x, w.int(), **options)
    with pytest.raises(ValueError, match="differ in dimensions"):
        kernels.conv(x[0], w, **options)
    with pytest.raises(ValueError, match="`out` must have shape"):
        kernels.conv(x, w, **options, out=g[:1])
    with pytest.raises(ValueError, match="`out` must be contiguous"):
        kernels.conv(x, w, **options, out=g.transpose(2, 3))
    with pytest.raises(ValueError, match="`g` must have shape"):
        kernels.conv_input(g[..., 1:], w, x.shape, **options)
    with pytest.raises(ValueError, match="`g` must have shape"):
        kernels.conv_weight(x, g, (5, 5), **options)
    with pytest.raises(ValueError, match="`x` and `g`"):
        kernels.conv_weight(x[0], g, (3, 3), **options)
    with pytest.raises(ValueError, match="`accumulate` needs `out`"):
        kernels.conv(x, w, **options, accumulate=True)
