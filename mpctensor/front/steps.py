"""Rounds that the parameters of an optimizer share, by torch's hooks before and after a step.

Unless `foreach` says otherwise, a group of secret parameters is updated by torch's _foreach_
operations, which take the rounds of one parameter (see ops.foreach). After the step those
parameters that stood in a product before are truncated for the next one, in one round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from .. import protocols as mpc
from ..tensor import SharedTensor
from .optimizers import secret_parameters


@dataclass(frozen=True)
class _Step:
    """groups: those that are to be joined for this step. factors: of products before it."""

    groups: list[dict[str, Any]]
    factors: list[SharedTensor]


_running: dict[int, _Step] = {}  # by optimizer


def _before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    _restore(optimizer)  # after a step that did not reach its end
    groups = [group for group in optimizer.param_groups if _can_be_joined(group)]
    factors = [p for p in secret_parameters(optimizer) if mpc.is_fitted(p._share)]
    _running[id(optimizer)] = _Step(groups, factors)
    for group in groups:
        group["foreach"] = True


def _after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    by_session: dict[Any, list[Any]] = {}
    for parameter in _restore(optimizer):
        share = parameter._share
        by_session.setdefault(share.session, []).append(share)
    for session, shares in by_session.items():
        with session.operation("optimizer_step"):
            mpc.fit_all(*shares)


def _restore(optimizer: Optimizer) -> list[SharedTensor]:
    """Give the groups their setting back; the factors that the step was noted with."""
    step = _running.pop(id(optimizer), _Step([], []))
    for group in step.groups:
        group["foreach"] = None
    return step.factors


def _can_be_joined(group: dict[str, Any]) -> bool:
    """Whether torch is free to choose, and would choose one parameter after the other."""
    free = group.get("foreach", False) is None and not group.get("fused")
    secret = all(isinstance(parameter, SharedTensor) for parameter in group["params"])
    settings = (group.get("lr"), *group.get("betas", ()))
    plain = not any(isinstance(value, Tensor) for value in settings)  # else torch refuses
    return free and secret and plain and not group.get("differentiable")


register_optimizer_step_pre_hook(_before)
register_optimizer_step_post_hook(_after)
