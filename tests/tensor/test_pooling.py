"""Pooling: averages and maxima, their borders, ties and gradients."""

import re

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import check, on_grid

IMAGE = on_grid(2, 3, 7, 6)
LINE = on_grid(2, 3, 9)
VOLUME = on_grid(1, 2, 4, 4, 4)

POOLS = {
    "max": (lambda x: F.max_pool2d(x, 2), IMAGE),
    "max_stride": (lambda x: F.max_pool2d(x, 3, stride=2), IMAGE),
    "max_padded": (lambda x: F.max_pool2d(x, 3, 2, padding=1), IMAGE),
    "max_dilated": (lambda x: F.max_pool2d(x, 2, 1, dilation=2), IMAGE),
    "max_ceil": (lambda x: F.max_pool2d(x, 2, ceil_mode=True), IMAGE),
    "max_uneven": (lambda x: F.max_pool2d(x, (3, 2), (2, 1)), IMAGE),
    "max_indices": (lambda x: F.max_pool2d(x, 3, 2, padding=1, return_indices=True), IMAGE),
    "max_torch": (lambda x: torch.max_pool2d(x, 2), IMAGE),
    "max_module": (torch.nn.MaxPool2d(2), IMAGE),
    "max1d": (lambda x: F.max_pool1d(x, 3, 2), LINE),
    "max3d": (lambda x: F.max_pool3d(x, 2), VOLUME),
    "max_unbatched": (lambda x: F.max_pool2d(x, 2), IMAGE[0]),
    "avg": (lambda x: F.avg_pool2d(x, 2), IMAGE),
    "avg_stride": (lambda x: F.avg_pool2d(x, 3, stride=2), IMAGE),
    "avg_padded": (lambda x: F.avg_pool2d(x, 3, 2, padding=1), IMAGE),
    "avg_without_pad": (lambda x: F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False), IMAGE),
    "avg_ceil": (lambda x: F.avg_pool2d(x, 2, ceil_mode=True), IMAGE),
    "avg_ceil_padded": (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), IMAGE),
    "avg_divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), IMAGE),
    "avg1d": (lambda x: F.avg_pool1d(x, 3, 2), LINE),
    "avg3d": (lambda x: F.avg_pool3d(x, 2), VOLUME),
    "adaptive_avg_1": (lambda x: F.adaptive_avg_pool2d(x, 1), IMAGE),
    "adaptive_avg": (lambda x: F.adaptive_avg_pool2d(x, (3, 4)), IMAGE),
    "adaptive_avg_none": (lambda x: F.adaptive_avg_pool2d(x, (None, 2)), IMAGE),
    "adaptive_avg1d": (lambda x: F.adaptive_avg_pool1d(x, 4), LINE),
    "adaptive_avg3d": (lambda x: F.adaptive_avg_pool3d(x, 2), VOLUME),
    "adaptive_max": (lambda x: F.adaptive_max_pool2d(x, (7, 3)), IMAGE),
    "adaptive_max_1": (lambda x: F.adaptive_max_pool2d(x, 1), IMAGE),
    "adaptive_max1d": (lambda x: F.adaptive_max_pool1d(x, 3), LINE),
    "adaptive_max3d": (lambda x: F.adaptive_max_pool3d(x, 2), VOLUME),
    "adaptive_max_uneven": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), IMAGE),
    "adaptive_max_more": (lambda x: F.adaptive_max_pool2d(x, (9, 4)), IMAGE),
    "adaptive_max_index": (
        lambda x: F.adaptive_max_pool2d(x, (4, None), return_indices=True),
        IMAGE,
    ),
    "adaptive_max_unbatched": (lambda x: F.adaptive_max_pool2d(x, 4), IMAGE[0]),
    "adaptive_max1d_uneven": (lambda x: F.adaptive_max_pool1d(x, 4), LINE),
    "adaptive_max3d_uneven": (lambda x: F.adaptive_max_pool3d(x, 3), VOLUME),
    "lp_free_relu_pool": (lambda x: F.max_pool2d(F.relu(x), 2), IMAGE),
    "pool_relu": (lambda x: F.relu(F.max_pool2d(x, 2)), IMAGE),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool(name):
    fn, x = POOLS[name]
    check(fn, x, ulps=2, grad_ulps=12)


def test_gradient_on_ties_goes_to_the_first():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    hidden = mpctensor.encrypt(x)
    F.max_pool2d(x, 2).sum().backward()
    F.max_pool2d(hidden, 2).sum().backward()
    assert torch.equal(hidden.grad.decrypt(), x.grad)


def test_maxima_of_large_negative_values_with_padding():
    check(
        lambda x: F.max_pool2d(x, 3, 2, padding=1), on_grid(1, 1, 5, 5) - 3000, ulps=1, grad_ulps=4
    )


@pytest.mark.simulated
def test_cost_of_a_window():
    x = mpctensor.encrypt(on_grid(1, 1, 32, 32))
    with mpctensor.cost() as cost:
        F.max_pool2d(x, 2)
    windows = 256
    assert cost.rounds == 8
    assert cost.bytes_sent == windows * 294 / 8
    assert cost.provider_bytes == windows * 1368 / 8


def test_backward_compares_nothing():
    x = mpctensor.encrypt(on_grid(1, 1, 8, 8).requires_grad_())
    out = F.max_pool2d(x, 2)
    with mpctensor.cost() as cost:
        out.sum().backward()
    assert cost.rounds <= 2


def test_too_large_a_window():
    with pytest.raises(RuntimeError):
        F.max_pool2d(mpctensor.encrypt(on_grid(1, 1, 3, 3)), 5)


def test_ties_in_uneven_windows_go_to_the_first():
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    hidden = mpctensor.encrypt(x)
    F.adaptive_max_pool2d(x, 3).sum().backward()
    F.adaptive_max_pool2d(hidden, 3).sum().backward()
    assert torch.equal(hidden.grad.decrypt(), x.grad)


IMPOSSIBLE = {
    "max_stride": lambda x: F.max_pool2d(x, 2, stride=0),
    "max_negative": lambda x: F.max_pool2d(x, 2, stride=-1),
    "max_dilation": lambda x: F.max_pool2d(x, 2, dilation=0),
    "max_kernel": lambda x: F.max_pool2d(x, 0),
    "max_padding": lambda x: F.max_pool2d(x, 2, padding=2),
    "max1d": lambda x: F.max_pool1d(x[0], 2, stride=0),
    "avg_stride": lambda x: F.avg_pool2d(x, 2, stride=0),
    "avg_padding": lambda x: F.avg_pool2d(x, 2, padding=-1),
    "avg1d": lambda x: F.avg_pool1d(x[0], 2, stride=0),
    "rank": lambda x: F.max_pool2d(x[0, 0], 2),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_windows_raise_as_in_torch(name):
    image = on_grid(1, 2, 4, 4)
    with pytest.raises(RuntimeError) as plain:
        IMPOSSIBLE[name](image)
    with pytest.raises(RuntimeError, match=re.escape(str(plain.value))):
        IMPOSSIBLE[name](mpctensor.encrypt(image))


def test_average_of_no_samples():
    check(lambda x: F.avg_pool1d(x, 6, 3, 2), torch.zeros(0, 3, 9))
    check(lambda x: F.avg_pool2d(x, 2), torch.zeros(0, 3, 4, 4))


def test_the_gradient_of_a_pooling_asked_for_by_hand():
    x = mpctensor.encrypt(on_grid(1, 2, 4, 4))
    _, index = F.max_pool2d(x, 2, return_indices=True)
    sizes = ([2, 2], [2, 2], [0, 0], [1, 1], False)
    for places in (index.clone(), index.decrypt()):
        with pytest.raises(mpctensor.UnsupportedOperationError, match="autograd"):
            torch.ops.aten.max_pool2d_with_indices_backward(x[..., :2, :2], x, *sizes, places)
