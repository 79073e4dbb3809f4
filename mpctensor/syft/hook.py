"""`TorchHook`: gives tensors, modules and optimizers the PySyft names; all patches are here."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from . import modules, sharing
from .workers import VirtualWorker


def _in_place(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The form with a trailing underscore: the tensor object itself becomes the result."""

    def run(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        torch.utils.swap_tensors(x, method(x, *args, **kwargs))
        return x

    run.__name__ = method.__name__ + "_"
    run.__doc__ = f"`{method.__name__}` in place; returns the tensor."
    return run


def _unchanged(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Optimizer:
    """Returns the optimizer: its public numbers are exact, in fixed precision or not."""
    return optimizer


_ALIASES = {"fix_prec": "fix_precision", "float_prec": "float_precision"}
_VERBS = ("fix_precision", "float_precision", "share", "get", "encrypt", "decrypt")
_TENSOR = {name: getattr(sharing, name) for name in (*_VERBS, "copy")}
_MODULE = {name: getattr(modules, name) for name in _VERBS}
_OPTIMIZER = dict.fromkeys(("fix_precision", "float_precision"), _unchanged)
_IN_PLACE = ("fix_precision", "float_precision", "share", "get")


def _names(methods: dict[str, Any], in_place: Callable[[Any], Any]) -> dict[str, Any]:
    """The methods under all their names: aliases and trailing underscores."""
    table = dict(methods)
    table |= {short: table[name] for short, name in _ALIASES.items() if name in table}
    full = {name: _ALIASES.get(name, name) for name in table}
    return table | {f"{n}_": in_place(table[n]) for n, f in full.items() if f in _IN_PLACE}


class TorchHook:
    """`hook = TorchHook(torch)`: adds the PySyft methods to torch's classes; twice is harmless.

    torch.Tensor: fix_precision, float_precision, share, get, copy, encrypt, decrypt.
    torch.nn.Module: the same but copy, in place, returning the module. Optimizers: fix_precision
    and float_precision, which change nothing.
    """

    def __init__(self, torch_module: ModuleType = torch) -> None:
        if torch_module is not torch:
            raise TypeError(f"TorchHook takes the torch module, not {torch_module!r}")
        for owner, methods in (
            (Tensor, _names(_TENSOR, _in_place)),
            (nn.Module, _names(_MODULE, lambda method: method)),
            (Optimizer, _names(_OPTIMIZER, lambda method: method)),
        ):
            for name, method in methods.items():
                setattr(owner, name, method)
        self.local_worker = VirtualWorker(self, "me")

    def __repr__(self) -> str:
        return "<TorchHook>"
