"""Correlated randomness: what can be asked for, how it is dealt, how parties expand their share."""

from .client import Dealt, PartyKeys
from .dealer import Dealer, Provider, bilinear
from .requests import BitView, Item, MaskView, Operand, Request

__all__ = [
    "BitView",
    "Dealer",
    "Dealt",
    "Item",
    "MaskView",
    "Operand",
    "PartyKeys",
    "Provider",
    "Request",
    "bilinear",
]
