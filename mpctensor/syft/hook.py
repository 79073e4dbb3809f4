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


_TENSOR = {
    "fix_precision": sharing.fix_precision,
    "fix_prec": sharing.fix_precision,
    "float_precision": sharing.float_precision,
    "float_prec": sharing.float_precision,
    "share": sharing.share,
    "get": sharing.get,
}
_TENSOR |= {f"{name}_": _in_place(method) for name, method in _TENSOR.items()}
_TENSOR |= {"copy": sharing.copy, "encrypt": sharing.encrypt, "decrypt": sharing.decrypt}

_MODULE = {
    "fix_precision": modules.fix_precision,
    "fix_prec": modules.fix_precision,
    "float_precision": modules.float_precision,
    "float_prec": modules.float_precision,
    "share": modules.share,
    "get": modules.get,
}
_MODULE |= {f"{name}_": method for name, method in _MODULE.items()}
_MODULE |= {"encrypt": modules.encrypt, "decrypt": modules.decrypt}

_OPTIMIZER = dict.fromkeys(
    ("fix_precision", "fix_prec", "float_precision", "float_prec"), _unchanged
)
_OPTIMIZER |= {f"{name}_": method for name, method in _OPTIMIZER.items()}


class TorchHook:
    """`hook = TorchHook(torch)`: adds the PySyft methods to torch's classes; twice is harmless.

    torch.Tensor: fix_precision, float_precision, share, get, copy, encrypt, decrypt.
    torch.nn.Module: the same but copy, in place, returning the module. Optimizers: fix_precision
    and float_precision, which change nothing.
    """

    def __init__(self, torch_module: ModuleType = torch) -> None:
        if torch_module is not torch:
            raise TypeError(f"TorchHook takes the torch module, not {torch_module!r}")
        for owner, methods in ((Tensor, _TENSOR), (nn.Module, _MODULE), (Optimizer, _OPTIMIZER)):
            for name, method in methods.items():
                setattr(owner, name, method)
        self.local_worker = VirtualWorker(self, "me")

    def __repr__(self) -> str:
        return "<TorchHook>"
