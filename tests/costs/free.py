"""Linear maps with public structure, and new public tensors: exact, without messages or dealing.

Each by a call on a secret 8 x 16 table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tests.costs.call import over
from tests.plaintext import on_grid

TABLE = on_grid(8, 16)
MASK = TABLE > 0
AT = torch.tensor([3, 0, 6, 3])
ACROSS = torch.tensor([[0], [3], [5], [1], [7], [2], [2], [4]])

FREE: dict[str, Callable[[Any], Any]] = {
    # Shapes, of an 8 x 16 table
    "as_strided": over(torch.as_strided, (3, 4), (2, 1)),
    "as_strided_scatter": lambda x: x.as_strided_scatter(x[:3, :4] + 1, (3, 4), (8, 1)),
    "cat": lambda x: torch.cat([x, x]),
    "channel_shuffle": lambda x: F.channel_shuffle(x.view(1, 4, 4, 8), 2),
    "chunk": over(torch.chunk, 3),
    "concat": lambda x: torch.concat([x, x], 1),
    "conj": torch.conj,
    "constant_pad_nd": over(torch.constant_pad_nd, (1, 2), 0.5),
    "contiguous": lambda x: x.t().contiguous(),
    "diag_embed": torch.diag_embed,
    "diagonal": over(torch.diagonal, 1),
    "diagonal_scatter": lambda x: x.diagonal_scatter(x[:, 0]),
    "expand": lambda x: x.expand(2, 8, 16),
    "flatten": torch.flatten,
    "flip": over(torch.flip, (0, 1)),
    "meshgrid": lambda x: torch.meshgrid(x[0], x[:, 0], indexing="ij"),
    "movedim": over(torch.movedim, 0, 1),
    "narrow": over(torch.narrow, 1, 2, 5),
    "permute": over(torch.permute, (1, 0)),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.view(1, 4, 4, 8), 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x.view(1, 1, 8, 16), 2),
    "repeat": lambda x: x.repeat(2, 1),
    "repeat_interleave": over(torch.repeat_interleave, 2),
    "reshape": over(torch.reshape, (4, -1)),
    "resolve_conj": torch.resolve_conj,
    "roll": over(torch.roll, 3),
    "rot90": torch.rot90,
    "select": over(torch.select, 1, 2),
    "select_scatter": lambda x: x.select_scatter(x[:, 0], 1, 2),
    "set_": lambda x: torch.zeros_like(x).set_(x.flip(0)),
    "slice_copy": over(torch.slice_copy, 1, 2, 9, 3),
    "slice_scatter": lambda x: x.slice_scatter(x[:4], 0, 2, 6),
    "split": over(torch.split, 3),
    "split_with_sizes": over(torch.split_with_sizes, (3, 5)),
    "squeeze": lambda x: x[:1].squeeze(0),
    "stack": lambda x: torch.stack([x, x], 1),
    "t": torch.t,
    "tensor_split": over(torch.tensor_split, 3),
    "tile": over(torch.tile, (2,)),
    "trace": torch.trace,
    "transpose": over(torch.transpose, 0, 1),
    "tril": torch.tril,
    "triu": torch.triu,
    "unbind": torch.unbind,
    "unflatten": over(torch.unflatten, 1, (4, 4)),
    "unfold": lambda x: x.unfold(1, 4, 2),
    "unsqueeze": over(torch.unsqueeze, 1),
    "view": lambda x: x.view(4, 32),
    # Public positions
    "embedding, public index": lambda x: F.embedding(AT, x),
    "gather, public index": over(torch.gather, 1, ACROSS),
    "index": lambda x: x[AT, :2],
    "index_add": lambda x: x.index_add(0, AT, x[:4]),
    "index_copy": lambda x: x.index_copy(0, AT[:3], x[:3]),
    "index_fill": over(torch.index_fill, 0, AT, 0.5),
    "index_put": lambda x: x.index_put((AT,), x[0], accumulate=True),
    "index_select": over(torch.index_select, 0, AT),
    "masked_fill, public mask": lambda x: x.masked_fill(MASK, 0.5),
    "masked_scatter": lambda x: x.masked_scatter(MASK, x.flip(0)),
    "put": lambda x: x.put(AT[:3], x[0, :3]),
    "scatter": lambda x: x.scatter(1, ACROSS, x),
    "scatter_reduce": lambda x: x.scatter_reduce(1, ACROSS, x, "sum"),
    "scatter_add": lambda x: x.scatter_add(1, ACROSS, x),
    "take": over(torch.take, AT),
    "take_along_dim, public index": over(torch.take_along_dim, ACROSS, 1),
    "where, public mask": lambda x: torch.where(MASK, x, x.flip(0)),
    # New tensors
    "clone": torch.clone,
    "copy_": lambda x: x.clone().copy_(x[0]),
    "detach": torch.detach,
    "fill_": lambda x: x.clone().fill_(0.5),
    "full_like": over(torch.full_like, 0.5),
    "isfinite": torch.isfinite,
    "isinf": torch.isinf,
    "isnan": torch.isnan,
    "isneginf": torch.isneginf,
    "isposinf": torch.isposinf,
    "new_full": lambda x: x.new_full((3,), 0.5),
    "new_ones": lambda x: x.new_ones(3),
    "new_zeros": lambda x: x.new_zeros(3),
    "ones_like": torch.ones_like,
    "zero_": lambda x: x.clone().zero_(),
    "zeros_like": torch.zeros_like,
    "empty_like": lambda x: torch.empty_like(x).zero_(),
    "new_empty": lambda x: x.new_empty(3).zero_(),
    "new_empty_strided": lambda x: x.new_empty_strided((2, 3), (3, 1)).zero_(),
}
