"""What meets at a public position is added, averaged, multiplied, or its extremum taken.

Sums are linear. Anything else goes in levels: of what is left at a position neighbours are combined
in pairs, so that n values take ceil(log2 n) levels, whatever the others have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..share import Share
from .indexing import public_index, scatter_value
from .layout import together
from .operands import retag, shares_of, term
from .pointwise import div, product
from .registry import ATEN, implements

aten = torch.ops.aten

COMBINED: dict[str, Callable[[Share, Share], Share]] = {
    "prod": product,
    "amax": lambda x, y: mpc.maximum(x, y)[0],
    "amin": lambda x, y: mpc.minimum(x, y)[0],
}


@implements(aten.scatter_reduce.two)
def scatter_reduce(
    x: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Share:
    """What meets at a public position, with or without what was there."""
    public_index(index)
    x = term(shares_of(x, source)[0], x)
    if reduce in COMBINED:
        return _combined(x, dim, index, source, reduce, include_self)
    whole = not x.dtype.is_floating_point
    if whole and reduce == "mean":
        raise NotImplementedError('reduce="mean" of whole numbers; call float() first')
    if reduce not in ("sum", "mean"):
        raise RuntimeError(f"reduce argument must not be {reduce}")
    start = x if include_self else scatter_value(x, dim, index, 0)
    out = ATEN[aten.scatter_add.default](start, dim, index, source)
    if reduce == "sum":
        return retag(out, x.dtype)
    counts = torch.full(tuple(x.shape), int(include_self))
    counts = counts.scatter_add(dim, index, torch.ones_like(index)).clamp(min=1)
    return retag(div(out, counts), x.dtype)


def _combined(
    x: Share, dim: int, index: Tensor, source: Any, reduce: str, include_self: bool
) -> Share:
    meeting = Meeting(x.shape, dim, index, include_self)
    values = together(lambda parts: meeting.gathered(*parts), x, term(x, source))
    for left, right, alone in meeting.levels:
        pairs = COMBINED[reduce](_at(values, left), _at(values, right))
        values = together(lambda parts: torch.cat(parts), pairs, _at(values, alone))
    return retag(together(lambda parts: meeting.placed(*parts), x, values), x.dtype)


def _at(values: Share, places: Tensor) -> Share:
    return values.map(lambda part: part[places])


class Meeting:
    """Which elements of a source and of x meet, and where: all public.

    levels: (left, right, alone), positions in the values so far. The next values are those on the
    left combined with those on the right, and behind them those alone.
    """

    def __init__(self, size: torch.Size, dim: int, index: Tensor, include_self: bool) -> None:
        self._used = tuple(slice(0, n) for n in index.shape)
        places = torch.arange(size.numel()).view(size)
        within = tuple(
            slice(None) if d == dim % max(len(size), 1) else one for d, one in enumerate(self._used)
        )
        targets = places[within].gather(dim, index).reshape(-1)
        self._touched, groups = targets.unique(return_inverse=True)
        self._include_self = include_self
        if include_self:
            groups = torch.cat([groups, torch.arange(len(self._touched))])
        self.levels: list[tuple[Tensor, Tensor, Tensor]] = []
        while len(groups) > len(self._touched):
            level = _paired(groups)
            self.levels.append(level)
            groups = torch.cat([groups[level[0]], groups[level[2]]])
        self._order = groups.argsort()

    def gathered(self, x: Any, source: Any) -> Any:
        """The values that meet, as a vector."""
        values = source[self._used].reshape(-1)
        return torch.cat([values, x.reshape(-1)[self._touched]]) if self._include_self else values

    def placed(self, x: Any, values: Any) -> Any:
        """x with what is left of the values where they met."""
        return x.reshape(-1).index_copy(0, self._touched, values[self._order]).view(x.shape)


def _paired(groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours within each group, and the last one where their number is odd."""
    order = groups.argsort(stable=True)
    ranked = groups[order]
    counts = groups.bincount()[ranked]
    rank = torch.arange(len(order)) - torch.searchsorted(ranked, ranked)
    first = rank % 2 == 0
    paired = (first & (rank + 1 < counts)).nonzero().view(-1)
    return order[paired], order[paired + 1], order[first & (rank + 1 == counts)]


@implements(aten.scatter.reduce)
def scatter_with(x: Any, dim: int, index: Any, source: Any, *, reduce: str) -> Share:
    """scatter(reduce="add") and "multiply"."""
    return scatter_reduce(x, dim, index, source, {"add": "sum", "multiply": "prod"}[reduce])


@implements(aten.scatter.value_reduce)
def scatter_value_with(x: Share, dim: int, index: Any, value: float, *, reduce: str) -> Share:
    public_index(index)
    source = torch.full(tuple(index.shape), value)
    return scatter_with(x, dim, index, source, reduce=reduce)


@implements(aten.index_reduce.default)
def index_reduce(
    x: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Share:
    """scatter_reduce with one position for each slice of the source along `dim`."""
    public_index(index)
    return scatter_reduce(
        x, dim, for_every_slice(index, dim, source), source, reduce, include_self=include_self
    )


def for_every_slice(index: Tensor, dim: int, source: Any) -> Tensor:
    """One position for each slice of the source, as one for each element."""
    places = [1] * len(source.shape)
    if places:
        places[dim] = -1
    return index.view(places).expand(tuple(source.shape))
