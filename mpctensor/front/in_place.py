"""In-place forms of functions that are caught whole: these, of a copy, written over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..ops.registry import FRONT
from . import curves, pieces, running, scatter  # noqa: F401 (enter the functions)


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    def handler(input: Any, *args: Any, **kwargs: Any) -> Any:
        return input.copy_(function(input.clone(), *args, **kwargs))  # gradients read the copy

    return handler


_NAMES = (
    *("exp2", "erf", "erfc", "atan", "arctan", "logit"),
    *("abs", "absolute", "pow", "sgn", "copysign"),
)
for _name in (*_NAMES, "cumprod", "scatter_reduce", "index_reduce"):
    for _owner in (torch, Tensor):
        if hasattr(_owner, f"{_name}_"):
            FRONT[getattr(_owner, f"{_name}_")] = _written(FRONT[getattr(Tensor, _name)])
FRONT[Tensor.__ipow__] = FRONT[Tensor.pow_]
