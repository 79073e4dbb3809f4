"""Operands of an operation: secrets arrive as Shares; numbers and plain tensors become public ones.

Here too: the dtype that torch gives a result, and the reading of public numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import copysign, isfinite
from typing import Any, TypeGuard

import torch
from torch import Tensor

from .. import protocols as mpc
from ..encoding import INFINITE, LARGEST_FILL, RANGE_BITS, check_room, saturated
from ..errors import EncodingError, UnsupportedOperationError
from ..share import Share

_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def is_number(value: Any) -> TypeGuard[int | float | bool]:
    return isinstance(value, (int, float)) and not isinstance(value, Tensor)


def scalar(value: Any) -> int | float | None:
    """The number that a public operand is: a Python number or a plain tensor without dimensions."""
    if is_number(value):
        return value
    if isinstance(value, Tensor) and value.dim() == 0:
        return _number_of(value)
    return None


def _number_of(value: Tensor) -> int | float:
    """The number of a plain 0-dim tensor; float32's 0.1 is read as 0.1, its shortest decimal."""
    number = value.item()
    if isinstance(number, complex):
        raise EncodingError(f"`{value.dtype}` operands cannot meet a secret")
    if value.dtype == torch.float32 and isinstance(number, float) and isfinite(number):
        short = float(f"{number:.7g}")
        return short if torch.tensor(short, dtype=torch.float32).item() == number else number
    return number


def category(dtype: torch.dtype) -> int:
    """0 bool, 1 integer, 2 float: what torch's type promotion ranks."""
    if dtype.is_floating_point:
        return 2
    return 0 if dtype == torch.bool else 1


LARGE_FILL = 2.0**13  # public terms from here on leave no room for factors that pile up


def result_dtype(*operands: Any) -> torch.dtype:
    """torch.result_type over Shares, plain tensors and numbers."""
    first, *rest = operands
    floats = isinstance(first, (Share, Tensor)) and first.dtype.is_floating_point
    if floats and len(rest) == 1 and is_number(rest[0]):
        return first.dtype
    ranked: list[tuple[torch.dtype, int]] = []
    for value in operands:
        if isinstance(value, (Share, Tensor)):
            ranked.append((value.dtype, 0 if len(value.shape) else 1))
        elif isinstance(value, bool):
            ranked.append((torch.bool, 2))
        elif isinstance(value, int):
            ranked.append((torch.int64, 2))
        elif isinstance(value, (float, Fraction)):
            ranked.append((torch.get_default_dtype(), 2))
    if all(dtype is ranked[0][0] for dtype, _ in ranked):
        return ranked[0][0]
    return _promoted(ranked)


def _promoted(ranked: Sequence[tuple[torch.dtype, int]]) -> torch.dtype:
    """Dimensioned tensors decide, unless 0-dim tensors, then numbers, are of a higher category."""
    result: torch.dtype | None = None
    for rank in (0, 1, 2):
        dtypes = [dtype for dtype, r in ranked if r == rank]
        if not dtypes:
            continue
        common = dtypes[0]
        for dtype in dtypes[1:]:
            common = torch.promote_types(common, dtype)
        if result is None or category(common) > category(result):
            result = common
    assert result is not None
    return result


def retag(share: Share, dtype: torch.dtype) -> Share:
    """The same share under another plain dtype."""
    return share if share.dtype is dtype else Share(share.session, share.parts, dtype, share.found)


def float_dtype(share: Share) -> torch.dtype:
    """The dtype of a quotient, a mean, a function value."""
    return share.dtype if share.dtype.is_floating_point else torch.get_default_dtype()


def as_float(share: Share) -> Share:
    """A share of floats: integers and bools get the session's working scale as unit."""
    if share.dtype.is_floating_point:
        return share
    return converted(share, torch.get_default_dtype())


def converted(share: Share, dtype: torch.dtype) -> Share:
    """The value as another dtype, as `Tensor.to` has it; a share of its own unless nothing changes.

    Floats become integers toward zero.
    """
    if share.dtype is dtype:
        return share
    if dtype == torch.bool:
        return mpc.invert(mpc.equal(share, zero_like(share)))
    if dtype.is_complex:
        raise EncodingError(f"a secret cannot become `{dtype}`")
    unit = share.unit
    if dtype.is_floating_point:
        unit = max(unit, share.session.unit) if unit == 1 else unit
    elif share.dtype.is_floating_point:
        return retag(mpc.trunc(share), dtype)
    elif dtype not in _INTEGERS:
        raise UnsupportedOperationError(f"a secret cannot become `{dtype}`")
    return mpc.relabelled(share, dtype, unit)


def zero_like(share: Share) -> Share:
    """A public 0 without dimensions."""
    return filled(share, (), 0, share.dtype)


def filled(like: Share, size: Sequence[int], number: float, dtype: torch.dtype) -> Share:
    """A public share of one number; integers at scale 1, floats as finely as a product allows.

    Numbers from 2^60 on, such as finfo.max, mean infinity: they rest at the largest value. Raises
    EncodingError for smaller ones that do not fit.
    """
    unit = 1 if not dtype.is_floating_point else max(like.unit, 1)
    if dtype.is_floating_point and unit == 1:
        unit = like.session.unit
    number = as_dtype(number, dtype)
    huge = abs(number) >= INFINITE
    if huge and dtype.is_floating_point:
        number = copysign(LARGEST_FILL, number)
    if float(number).is_integer() and abs(number) < 1 << 30:
        value = torch.full(tuple(size), int(number), dtype=torch.int64)
        out = mpc.constant(like.session, value, 1, unit=unit)
        out.facts.filled = huge
        return retag(out, dtype)
    if not huge:
        check_room(number, unit)
    value = torch.full(tuple(size), number, dtype=torch.float64)
    return retag(mpc.constant(like.session, value, unit=unit, saturate=huge), dtype)


def as_dtype(number: float, dtype: torch.dtype) -> float:
    """A fill value as torch converts it: 1 for a true bool, toward zero for integers.

    Raises torch's RuntimeError where an integer type is too small for it.
    """
    return number if dtype.is_floating_point else torch.full((), number, dtype=dtype).item()


def public(like: Share, value: Tensor | float, *, saturate: bool = False) -> Share:
    """A plain tensor or number as a public share that goes with `like` in a product.

    A tensor gets as many bits as that product has room for, by its largest entry: an entry smaller
    than the largest by 2^16 or more keeps fewer than the rest.
    """
    if not isinstance(value, Tensor):
        dtype = result_dtype(like, value)
        return filled(like, (), value, dtype)
    unit = like.unit if like.unit > 1 and value.is_floating_point() else None
    return mpc.constant(like.session, value, unit=unit, beside=like.scale, saturate=saturate)


def term(like: Share, value: Any, *, saturate: bool = True) -> Share:
    """A public operand that is about to be added to `like` or compared with it.

    It is encoded at the scale of `like`, or at the working scale where that is finer. Infinities
    and huge fill values saturate.
    """
    if isinstance(value, Share):
        return value
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=plain_dtype(value))
    if not tensor.is_floating_point():
        if like.unit == 1 or not bool((tensor.double().abs() >= LARGE_FILL).any()):
            return mpc.constant(like.session, tensor)
        tensor = tensor.double()  # what is large beside floats rests, or is refused, as a float is
    unit = like.unit if like.unit > 1 else like.session.unit
    wide = tensor.detach() if tensor.dim() else torch.tensor(scalar(tensor), dtype=torch.float64)
    scale = max(like.scale, unit)
    for coarser in (unit**2, unit):  # to which `like` will be truncated
        if scale > coarser and not _fits(wide, scale):
            scale = coarser
    if saturate:
        wide = saturated(wide.to(torch.float64), scale)
    out = mpc.constant(like.session, wide, scale, unit=unit)
    out.facts.filled = saturate and bool((wide.abs() >= LARGE_FILL).any())
    return retag(out, tensor.dtype)


def compared(like: Share, value: Any, below: bool = True, above: bool = True) -> Share:
    """A public operand that `like` is compared with: as `term`, but any number and infinity.

    What lies below (above) everything that `like` can be is taken for the end of its range; but
    infinity is where its fills are, if there are any.
    """
    if isinstance(value, Share) or getattr(value, "dtype", None) is torch.bool:
        return term(like, value)
    number = scalar(value)
    tensor = value if number is None else torch.tensor(number, dtype=plain_dtype(number))
    end = end_of_range(like, tensor.dtype)
    tensor = tensor.double() if isinstance(end, float) else tensor.long()
    filled = like.facts.filled and isinstance(end, float)
    held = tensor.clamp(-end if below else None, end if above else None)
    return term(like, torch.where(tensor.abs() >= INFINITE, tensor, held) if filled else held)


def end_of_range(like: Share, beside: torch.dtype) -> int | float:
    """What no value reaches that is held as `like` is, beside a public one of this dtype."""
    if like.unit == 1 and not beside.is_floating_point:
        return (1 << RANGE_BITS) - 1
    unit = like.unit if like.unit > 1 else like.session.unit
    return ((1 << RANGE_BITS) - (1 << 12)) / max(like.scale, unit)


def _fits(value: Tensor, scale: int) -> bool:
    """Whether finite numbers leave room for a sum at this scale."""
    size = value.to(torch.float64).abs()
    return not bool(((size * scale >= 2.0**61) & (size < INFINITE)).any())


def room_for_fill(unit: int) -> int:
    """How large what stands for infinity may be where it is added to a product of this unit."""
    return min(1 << 28, (1 << 60) // unit**2)


def plain_dtype(number: float) -> torch.dtype:
    """That of a public number on its own."""
    return torch.int64 if isinstance(number, int) else torch.float64


def factor(like: Share, value: Any) -> Share:
    """A public operand that is about to be multiplied with `like`."""
    return value if isinstance(value, Share) else public(like, value)


def shares_of(*operands: Any) -> list[Share]:
    """The Shares among the operands, lists included."""
    found = []
    for value in operands:
        if isinstance(value, Share):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(shares_of(*value))
    return found


def exact(number: float | Fraction) -> Fraction:
    """The short decimal that a float was written as: 0.1 is 1/10."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)
