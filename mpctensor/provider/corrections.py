"""Corrections on the wire: a dealt item as the bytes that matter.

An item is a tensor of 64-bit words. Where a truncation needs the low bits of each word only, whole
bytes of the rest are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from ..network import Channel, bytes_of
from .requests import Item, Request


def width(item: Item) -> int:
    """Bytes that travel for each word of an item."""
    words = prod(item.size)
    return 8 if item.kind == "xor" or words == 0 else -(-item.bits // (8 * words))


def wire_size(request: Request) -> int:
    """Bytes of all corrections of a request."""
    return sum(width(item) * prod(item.size) for item in request.layout)


def packed(request: Request, dealt: Sequence[Tensor]) -> list[Tensor]:
    """What travels: the items as contiguous tensors, cut to their width."""
    pairs = zip(request.layout, dealt, strict=True)
    return [_cut(value.contiguous(), width(item)) for item, value in pairs]


def _cut(value: Tensor, width: int) -> Tensor:
    if width == 8:
        return value
    return value.view(-1, 1).view(torch.uint8)[:, :width].contiguous()


def receive(channel: Channel, request: Request) -> list[Tensor]:
    """The items of a request, read from the channel; high bits that did not travel are 0."""
    return [receive_item(channel, item) for item in request.layout]


def receive_item(channel: Channel, item: Item) -> Tensor:
    """The next item."""
    cut = width(item)
    if cut == 8:
        value = torch.empty(item.size, dtype=torch.int64)
        channel.receive_into(bytes_of(value))
        return value
    travelled = torch.empty(prod(item.size), cut, dtype=torch.uint8)
    channel.receive_into(bytes_of(travelled))
    words = torch.zeros(prod(item.size), 8, dtype=torch.uint8)
    words[:, :cut] = travelled
    return words.view(torch.int64).view(item.size)
