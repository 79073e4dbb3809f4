"""Correlated randomness: what can be asked for, how it is dealt, how parties expand their share."""

from . import wire
from .checks import check
from .client import Dealt, PartyKeys
from .dealer import Dealer, Provider
from .foresight import Step, foresee
from .limits import Limits, Quota
from .products import bilinear, product_size
from .remote import RemoteProvider
from .requests import BitView, Item, MaskView, Operand, Request
from .service import Service
from .spool import check_new

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
    "RemoteProvider",
    "Request",
    "Service",
    "Step",
    "bilinear",
    "check",
    "check_new",
    "foresee",
    "product_size",
    "wire",
]
