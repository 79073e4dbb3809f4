"""aten ops that would show a secret, by its value or by the shape of their result."""

from __future__ import annotations

import torch

from .registry import refuse

aten = torch.ops.aten

refuse(
    "reads the value of a secret: call decrypt() if it may be known, or keep it secret with"
    " torch.where, comparisons and sums",
    aten._local_scalar_dense.default,
    aten.item.default,
    aten.is_nonzero.default,
    aten.equal.default,
    aten.allclose.default,
)
refuse(
    "gives a result whose shape depends on secret values: multiply by the mask or use torch.where,"
    " or decrypt() first",
    aten.nonzero.default,
    aten.nonzero_numpy.default,
    aten.argwhere.default,
    aten.masked_select.default,
    aten.unique_dim.default,
    aten._unique.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.bincount.default,
)
refuse(
    "counts secret values into public places: sum comparison bits ((x == v).sum()) instead",
    aten.histc.default,
    aten.histogram.bin_ct,
    aten.histogram.bins_tensor,
)
refuse(
    "draws with a secret probability, which is not implemented: draw with a public one, or"
    " decrypt() it",
    aten.bernoulli.default,
    aten.bernoulli.p,
    aten.bernoulli_.Tensor,
    aten.multinomial.default,
    aten.poisson.default,
    aten.normal.Tensor_float,
    aten.normal.Tensor_Tensor,
)
