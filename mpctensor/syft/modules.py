"""The PySyft 0.2 verbs on modules: in place, on all float parameters and buffers; return self."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..errors import SecretLeakError
from ..grid import Grid
from ..modules import convert_module
from ..tensor import SharedTensor
from . import sharing
from .workers import DEFAULT_DIGITS, VirtualWorker, session_among

_KEY = "_mpctensor_grid"  # on each submodule, from fix_precision() to float_precision()


def _owned(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """(submodule, name, tensor) of each float parameter and buffer."""
    for part in module.modules():
        for named in (part.named_parameters(recurse=False), part.named_buffers(recurse=False)):
            for name, tensor in named:
                if tensor.is_floating_point():
                    yield part, name, tensor


def fix_precision(
    module: nn.Module, base: int = 10, precision_fractional: int = DEFAULT_DIGITS
) -> nn.Module:
    """Cut every float parameter and buffer to the grid; the module still runs on plain floats."""
    grid = Grid.make(base, precision_fractional)
    tensors = [tensor for _, _, tensor in _owned(module)]
    if any(isinstance(tensor, SharedTensor) for tensor in tensors):
        raise TypeError("fix_precision() comes before share(): this module is shared already")
    cut = [grid.truncated(tensor) for tensor in tensors]
    with torch.no_grad():
        for tensor, value in zip(tensors, cut, strict=True):
            tensor.copy_(value)
    for part in module.modules():
        setattr(part, _KEY, grid)
    return module


def float_precision(module: nn.Module) -> nn.Module:
    """End the fixed precision of a plain module: its values are rounded to the grid."""
    for part, name, tensor in _owned(module):
        if isinstance(tensor, SharedTensor):
            raise SecretLeakError(f"`{name}` is shared: module.get().float_precision() reveals it")
        grid = getattr(part, _KEY, None)
        if grid is not None:
            with torch.no_grad():
                tensor.copy_(grid.nearest(tensor))
    for part in module.modules():
        part.__dict__.pop(_KEY, None)
    return module


def share(
    module: nn.Module,
    *owners: VirtualWorker,
    crypto_provider: VirtualWorker | None = None,
    requires_grad: bool = False,
    protocol: str = "snn",
) -> nn.Module:
    """Share every float parameter and buffer among the owners.

    requires_grad, protocol: accepted for the sake of old scripts; parameters keep their own
    requires_grad, and there is one protocol suite. Errors as for tensors.
    """
    session = session_among(owners, crypto_provider)
    grids = {}
    for part, name, tensor in _owned(module):
        grids[id(tensor)] = grids[id(tensor.grad)] = _grid(part, name, tensor)

    def leaf(value: Tensor) -> Tensor:
        return sharing.share_value(value, grids[id(value)].unit, session, False)

    return convert_module(module, leaf)


def _grid(part: nn.Module, name: str, tensor: Tensor) -> Grid:
    if isinstance(tensor, SharedTensor):
        raise TypeError("this module is shared already; get() it first")
    grid: Grid | None = getattr(part, _KEY, None)
    if grid is None:
        raise TypeError(
            f"share() needs fixed precision and `{name}` of {type(part).__name__} is a float: call"
            " model.fix_precision() first, model.fix_precision().share(...)"
        )
    return grid


def get(module: nn.Module) -> nn.Module:
    """Reveal every parameter and buffer; the module runs on plain floats again."""

    def leaf(value: Tensor) -> Tensor | None:
        return sharing.revealed(value._share) if isinstance(value, SharedTensor) else None

    return convert_module(module, leaf)


def encrypt(
    module: nn.Module,
    protocol: str = "mpc",
    *,
    workers: list[VirtualWorker] | tuple[VirtualWorker, ...] = (),
    crypto_provider: VirtualWorker | None = None,
    requires_grad: bool = False,
    base: int = 10,
    precision_fractional: int = DEFAULT_DIGITS,
) -> nn.Module:
    """fix_precision() and share() in one call."""
    sharing.check_protocol(protocol)
    session_among(workers, crypto_provider)
    fixed = fix_precision(module, base, precision_fractional)
    return share(fixed, *workers, crypto_provider=crypto_provider)


def decrypt(module: nn.Module, protocol: str = "mpc") -> nn.Module:
    """get() and float_precision() in one call."""
    sharing.check_protocol(protocol)
    return float_precision(get(module))
