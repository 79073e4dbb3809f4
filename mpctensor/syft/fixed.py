"""`FixedPrecisionTensor`: what `fix_precision()` makes of a plain tensor before it is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ..grid import Grid
from ..tensor import SharedTensor


class FixedPrecisionTensor(Tensor):
    """A plain tensor whose values lie on a decimal grid. Not secret; all of torch works on it.

    Its floats are multiples of 1 / grid.unit, and so are results of arithmetic: on the finer grid
    where two meet. No gradients: they belong to shared tensors.
    """

    grid: Grid

    @staticmethod
    def make(value: Tensor, grid: Grid) -> FixedPrecisionTensor:
        """value: floats that lie on the grid already."""
        fixed = value.detach().as_subclass(FixedPrecisionTensor)
        fixed.grid = grid
        return fixed

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        grid = max(t.grid for t in tree_leaves((args, kwargs)) if isinstance(t, cls))
        args, kwargs = tree_map(plain, (args, kwargs))
        out = func(*args, **kwargs)
        return tree_map(lambda t: _on_grid(t, grid), out)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"(Wrapper)>FixedPrecisionTensor>{self.grid.integers(plain(self))}"

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedPrecisionTensor:
        copy = FixedPrecisionTensor.make(plain(self).clone(), self.grid)
        memo[id(self)] = copy
        return copy


def plain(value: Any) -> Any:
    """The same memory as a plain tensor; anything else as it is."""
    return value.as_subclass(Tensor) if isinstance(value, FixedPrecisionTensor) else value


def _on_grid(value: Any, grid: Grid) -> Any:
    """A float result brought onto the grid (in place, so that in-place operations stay so)."""
    if (
        not isinstance(value, Tensor)
        or isinstance(value, SharedTensor)
        or not value.is_floating_point()
    ):
        return value
    with torch.no_grad():
        carried = grid.carried(value)
        if not torch.equal(carried, value):
            value.copy_(carried)
    return FixedPrecisionTensor.make(value, grid)
