"""Correlated randomness: what can be asked for, how it is dealt, how parties expand their share."""

from .client import Dealt, PartyKeys
from .dealer import Dealer, Provider, bilinear
from .foresight import Step, foresee
from .remote import RemoteProvider
from .requests import BitView, Item, MaskView, Operand, Request
from .service import Service

__all__ = [
    "BitView",
    "Dealer",
    "Dealt",
    "Item",
    "MaskView",
    "Operand",
    "PartyKeys",
    "Provider",
    "RemoteProvider",
    "Request",
    "Service",
    "Step",
    "bilinear",
    "foresee",
]
