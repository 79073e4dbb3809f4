"""Overloads without a handler of their own, expressed by others that have one.

In order: an in-place or out= variant by its functional twin, a _foreach_ op by calls for one tensor
or for joined ones (foreach.py), a composite by `decompose()`, the rest by torch's own decomposition
table and, inside that, prims by aten ops.
The functions made here take the call's own tensors (wrappers) and call torch again, so that every
piece passes through the dispatch once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._decomp import decomposition_table
from torch._ops import OpOverload

from .creation import write
from .foreach import each, is_foreach
from .registry import ATEN, REFUSED, Handler
from .written import argument, copied, written_arguments

aten = torch.ops.aten
Rewritten = Callable[..., Any]


def functional_twin(func: OpOverload) -> OpOverload | None:
    """The overload with the same arguments that writes nowhere: add.Tensor for add_.Tensor."""
    written = {name for _, name in written_arguments(func)}
    if not written:
        return None
    namespace, _, name = func._schema.name.partition("::")
    in_place = name.endswith("_") and not name.endswith("__")
    base = name[:-1] if in_place else name
    packet = getattr(getattr(torch.ops, namespace), base, None)
    if packet is None:
        return None
    wanted = _signature(func, written if not in_place else set())
    for overload in packet.overloads():
        twin: OpOverload = getattr(packet, overload)
        if not written_arguments(twin) and _signature(twin, set()) == wanted:
            return twin
    return None


def reshapes_in_place(func: OpOverload) -> bool:
    """Whether an overload changes what its argument shows, writing nothing: squeeze_, t_, set_."""
    if func is aten.set_.source_Tensor:
        return True
    if not written_arguments(func) or not func._schema.name.endswith("_"):
        return False
    twin = functional_twin(func)
    if twin is None or len(twin._schema.returns) != 1:
        return False
    alias = twin._schema.returns[0].alias_info
    return alias is not None and not alias.is_write


def _signature(func: OpOverload, without: set[str]) -> list[tuple[str, str]]:
    return [(a.name, str(a.type)) for a in func._schema.arguments if a.name not in without]


def rewritten(func: OpOverload) -> Rewritten | None:
    """A function of the same arguments that computes the overload by other ones, or None."""
    if is_foreach(func):
        return each(func)
    if func._can_decompose():
        return func.decompose
    if func in decomposition_table:
        return decomposition_table[func]
    if func.namespace == "prims":
        return func.impl_aten  # type: ignore[attr-defined]
    return None


def resolved(func: Any) -> tuple[Handler | None, Rewritten | None]:
    """(handler on Shares, function on wrappers): the first that exists is used."""
    if func in REFUSED:
        return None, None
    if func in ATEN:
        return ATEN[func], None
    if is_foreach(func):
        return None, rewritten(func)
    twin = functional_twin(func)
    if twin is not None and (twin in ATEN or twin in REFUSED or rewritten(twin) is not None):
        in_place = func._schema.name.endswith("_")
        if reshapes_in_place(func) and twin in ATEN:
            return ATEN[twin], None
        if in_place and twin in ATEN:
            compute = ATEN[twin]
            return (
                lambda target, *args, **kwargs: write(target, compute(target, *args, **kwargs))
            ), None
        return None, _through_twin(func, twin)
    return None, rewritten(func)


def _through_twin(func: Any, twin: Any) -> Callable[..., Any]:
    """Run the functional twin and copy its results into what the overload writes to."""
    places = written_arguments(func)
    in_place = func._schema.name.endswith("_")

    def run(*args: Any, **kwargs: Any) -> Any:
        targets = [argument(place, args, kwargs) for place in places]
        if not in_place:
            names = {name for _, name in places}
            kwargs = {key: value for key, value in kwargs.items() if key not in names}
        results = twin(*args, **kwargs)
        copied(targets, results if len(places) > 1 else [results], checked=not in_place)
        return targets[0] if len(targets) == 1 else tuple(targets)

    return run
