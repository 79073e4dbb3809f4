"""Resizing of images: every mode, up and down, and its gradient.

A weight is off by half a unit in the last place at most, so a sum of k weights times inputs of 2 is
off by k, in each dimension, and a truncation adds 1. Linear modes have 2 weights, bicubic ones 4
(6 when antialiased to half the size); gradients take twice as many at these sizes.
"""

import pytest
import torch.nn.functional as F

import mpctensor
from tests.plaintext import check, on_grid

LINE, IMAGE, VOLUME = on_grid(2, 3, 7), on_grid(2, 2, 6, 5), on_grid(1, 2, 3, 4, 2)
SIZES = {"up": {"scale_factor": 2}, "size": {"size": (4, 9)}, "down": {"scale_factor": 0.6}}
FLAT = {"bilinear": 6, "bicubic": 10, "nearest": 1, "nearest-exact": 1, "area": 2}  # ulps


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", FLAT)
def test_images(mode, size):
    check(
        lambda x: F.interpolate(x, mode=mode, **SIZES[size]),
        IMAGE,
        ulps=FLAT[mode],
        grad_ulps=2 * FLAT[mode] + 2,
    )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("options", [{"align_corners": True}, {"antialias": True}])
def test_options_of_images(mode, options):
    for size in ((3, 2), (9, 5)):
        check(lambda x: F.interpolate(x, size, mode=mode, **options), IMAGE, ulps=14, grad_ulps=28)


@pytest.mark.parametrize("mode", ["linear", "nearest-exact", "area"])
def test_lines(mode):
    check(lambda x: F.interpolate(x, 4, mode=mode), LINE, ulps=3, grad_ulps=6)


@pytest.mark.parametrize("mode", ["trilinear", "nearest-exact", "area"])
def test_volumes(mode):
    check(lambda x: F.interpolate(x, (4, 3, 5), mode=mode), VOLUME, ulps=9, grad_ulps=18)


def test_the_same_size_is_a_copy():
    x = mpctensor.encrypt(IMAGE)
    same = F.interpolate(x, (6, 5), mode="bilinear")
    same.zero_()
    assert (x.decrypt() == IMAGE).all()


@pytest.mark.simulated
def test_one_truncation_between_the_dimensions():
    x = mpctensor.encrypt(IMAGE.clone().requires_grad_())
    with mpctensor.cost() as cost:
        F.interpolate(x, scale_factor=2, mode="bilinear")
    assert cost.rounds == 1 and cost.bytes_sent == IMAGE.numel() * 2 / 8
