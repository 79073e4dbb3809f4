"""Correlated randomness: what can be asked for, how it is dealt, how parties expand their share."""

from . import wire
from .checks import check
from .client import Dealt, PartyKeys
from .dealer import Dealer, Provider
from .limits import Limits, Quota
from .products import bilinear, product_size
from .requests import BitView, Item, MaskView, Operand, Request

__all__ = [
    "BitView",
    "Dealer",
    "Dealt",
    "Item",
    "Limits",
    "MaskView",
    "Operand",
    "PartyKeys",
    "Provider",
    "Quota",
    "Request",
    "bilinear",
    "check",
    "product_size",
    "wire",
]
