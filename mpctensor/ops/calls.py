"""The call that the user is in: its name, and which of its arguments holds a given secret."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Call = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]


class _Outermost(threading.local):
    """The call that this thread is in."""

    name: str | None = None
    call: Call | None = None


_outermost = _Outermost()


def outermost_name() -> str | None:
    """The name of the outermost function that the user called."""
    return _outermost.name


class Named:
    """Remembers the outermost function that the user called, for messages and cost tables."""

    __slots__ = ("call", "name", "outer")

    def __init__(self, name: str | None, call: Call | None = None) -> None:
        self.name, self.call = name, call

    def __enter__(self) -> None:
        self.outer = _outermost.name, _outermost.call
        if self.outer[0] is None:
            _outermost.name = self.name
        if self.outer[1] is None:
            _outermost.call = self.call

    def __exit__(self, *exception: Any) -> None:
        _outermost.name, _outermost.call = self.outer


_OF_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x2": "other"} | dict.fromkeys(
    ("x", "a", "x1"), "input"
)


def with_torch_names(
    func: Callable[..., Any], handler: Callable[..., Any], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The keywords of a call, NumPy's names (`axis`) as torch's own where torch takes both."""
    if _OF_NUMPY.keys().isdisjoint(kwargs) or inspect.isfunction(func):
        return kwargs
    known = inspect.signature(handler).parameters if inspect.isfunction(handler) else {}
    named = {key: _OF_NUMPY.get(key, key) for key in kwargs}
    return {
        key if key in known or named[key] not in known or named[key] in kwargs else named[key]: v
        for key, v in kwargs.items()
    }


_INDEXING = {
    Tensor.__getitem__: ("x[index]", ("input", "index")),
    Tensor.__setitem__: ("x[index] = value", ("input", "index", "value")),
}


def refused_call(name: str, args: Sequence[Any]) -> str:
    """Who refuses what, in words: the user's function, with the argument that is secret.

    name, args: of the aten op, whose secrets may be made from those of the call. Functions that
    read a number before they ask anybody stay unnamed.
    """
    if _outermost.call is None:
        return "a function of torch" if name in _READING else f"`{name}`"
    func, given, kwargs = _outermost.call
    spoken, parameters = _INDEXING.get(func, (_outermost.name or name, ()))
    found = [
        (key, leaf)
        for key, value in [*_numbered(spoken, func, parameters, given), *kwargs.items()]
        for leaf in _secrets(value)
    ]
    refused = [id(leaf) for leaf in _secrets(args)]
    keys = [key for key, leaf in found if id(leaf) in refused] or [key for key, _ in found]
    return f"`{spoken}`: `{keys[-1]}` is secret, and the call" if keys else f"`{spoken}`"


_READING = {"_local_scalar_dense", "item"}


def _secrets(value: Any) -> Iterator[Any]:
    """The secrets that an argument holds, in lists and slices too."""
    if isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _secrets(each)
    elif hasattr(value, "_share"):
        yield value


def _numbered(
    name: str, func: Any, parameters: Sequence[str], args: Sequence[Any]
) -> Iterator[tuple[str, Any]]:
    """(parameter, value) of the arguments by position; sizes one by one are of the last."""
    names = parameters or _parameters(name, func, len(args)) or ("input",)
    for place, value in enumerate(args):
        key = names[min(place, len(names) - 1)]
        yield "input" if key == "self" else key, value


def _parameters(name: str, func: Any, count: int) -> list[str]:
    """The names of a function's parameters: by Python, or by the aten overload that fits."""
    try:
        found = list(inspect.signature(func).parameters.values())
    except ValueError:  # it is not written in Python
        found = []
    if found and found[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        return [p.name for p in found]
    packet = getattr(torch.ops.aten, name, None)
    overloads = [] if packet is None else [getattr(packet, o) for o in packet.overloads()]
    sizes = [[a.name for a in o._schema.arguments if not a.kwarg_only] for o in overloads]
    return min(sizes, key=lambda names: (len(names) < count, len(names)), default=[])
