"""What a call writes to: the targets of in-place operations and of out=."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from .guard import check_targets


def written_arguments(func: OpOverload) -> list[tuple[int, str]]:
    """(position, name) of the arguments that a call of this overload writes to."""
    return [
        (i, argument.name)
        for i, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def argument(place: tuple[int, str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a call gives for the argument at (position, name); None where it says nothing."""
    position, name = place
    return args[position] if position < len(args) else kwargs.get(name)


def copied(targets: Sequence[Tensor], results: Sequence[Tensor], checked: bool) -> None:
    """Copy results into what a call writes to. checked: shapes and dtypes, as for out=."""
    for target, value in zip(targets, results, strict=True):
        if checked and target.shape != value.shape:
            raise RuntimeError(f"`out` has shape {tuple(target.shape)}, not {tuple(value.shape)}")
        if checked and not torch.can_cast(value.dtype, target.dtype):
            raise RuntimeError(f"`out` has dtype {target.dtype}, to which {value.dtype} can't cast")
    for target, value in zip(targets, results, strict=True):
        target.copy_(value)


def into(out: Any, name: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the front door with out=: its results are copied there, without a gradient."""
    targets = list(out) if isinstance(out, (list, tuple)) else [out]
    check_targets(name, targets)

    def run(*args: Any, **kwargs: Any) -> Any:
        inputs = [*args, *kwargs.values(), *targets]
        if torch.is_grad_enabled() and any(getattr(v, "requires_grad", False) for v in inputs):
            raise RuntimeError(
                f"{name}(): functions with out=... arguments don't support automatic"
                " differentiation, but one of the arguments requires grad"
            )
        results = handler(*args, **kwargs)
        several = isinstance(results, tuple)
        copied(targets, results if several else [results], checked=True)
        return type(out)(targets) if several else targets[0]

    return run
