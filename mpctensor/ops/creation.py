"""New tensors beside a secret: zeros, ones, fills, random numbers (all public), and copies.

Public values let later products stay local: the ones that start a backward pass, a dropout mask.
"""

from __future__ import annotations

from typing import Any

import torch

from .. import protocols as mpc
from ..encoding import check_room
from ..errors import SecretLeakError, UnsupportedOperationError
from ..share import Share
from .lineage import inherit, lineage_of
from .operands import (
    INFINITE,
    converted,
    filled,
    public,
    retag,
    scalar,
    term,
)
from .registry import SHAPE_ONLY, implements

aten = torch.ops.aten


def write(target: Share, value: Any) -> Share:
    """Write a value into a share in place, with torch's rule for dtypes."""
    if not isinstance(value, Share):
        number = scalar(value)
        value = term(target, value) if number is None else filled(target, (), number, target.dtype)
    if value.dtype is not target.dtype:
        if not torch.can_cast(value.dtype, target.dtype):
            raise RuntimeError(
                f"result type {value.dtype} can't be cast to the desired output type {target.dtype}"
            )
        value = converted(value, target.dtype)
    known = lineage_of(value)
    mpc.store(target, value)
    return inherit(target, known)


@implements(aten.copy_.default)
def copy_(target: Share, source: Any, non_blocking: bool = False) -> Share:
    if not isinstance(source, Share):
        return write(target, converted(term(target, source, saturate=False), target.dtype))
    return write(target, converted(source, target.dtype))


@implements(aten.fill_.Scalar, aten.fill_.Tensor)
def fill_(target: Share, value: Any) -> Share:
    number = None if isinstance(value, Share) else scalar(value)
    if number is not None and abs(number) < INFINITE:
        check_room(number, target.scale)
    return write(target, converted(value, target.dtype) if isinstance(value, Share) else value)


@implements(aten.zero_.default)
def zero_(target: Share) -> Share:
    return write(target, 0)


@implements(aten.detach.default, aten.alias.default)
def alias(x: Share) -> Share:
    return x


@implements(aten.clone.default)
def clone(x: Share, memory_format: torch.memory_format | None = None) -> Share:
    return x.map(lambda part: part.clone(memory_format=memory_format or torch.preserve_format))


def _check_options(options: dict[str, Any]) -> None:
    device, layout = options.get("device"), options.get("layout")
    if device is not None and torch.device(device).type != "cpu":
        raise UnsupportedOperationError(
            f"shares live on the CPU; `device={device}` is not available"
        )
    if layout not in (None, torch.strided):
        raise UnsupportedOperationError(f"shares are dense; `layout={layout}` is not available")


def _filled_like(x: Share, number: float, options: dict[str, Any]) -> Share:
    _check_options(options)
    made = filled(x, x.shape, number, options.get("dtype") or x.dtype)
    if x.here.is_contiguous() or not x.whole:
        return made
    stride = x.here.stride()  # preserve_format keeps the order of the dimensions
    return made.map(lambda part: part.as_strided(part.shape, stride))


SHAPE_ONLY.update(
    (
        aten.zeros_like.default,
        aten.empty_like.default,
        aten.ones_like.default,
        aten.full_like.default,
        aten.detach.default,
        aten.alias.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.new_empty.default,
        aten.isnan.default,
        aten.isinf.default,
        aten.isposinf.default,
        aten.isneginf.default,
        aten.isfinite.default,
    )
)


@implements(aten.zeros_like.default, aten.empty_like.default)
def zeros_like(x: Share, **options: Any) -> Share:
    return _filled_like(x, 0, options)


@implements(aten.ones_like.default)
def ones_like(x: Share, **options: Any) -> Share:
    return _filled_like(x, 1, options)


@implements(aten.full_like.default)
def full_like(x: Share, value: Any, **options: Any) -> Share:
    return _filled_like(x, value, options)


@implements(aten.isnan.default, aten.isinf.default, aten.isposinf.default, aten.isneginf.default)
def not_so(x: Share) -> Share:
    """False, for all to see: shares hold neither NaN nor infinities (encrypt refuses them)."""
    return filled(x, x.shape, 0, torch.bool)


@implements(aten.isfinite.default)
def isfinite(x: Share) -> Share:
    return filled(x, x.shape, 1, torch.bool)


@implements(aten.new_zeros.default, aten.new_empty.default)
def new_zeros(x: Share, size: Any, **options: Any) -> Share:
    return _new(x, size, 0, options)


@implements(aten.new_ones.default)
def new_ones(x: Share, size: Any, **options: Any) -> Share:
    return _new(x, size, 1, options)


@implements(aten.new_full.default)
def new_full(x: Share, size: Any, value: Any, **options: Any) -> Share:
    return _new(x, size, value, options)


def _new(x: Share, size: Any, value: float, options: dict[str, Any]) -> Share:
    _check_options(options)
    return filled(x, size, value, options.get("dtype") or x.dtype)


@implements(aten.new_empty_strided.default)
def new_empty_strided(x: Share, size: Any, stride: Any, **options: Any) -> Share:
    _check_options(options)
    span = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    flat = filled(x, (span,), 0, options.get("dtype") or x.dtype)
    return flat.map(lambda part: part.as_strided(size, stride))


@implements(aten._to_copy.default)
def to_copy(x: Share, **options: Any) -> Any:
    """x as another dtype. On the meta device, where torch's zero gradients look, a shape alone."""
    if options.get("device") == torch.device("meta"):
        return torch.empty(x.shape, dtype=options.get("dtype") or x.dtype, device="meta")
    _check_options(options)
    dtype = options.get("dtype") or x.dtype
    return clone(x, options.get("memory_format")) if dtype is x.dtype else converted(x, dtype)


@implements(torch.ops.prims.convert_element_type.default)
def convert_element_type(x: Share, dtype: torch.dtype) -> Share:
    return converted(x, dtype)


def random_like(x: Share, fill: Any, size: Any = None, dtype: torch.dtype | None = None) -> Share:
    """A public random share: `fill(tensor, generator)` on the session's public generator."""
    size = x.shape if size is None else size
    dtype = dtype or x.dtype
    value = torch.empty(tuple(size), dtype=torch.float64 if dtype.is_floating_point else dtype)
    fill(value, x.session.public_generator())
    made = public(x, value) if value.is_floating_point() else mpc.constant(x.session, value)
    return retag(made, dtype)


@implements(aten.rand_like.default)
def rand_like(x: Share, **options: Any) -> Share:
    return random_like(x, lambda t, g: t.uniform_(generator=g), dtype=options.get("dtype"))


@implements(aten.randn_like.default)
def randn_like(x: Share, **options: Any) -> Share:
    return random_like(x, lambda t, g: t.normal_(generator=g), dtype=options.get("dtype"))


@implements(aten.randint_like.default, aten.randint_like.low_dtype)
def randint_like(x: Share, *bounds: int, **options: Any) -> Share:
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    made = random_like(x, lambda t, g: t.random_(low, high, generator=g), dtype=torch.int64)
    return converted(made, options.get("dtype") or x.dtype)


def _redraw(target: Share, generator: Any, fill: Any) -> Share:
    if generator is not None:
        raise SecretLeakError(
            "random fills of a shared tensor come from the session's public generator, the same at"
            " every party; leave `generator` out"
        )
    return write(target, random_like(target, fill))


@implements(aten.uniform_.default)
def uniform_(target: Share, low: float = 0.0, high: float = 1.0, *, generator: Any = None) -> Share:
    return _redraw(target, generator, lambda t, g: t.uniform_(low, high, generator=g))


@implements(aten.normal_.default)
def normal_(target: Share, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Share:
    return _redraw(target, generator, lambda t, g: t.normal_(mean, std, generator=g))


@implements(aten.bernoulli_.float)
def bernoulli_(target: Share, p: float = 0.5, *, generator: Any = None) -> Share:
    return _redraw(target, generator, lambda t, g: t.bernoulli_(p, generator=g))


def mask_like(x: Share, keep: float) -> Share:
    """A public dropout mask of x's shape: 1 with probability `keep`, else 0."""
    return random_like(x, lambda t, g: t.bernoulli_(keep, generator=g))
