"""The _foreach_ operations: tensors that go alike are joined, so that all take the rounds of one.

An optimizer's step thus costs as many rounds for a hundred parameters as for one. Tensors go alike
where all of them, and what stands beside them in other lists, have the same scales and numbers;
the rest, plain tensors among them, is called one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from .lineage import inherit, inherit_joined, is_nonnegative, lineage_of, quotient_of

aten = torch.ops.aten

# Operations on each element by itself; norms and maxima of a tensor are not.
JOINED = {
    *("abs", "add", "addcdiv", "addcmul", "clamp_max", "clamp_min", "copy", "div", "exp", "lerp"),
    *("log", "maximum", "minimum", "mul", "reciprocal", "rsqrt", "sigmoid", "sign", "sqrt", "sub"),
    *("tanh",),
}


def is_foreach(func: OpOverload) -> bool:
    return func._schema.name.startswith("aten::_foreach_")


def each(func: OpOverload) -> Callable[..., Any]:
    """A function of the same arguments as a _foreach_ overload, made of calls for one tensor."""
    name = func._schema.name.removeprefix("aten::_foreach_")
    in_place = name.endswith("_")
    name = name.removesuffix("_")
    single = _single(name, in_place)

    def run(tensors: Sequence[Tensor], *args: Any, **kwargs: Any) -> list[Tensor] | None:
        calls = [_Call(name, i, tensor, args, kwargs) for i, tensor in enumerate(tensors)]
        results: list[Any] = [None] * len(calls)
        for group in _alike(calls) if name in JOINED else [[call] for call in calls]:
            made = _joined(single, group, in_place) if len(group) > 1 else [group[0].run(single)]
            for call, result in zip(group, made, strict=True):
                results[call.place] = result
        return None if in_place else results

    return run


def _single(name: str, in_place: bool) -> Callable[..., Any]:
    """The operation on one tensor."""
    name = {"norm": "linalg_vector_norm", "max": "amax"}.get(name, name)
    own = getattr(aten, name + "_" if in_place else name, None)
    if own is not None:
        return own
    twin = getattr(aten, name)  # maximum has no maximum_
    return lambda target, *args, **kwargs: target.copy_(twin(target, *args, **kwargs))


class _Call:
    """One tensor of the list, with its own of the other lists; what is no list is repeated."""

    def __init__(
        self, name: str, place: int, tensor: Tensor, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        self.place = place
        self.tensor = tensor
        self.args = [_own(arg, place) for arg in args]
        self.options = {key: _own(value, place) for key, value in kwargs.items()}
        if name.startswith("addc") and len(self.args) > 2:  # here the factor is positional
            self.options["value"] = self.args.pop()

    def run(self, single: Callable[..., Any]) -> Any:
        return single(self.tensor, *self.args, **self.options)

    def key(self) -> Any:
        """Equal for calls that can be joined; None for one that cannot."""
        kinds = [_kind(value, self.tensor) for value in (self.tensor, *self.args)]
        options = tuple(self.options.items())
        if None in kinds or any(isinstance(value, Tensor) for _, value in options):
            return None
        return *kinds, options


def _own(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, (list, tuple)) else value


def _kind(value: Any, beside: Tensor) -> Any:
    """How a secret of the shape of the tensors beside it is held; a number itself; else None."""
    if not isinstance(value, Tensor):
        return value
    if not hasattr(value, "_share"):
        return ("number", id(value)) if value.dim() == 0 else None
    share = value._share
    if share.shape != beside.shape:
        return None
    noted = quotient_of(share)
    facts = (share.dtype, share.scale, share.unit, share.fine, share.public is None)
    return share.session, *facts, is_nonnegative(share), noted and noted[0]


def _alike(calls: list[_Call]) -> list[list[_Call]]:
    groups: dict[Any, list[_Call]] = {}
    for call in calls:
        key = call.key()
        groups.setdefault(("alone", call.place) if key is None else key, []).append(call)
    return list(groups.values())


def _joined(single: Callable[..., Any], calls: list[_Call], in_place: bool) -> list[Any]:
    """The results of all calls, from one call on joined tensors."""
    columns = zip(*((call.tensor, *call.args) for call in calls), strict=True)
    made: dict[tuple[int, ...], Any] = {}  # a square is one where its factors are one list
    operands = [_flat(column, made) for column in columns]
    out = single(*operands, **calls[0].options)
    results, start = [], 0
    for call in calls:
        stop = start + call.tensor.numel()
        piece = aten.view.default(aten.slice.Tensor(out, 0, start, stop), call.tensor.shape)
        results.append(call.tensor.copy_(piece) if in_place else _copy(piece))
        start = stop
    return results


def _flat(column: Sequence[Any], made: dict[tuple[int, ...], Any]) -> Any:
    """Secrets one after the other, with what is known of all of them; a number is itself."""
    if not hasattr(column[0], "_share"):
        return column[0]
    key = tuple(map(id, column))
    if key not in made:
        flat = aten.cat.default([tensor.reshape(-1) for tensor in column])
        inherit_joined(flat._share, [tensor._share for tensor in column])
        made[key] = flat
    return made[key]


def _copy(piece: Any) -> Any:
    """A result on storage of its own."""
    copy = piece.clone()
    inherit(copy._share, lineage_of(piece._share))
    return copy
