"""torch.optim.Adafactor on secret parameters, by torch's hooks before and after a step.

torch compares the norms of parameter and update with bounds in Python, which would make them
public. Here the larger of each pair is chosen under the protocol, and torch's own step finds no
gradient of a secret parameter left to work on. State, settings and results are torch's.
Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018,
in the form of torch.optim.Adafactor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from ..tensor import SharedTensor
from .optimizers import secret_parameters

NEGLIGIBLE = 2.0**-20  # means of squares have 42 fractional bits
_hidden: dict[int, list[tuple[Tensor, Tensor]]] = {}  # by optimizer: gradients during its step


def _before(optimizer: Optimizer, args: Sequence[Any], kwargs: Any) -> Any:
    """Take the step of the secret parameters, and hide their gradients from torch's."""
    if not isinstance(optimizer, torch.optim.Adafactor):
        return None
    secrets = secret_parameters(optimizer)
    if not secrets:
        return None
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if closure is not None:
        with torch.enable_grad():
            loss = closure()
        closure = lambda: loss  # noqa: E731
    with torch.no_grad():
        for group in optimizer.param_groups:
            _update_group(optimizer, group)
    _show(optimizer)  # of a step that did not reach its end
    _hidden[id(optimizer)] = [(p, p.grad) for p in secrets if p.grad is not None]
    for parameter, _ in _hidden[id(optimizer)]:
        parameter.grad = None
    return (optimizer,), {"closure": closure}


def _after(optimizer: Optimizer, args: Sequence[Any], kwargs: Any) -> None:
    _show(optimizer)


def _show(optimizer: Optimizer) -> None:
    """Give hidden gradients back."""
    for parameter, gradient in _hidden.pop(id(optimizer), ()):
        parameter.grad = gradient


def _update_group(optimizer: torch.optim.Adafactor, group: dict[str, Any]) -> None:
    lists: list[list[Any]] = [[] for _ in range(6)]
    optimizer._init_group(group, *lists)
    for parameter, gradient, row, column, variance, step in zip(*lists, strict=True):
        if isinstance(parameter, SharedTensor):
            step += 1
            update = -gradient if group["maximize"] else gradient
            _update(parameter, update, row, column, variance, step.item(), group)


def _update(
    parameter: Tensor,
    gradient: Tensor,
    row: Tensor | None,
    column: Tensor | None,
    variance: Tensor | None,
    step: float,
    group: dict[str, Any],
) -> None:
    """One parameter's step; row, column, variance: running means of squared gradients."""
    eps1, eps2 = group["eps"]
    eps1 = torch.finfo(parameter.dtype).eps if eps1 is None else eps1
    lr, weight = float(group["lr"]), step ** group["beta2_decay"]
    size = parameter.square().mean().sqrt().clamp(min=eps2)
    if group["weight_decay"]:
        parameter.mul_(1 - lr * group["weight_decay"])
    squares = torch.addcmul(torch.zeros_like(gradient), gradient, gradient)
    if row is None or column is None:
        assert variance is not None
        variance.lerp_(squares, weight)
        update = gradient / variance.sqrt()
    else:
        row.lerp_(squares.mean(-1, keepdim=True), weight)
        column.lerp_(squares.mean(-2, keepdim=True), weight)
        typical = row.mean(-2, keepdim=True).clamp(min=eps1)
        # torch multiplies row and column first: their product is too small for fixed point
        update = gradient / column.sqrt() / (row / typical).sqrt()
    if eps1 > NEGLIGIBLE:  # else a root that is smaller has no digits left
        bound = gradient.abs() / eps1
        update = torch.maximum(torch.minimum(update, bound), -bound)
    excess = (update.square().mean().sqrt() / group["d"]).clamp(min=1.0)
    parameter.sub_(min(lr, step**-0.5) * (update / (excess / size)))


register_optimizer_step_pre_hook(_before)
register_optimizer_step_post_hook(_after)
