"""One-hot rows of a mask: what a secret position is looked up with.

For c = x + r, modulo 2^bits, x is v exactly where r is c - v: entry c - v of the dealt row.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .requests import LAYOUTS, Item, Request

if TYPE_CHECKING:
    from .dealer import Dealer


def _one_hot_layout(request: Request) -> tuple[Item, ...]:
    (bits,) = request.params
    size = (prod(request.operands[0].size), 1 << bits)
    return (Item("add", size, 64 * prod(size), 0),)


def _deal_one_hot(dealer: Dealer, request: Request) -> list[Tensor]:
    """For each element of the mask the row with 1 at r mod 2^bits."""
    (bits,) = request.params
    position = dealer.flat(request.operands[0]) & ((1 << bits) - 1)
    rows = torch.zeros(position.numel(), 1 << bits, dtype=torch.int64)
    rows.scatter_(1, position.unsqueeze(1), 1)
    return [dealer.corrections(rows, request, 0)]


DEALS: dict[str, Callable[[Dealer, Request], list[Tensor]]] = {"one_hot": _deal_one_hot}
LAYOUTS["one_hot"] = _one_hot_layout
