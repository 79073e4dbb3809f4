"""Calls that would show a secret to Python: each says what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from ..errors import SecretBranchError, SecretLeakError, UnsupportedOperationError
from ..ops.refusals import spoken
from ..ops.registry import FRONT, front
from ..tensor import SharedTensor, become

_VALUE = "call decrypt() to learn the value, if it may be known"
_BRANCH = (
    "a branch would show the secret: use torch.where(condition, x, y) or multiply by the condition,"
    " or decrypt() it; settings that Python reads must be public, such as an optimizer's `lr`, and"
    " a plain Transformer with a secret mask is told `is_causal=False`"
)


def _unless_public(name: str, advice: str) -> Callable[..., Any]:
    """bool and item of a bit that everybody knows, as those of isnan are; refused for others."""
    refused = _refusal(name, advice, SecretBranchError if name == "bool" else SecretLeakError)

    def read(x: Any, *args: Any) -> bool:
        known = x._share.public if x.dtype is torch.bool and x.numel() == 1 else None
        return refused(x) if known is None else bool(known)

    return read


def _refusal(
    name: str, advice: str, error: type[SecretLeakError] = SecretLeakError
) -> Callable[..., NoReturn]:
    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        values = (*args, *kwargs.values())
        secret = next(value for value in values if isinstance(value, SharedTensor))
        way = spoken(secret._held.session, advice)
        raise error(f"`{name}` of a SharedTensor: {way}")

    return refused


for _name in ("numpy", "tolist", "__array__"):
    FRONT[getattr(Tensor, _name)] = _refusal(_name.strip("_"), _VALUE)
for _name in ("__float__", "__int__", "__complex__"):
    FRONT[getattr(Tensor, _name)] = _refusal(
        _name.strip("_"),
        "used as a plain number, such as a size, a seed, an argument of math's functions or the"
        " `max_norm` of clip_grad_norm_, it would show: compute with torch's functions (gradients"
        " times (max_norm / norm).clamp(max=1)), or " + _VALUE,
    )
FRONT[Tensor.__format__] = _refusal("format", _VALUE + "; repr(x) shows shape and parties")
FRONT[Tensor.__bool__] = _unless_public("bool", _BRANCH)
FRONT[Tensor.item] = _unless_public("item", _VALUE)
FRONT[Tensor.__index__] = _refusal(
    "index",
    "used as an index, a size or in range(), it would show: gather and torch.take_along_dim read at"
    " a secret position, a mask (torch.arange(n) < size) stands for a size; or " + _VALUE,
)
_MEMORY = (
    *("__dlpack__", "__dlpack_device__", "data_ptr", "untyped_storage", "storage", "set_"),
    *("share_memory_", "is_shared", "pin_memory", "is_pinned", "resize_"),
)
for _name in _MEMORY:
    FRONT[getattr(Tensor, _name)] = _refusal(
        _name.strip("_"),
        "shares are no plain memory (which torch.export and other tracers look for); decrypt() it,"
        " or read `shares`",
    )
FRONT[Tensor.resize_as_] = _refusal(
    "resize_as_", "make a tensor of that shape; nn.LocalResponseNorm stands in for CrossMapLRN2d"
)
for _name in ("apply_", "map_", "map2_"):
    FRONT[getattr(Tensor, _name)] = _refusal(
        _name, "a function of Python would see the values: use torch's functions, or decrypt() it"
    )
FRONT[Tensor.__contains__] = _refusal("in", "use (x == value).any(), which stays secret")
FRONT[torch.equal] = _refusal("equal", "use (x == y).all(), which stays secret, or decrypt()")
FRONT[Tensor.equal] = FRONT[torch.equal]
FRONT[torch.allclose] = _refusal("allclose", "compare with <, which stays secret, or decrypt()")
FRONT[Tensor.allclose] = FRONT[torch.allclose]


@front(torch.tensor_split, Tensor.tensor_split)
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    if isinstance(indices_or_sections, SharedTensor):
        raise SecretLeakError(
            "`tensor_split`: `indices_or_sections` is secret, and the shapes of the pieces would"
            " show it: multiply with masks (torch.arange(n) < position), or decrypt() it"
        )
    return torch.tensor_split(input, indices_or_sections, dim)


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
