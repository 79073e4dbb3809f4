"""Rounds that the parameters of an optimizer share, by torch's hooks before and after a step.

Unless `foreach` says otherwise, a group of secret parameters is updated by torch's _foreach_
operations, which take the rounds of one parameter (see ops.foreach): the step is taken by an alias
of the optimizer, whose groups say so. After the step those parameters that stood in a product
before are truncated for the next one, in one round.
"""

from __future__ import annotations

from collections import UserDict
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from .. import protocols as mpc
from ..tensor import SharedTensor
from .optimizers import secret_parameters

_factors: WeakKeyDictionary[Optimizer, list[SharedTensor]] = WeakKeyDictionary()


def _before(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
    """The call of the step, made on an alias of the optimizer where groups can be joined."""
    _factors[optimizer] = [p for p in secret_parameters(optimizer) if mpc.is_fitted(p._share)]
    if any(map(_can_be_joined, optimizer.param_groups)):
        return (_alias(optimizer), *args[1:]), kwargs
    return None


def _after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    by_session: dict[Any, list[Any]] = {}
    for parameter in _factors.pop(optimizer, ()):  # or a step within this one did it
        share = parameter._share
        by_session.setdefault(share.session, []).append(share)
    for session, shares in by_session.items():
        with session.operation("optimizer_step"):
            mpc.fit_all(*shares)


class _Joined(UserDict[str, Any]):
    """A group of parameters itself, but that `foreach` reads as True."""

    def __init__(self, group: dict[str, Any]) -> None:
        self.data = group

    def __getitem__(self, key: str) -> Any:
        return True if key == "foreach" else self.data[key]


def _groups(alias: Any) -> list[Any]:
    groups = vars(alias)["param_groups"]
    return [_Joined(group) if _can_be_joined(group) else group for group in groups]


@cache
def _joining(kind: Any) -> Any:
    """The class of aliases of such an optimizer."""
    return type(kind.__name__, (kind,), {"param_groups": property(_groups)})


def _alias(optimizer: Optimizer) -> Any:
    """An object with the very attributes of the optimizer, but for how its groups read."""
    kind: Any = type(optimizer)
    alias = object.__new__(_joining(kind))
    alias.__dict__ = optimizer.__dict__
    return alias


def _can_be_joined(group: Any) -> bool:
    """Whether torch is free to choose, and would choose one parameter after the other."""
    free = group.get("foreach", False) is None and not group.get("fused")
    secret = all(isinstance(parameter, SharedTensor) for parameter in group["params"])
    settings = (group.get("lr"), *group.get("betas", ()))
    plain = not any(isinstance(value, Tensor) for value in settings)  # else torch refuses
    return free and secret and plain and not group.get("differentiable")


register_optimizer_step_pre_hook(_before)
register_optimizer_step_post_hook(_after)
