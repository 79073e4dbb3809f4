"""Calls that would show a secret to Python: each says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from ..errors import SecretLeakError, UnsupportedOperationError
from ..ops.refusals import spoken
from ..ops.registry import FRONT, front
from ..tensor import SharedTensor, become

_VALUE = "call decrypt() to learn the value, if it may be known"
_BRANCH = (
    "a branch would show the secret: use torch.where(condition, x, y) or multiply by the condition,"
    " or decrypt() it"
)


def _refusal(name: str, advice: str) -> Callable[..., NoReturn]:
    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        values = (*args, *kwargs.values())
        secret = next(value for value in values if isinstance(value, SharedTensor))
        way = spoken(secret._held.session, advice)
        raise SecretLeakError(f"`{name}` of a SharedTensor: {way}")

    return refused


for _name in ("item", "numpy", "tolist", "__float__", "__int__", "__complex__", "__array__"):
    FRONT[getattr(Tensor, _name)] = _refusal(_name.strip("_"), _VALUE)
FRONT[Tensor.__format__] = _refusal("format", _VALUE + "; repr(x) shows shape and parties")
FRONT[Tensor.__bool__] = _refusal("bool", _BRANCH)
FRONT[Tensor.__index__] = _refusal("index", "a secret cannot be a position or a size; " + _VALUE)
_MEMORY = (
    *("__dlpack__", "__dlpack_device__", "data_ptr", "untyped_storage", "storage", "set_"),
    *("share_memory_", "is_shared", "pin_memory", "is_pinned", "resize_", "resize_as_"),
)
for _name in _MEMORY:
    FRONT[getattr(Tensor, _name)] = _refusal(
        _name.strip("_"),
        "shares are no plain memory (which torch.export and other tracers look for); decrypt() it,"
        " or read `shares`",
    )
FRONT[Tensor.__contains__] = _refusal("in", "use (x == value).any(), which stays secret")
FRONT[torch.equal] = _refusal("equal", "use (x == y).all(), which stays secret, or decrypt()")
FRONT[Tensor.equal] = FRONT[torch.equal]
FRONT[torch.allclose] = _refusal("allclose", "compare with <, which stays secret, or decrypt()")
FRONT[Tensor.allclose] = FRONT[torch.allclose]


@front(Tensor.data.__set__)  # type: ignore[attr-defined]
def set_data(target: Any, value: Any) -> None:
    """`target.data = value`: the target becomes an alias of the value, as in torch."""
    if not isinstance(target, SharedTensor) or not isinstance(value, SharedTensor):
        raise SecretLeakError(
            "`.data` of a SharedTensor was set to a plain tensor: encrypt it first,"
            " x.data = mpctensor.encrypt(value), or write x.data.copy_(value)"
        )
    become(target, value._share)


@front(Tensor.to)
def to(x: Any, *args: Any, **kwargs: Any) -> Any:
    """As torch's, but for other devices, which torch itself may lack."""
    target = kwargs.get("device", args[0] if args else None)
    if isinstance(target, (str, int, torch.device)):
        _check_device(torch.device(target).type)
    return x.to(*args, **kwargs)


def _elsewhere(name: str) -> Callable[..., NoReturn]:
    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        _check_device(name)
        raise AssertionError

    return refused


def _check_device(kind: str) -> None:
    if kind != "cpu":
        raise UnsupportedOperationError(
            f"shares live on the CPU, and `{kind}` is not available to them: leave them there, and"
            " encrypt plain tensors after moving them to the CPU"
        )


for _name in ("cuda", "xpu"):
    FRONT[getattr(Tensor, _name)] = _elsewhere(_name)
