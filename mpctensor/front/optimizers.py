"""Optimizers of torch that decide by secret values, refused before their step begins.

All others run as they are, on operations in `ops`. The refusal hangs on torch's own hook for steps.
Here too: GradScaler, which reads gradients to find infinities.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from ..errors import UnsupportedOperationError
from ..ops.registry import front
from ..tensor import SharedTensor

_BRANCHING = {
    torch.optim.LBFGS: "it stops, and searches along a line, by the values of loss and gradient:"
    " use Adam, or SGD with momentum",
    torch.optim.SparseAdam: "the places of a sparse gradient would be public: use Adam",
}


def _refuse_branching(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Raise UnsupportedOperationError for an optimizer of secrets that needs their values."""
    for kind, reason in _BRANCHING.items():
        if isinstance(optimizer, kind) and secret_parameters(optimizer):
            raise UnsupportedOperationError(
                f"torch.optim.{kind.__name__} cannot train secret parameters, because {reason}"
            )


def secret_parameters(optimizer: Optimizer) -> list[SharedTensor]:
    """The secret ones among an optimizer's parameters, in its order."""
    groups = optimizer.param_groups
    return [p for group in groups for p in group["params"] if isinstance(p, SharedTensor)]


@front(torch._amp_foreach_non_finite_check_and_unscale_)
def unscale(*arguments: Any) -> NoReturn:
    raise UnsupportedOperationError(
        "`GradScaler` has no use on secret gradients: fixed-point numbers are always"
        " finite; leave it out, and call backward() and step() themselves"
    )


register_optimizer_step_pre_hook(_refuse_branching)
