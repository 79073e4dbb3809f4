"""Keeps secrets out of plain memory: plain leaves, plain targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SecretLeakError


class PlainLeaf(torch.autograd.Function):
    """Passes a plain tensor on to a computation on secrets; its gradient would be secret."""

    @staticmethod
    def forward(ctx: Any, plain: Tensor) -> Tensor:
        return plain.view_as(plain)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        if hasattr(gradient, "_share"):
            raise SecretLeakError(SECRET_GRADIENT)
        return gradient


SECRET_GRADIENT = (
    "a plain tensor that requires grad would receive a secret gradient: encrypt it"
    " (mpctensor.encrypt(model)), or call requires_grad_(False) on it"
)
# What autograd does to a gradient when it gives it to a leaf that has none yet.
ACCUMULATING = {"detach", "clone", "new_empty_strided"}


def check_leaf() -> None:
    """Raise SecretLeakError where autograd is about to give this gradient to a plain leaf.

    A graph of plain tensors alone passes no `PlainLeaf`; a secret enters it by backward(secret).
    """
    node = torch._C._current_autograd_node()
    leaf = getattr(node, "variable", None)
    if isinstance(leaf, Tensor) and not hasattr(leaf, "_share"):
        raise SecretLeakError(SECRET_GRADIENT)


def guarded(value: Any) -> Any:
    """The argument with every plain tensor that requires grad behind `PlainLeaf`."""
    if isinstance(value, Tensor):
        plain = value.requires_grad and not hasattr(value, "_share")
        return PlainLeaf.apply(value) if plain else value
    if type(value) in (list, tuple):
        return type(value)(guarded(v) for v in value)
    return value


def check_targets(name: str, targets: list[Any]) -> None:
    """Raise SecretLeakError where one of the tensors written to is plain."""
    for target in targets:
        if isinstance(target, (list, tuple)):
            check_targets(name, list(target))
        elif isinstance(target, Tensor) and not hasattr(target, "_share"):
            raise SecretLeakError(
                f"`{name}` would write a secret into a plain tensor of shape {tuple(target.shape)}:"
                " encrypt the target first (mpctensor.encrypt of the tensor, the model, or of the"
                " optimizer whose state it is), or decrypt() the secret"
            )


PLACES = {"index", "indices"}  # a secret mask chooses within an encrypted target


def check_places(name: str, func: Any, args: Any, kwargs: Any) -> None:
    """Raise SecretLeakError where nothing but a place is secret."""
    named = {
        argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)
    }
    secret = [key for key, value in {**named, **kwargs}.items() if _holds_secret(value)]
    if secret and PLACES.issuperset(secret):
        raise SecretLeakError(
            f"`{name}`: `{secret[0]}` is secret, and where a plain tensor changes would show it:"
            " make the result of torch.where(mask, ...) or of products with F.one_hot(index, n),"
            " or decrypt() the place"
        )


def _holds_secret(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_secret(each) for each in value)
    return hasattr(value, "_share")


def check_lists(name: str, targets: list[Any], args: list[Any]) -> None:
    """`check_targets` for a _foreach_ call: a plain target with plain arguments may pass."""
    for i, target in enumerate(targets):
        own = [arg[i] if isinstance(arg, (list, tuple)) else arg for arg in args]
        if any(hasattr(arg, "_share") for arg in own):
            check_targets(name, [target])
