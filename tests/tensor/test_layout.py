"""Shapes: every structural op, forward and backward, equals torch exactly."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import assert_close, check, on_grid

X = on_grid(2, 3, 4)
SQUARE = on_grid(3, 3)
IMAGE = on_grid(2, 4, 5, 6)

ONE = {
    "view": lambda x: x.view(6, 4),
    "view_negative": lambda x: x.view(-1),
    "reshape": lambda x: x.reshape(4, 6),
    "reshape_of_transpose": lambda x: x.transpose(0, 2).reshape(-1, 2),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(1, 2),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "flatten": lambda x: x.flatten(1),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze_all": lambda x: x[:1, :1].squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "expand": lambda x: x[:, :1].expand(2, 3, 4),
    "expand_new": lambda x: x.expand(5, 2, 3, 4),
    "broadcast_to": lambda x: torch.broadcast_to(x[:1], (2, 3, 4)),
    "repeat": lambda x: x.repeat(2, 1, 2),
    "tile": lambda x: x.tile(2, 1),
    "repeat_each": lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "flip": lambda x: x.flip(0, 2),
    "fliplr": torch.fliplr,
    "roll": lambda x: x.roll((1, -1), (0, 2)),
    "rot90": lambda x: x.rot90(1, (1, 2)),
    "select": lambda x: x[1],
    "slice": lambda x: x[:, 1:, ::2],
    "slice_negative": lambda x: x[..., -2:],
    "ellipsis_none": lambda x: x[..., None, 0],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "as_strided": lambda x: x.as_strided((2, 3), (1, 2), 1),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "diag_embed": lambda x: x.diag_embed(),
    "tril": lambda x: x.tril(-1),
    "triu": lambda x: x.triu(1),
    "split": lambda x: x.split(2, 2),
    "split_sizes": lambda x: x.split([1, 3], 2),
    "chunk": lambda x: x.chunk(3, 2),
    "tensor_split": lambda x: x.tensor_split(3, 2),
    "unbind": lambda x: x.unbind(1),
    "iterate": lambda x: list(x),
    "unsafe_chunk": lambda x: x.unsafe_chunk(2, 0),
    "hsplit": lambda x: x[:, :2].hsplit(2),
    "contiguous": lambda x: x.transpose(0, 1).contiguous(),
    "clone": lambda x: x.clone(),
    "cat": lambda x: torch.cat([x, x[:, :1]], 1),
    "stack": lambda x: torch.stack([x, x], 1),
    "hstack": lambda x: torch.hstack([x, x]),
    "cat_plain": lambda x: torch.cat([x, torch.ones(2, 3, 1)], 2),
    "stack_plain": lambda x: torch.stack([torch.ones(2, 3, 4), x]),
    "pad": lambda x: F.pad(x, (1, 2)),
    "pad_value": lambda x: F.pad(x, (1, 0, 2, 0), value=0.5),
    "pad_negative": lambda x: F.pad(x, (-1, 0)),
    "pad_reflect": lambda x: F.pad(x, (2, 1), mode="reflect"),
    "pad_replicate": lambda x: F.pad(x, (2, 1), mode="replicate"),
    "pad_circular": lambda x: F.pad(x, (2, 1), mode="circular"),
    "kron_free_outer": lambda x: x.unsqueeze(-1) * torch.ones(2),
    "cartesian": lambda x: torch.block_diag(x[0], x[1]),
    "swapdims": lambda x: torch.swapdims(x, 0, 1),
    "atleast": lambda x: torch.atleast_3d(x[0]),
    "view_as": lambda x: x.view_as(torch.empty(6, 4)),
    "expand_as": lambda x: x[:1].expand_as(torch.empty(2, 3, 4)),
    "T": lambda x: x[0].T,
    "t": lambda x: x[0].t(),
    "trace": lambda x: x[0].trace(),
    "diag": lambda x: x[0].diag(),
    "slice_scatter": lambda x: torch.slice_scatter(x, torch.ones(2, 1, 4), 1, 0, 1),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0] * 2, 1, 2),
    "diagonal_scatter": lambda x: torch.diagonal_scatter(x[0], torch.ones(3)),
}


@pytest.mark.parametrize("name", ONE)
def test_one_tensor(name):
    check(ONE[name], X, ulps=0.5)


IMAGES = {
    "pad2d_reflect": lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"),
    "pad2d_replicate": lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"),
    "pad2d_circular": lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"),
    "pad2d_constant": lambda x: F.pad(x, (1, 2, 2, 1), value=-1.5),
    "zero_pad": lambda x: torch.nn.ZeroPad2d(2)(x),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :4], 2),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "channels_last": lambda x: x.to(memory_format=torch.channels_last) * 1,
    "flatten_module": torch.nn.Flatten(),
    "unfold_images": lambda x: F.unfold(x, 2),
    "upsample": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image(name):
    check(IMAGES[name], IMAGE, ulps=0.5)


def test_integers_and_bools():
    check(lambda x: x.view(-1).roll(1), torch.arange(6).view(2, 3), gradients=False)
    check(lambda x: x.flip(0), torch.tensor([True, False, False]), gradients=False)


def test_meshgrid():
    check(lambda x, y: torch.meshgrid(x, y, indexing="xy"), on_grid(3), on_grid(2), ulps=0.5)


def test_pads_of_every_rank():
    for size, pad in (
        ((2, 3, 5), (2, 1)),
        ((1, 2, 3, 4), (1, 1, 2, 1)),
        ((1, 1, 3, 3, 3), (1,) * 6),
    ):
        for mode in ("reflect", "replicate"):
            check(lambda x: F.pad(x, pad, mode=mode), on_grid(*size), ulps=0.5)


LAYOUTS = {
    "expanded": lambda x: x[1:3].expand(2, 2),
    "overlapping": lambda x: x.as_strided((3, 2), (1, 1), 1),
    "transposed": lambda x: x.view(2, 3).t(),
    "stepped": lambda x: x[::2],
    "repeated": lambda x: x[2:5].view(3, 1).expand(3, 2),
}
CONVERSIONS = {
    "float": lambda x: x.float(),
    "int32": lambda x: x.to(torch.int32) + 1,
    "negative": lambda x: -x,
    "clone": lambda x: x.clone() * 2,
    "half": lambda x: x / 2,
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_public_values_in_every_layout(layout, conversion):
    plain = torch.tensor([0, 1, 2, 4, 5, 6])
    public = mpctensor.encrypt(plain).new_zeros(6) + plain
    assert public._share.public is not None, "nothing secret is in it"
    fn = lambda x: CONVERSIONS[conversion](LAYOUTS[layout](x))  # noqa: E731
    out, expected = fn(public), fn(plain)
    assert_close(out.decrypt(), expected, 0)
    ones = mpctensor.encrypt(torch.ones_like(expected))
    assert_close((ones * out).decrypt(), expected, 2)
