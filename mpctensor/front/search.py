"""searchsorted and bucketize: between which bounds a secret lies, as a secret position."""

from __future__ import annotations

from typing import Any

import torch

from .. import protocols as mpc
from ..ops.operands import shares_of, term
from ..ops.registry import front
from ..tensor import SharedTensor, on_zeros, wrap
from .positions import gather


@front(torch.searchsorted)
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """torch.searchsorted; values, bounds or both may be secret. See `protocols.count_reached`."""
    options = {"out_int32": out_int32, "right": right, "side": side}
    on_zeros(torch.searchsorted, sorted_sequence, input, **options)
    with torch.no_grad():
        bounds = sorted_sequence if sorter is None else gather(sorted_sequence, -1, sorter)
        held = [v._share if isinstance(v, SharedTensor) else v for v in (input, bounds)]
        like = shares_of(*held)[0]
        with like.session.operation("searchsorted"):
            x, row = (term(like, v) for v in held)
            count = mpc.count_reached(x, row, right or side == "right")
        out = wrap(count)
        return out.to(torch.int32) if out_int32 else out


@front(torch.bucketize)
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """torch.bucketize: `searchsorted` with its arguments turned round."""
    on_zeros(torch.bucketize, input, boundaries)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
