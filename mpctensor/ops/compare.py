"""Comparisons: secret bools, and what is chosen by them.

A comparison with a public number is remembered with the value's storage, so that clamp's and relu's
gradients find the bits of the forward pass again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .. import protocols as mpc
from ..share import Share
from .operands import compared, converted, result_dtype, retag, scalar, shares_of, term
from .registry import implements

aten = torch.ops.aten
prims = torch.ops.prims


def remember(x: Share, name: str, bit: Share) -> None:
    """Keep a bit (of x's shape) with x's storage, laid out alike; whole contiguous values only."""
    if x.whole and x.here.is_contiguous():
        alike = bit.whole and bit.here.is_contiguous()
        x.facts.derived[name] = bit if alike else bit.clone()


def remembered(x: Share, name: str) -> Share | None:
    """The bit kept under a name, for the view of its storage that x is."""
    bit: Share | None = x.facts.derived.get(name)
    return None if bit is None else bit.map(x.view_of)


def kept(x: Share, name: str, compute: Callable[[Share], Share]) -> Share:
    """The remembered bit, or a new one."""
    bit = remembered(x, name)
    if bit is None:
        bit = compute(x)
        remember(x, name, bit)
    return bit


POSITIVE = "> 0"


def positive_bit(x: Share) -> Share:
    """[x > 0], compared at most once per value."""
    return kept(x, POSITIVE, mpc.positive)


def _difference(x: Any, y: Any) -> Share:
    like = x if isinstance(x, Share) else y
    return mpc.sub(compared(like, x), compared(like, y))


def _comparison(
    x: Any, y: Any, relation: str, mirrored: str, verb: Callable[[Share], Share]
) -> Share:
    """verb(x - y); kept with x where y is a number (or with y, as the mirrored relation)."""
    if not isinstance(x, Share) and scalar(x) is not None:
        x, y, relation = y, x, mirrored
        return _kept_with(x, relation, scalar(y), lambda v: verb(_difference(y, v)))
    number = None if isinstance(y, Share) else scalar(y)
    if number is None:
        return verb(_difference(x, y))
    return _kept_with(
        x, relation, number, lambda v: verb(v if number == 0 else _difference(v, number))
    )


def _kept_with(x: Share, relation: str, number: Any, compute: Callable[[Share], Share]) -> Share:
    """A copy for the user, who may write to it: the kept bit stays what it was."""
    return mpc.duplicate(kept(x, relation_name(relation, number), compute))


def relation_name(relation: str, number: float) -> str:
    """Under which a comparison with a public number is kept: "> 0"."""
    if number == 0:
        return f"{relation} 0"
    whole = isinstance(number, int) or float(number).is_integer()  # 2**53 + 1 is no float
    return f"{relation} {int(number) if whole else number!r}"


@implements(aten.gt.Tensor, aten.gt.Scalar, prims.gt.default)
def gt(x: Any, y: Any) -> Share:
    return _comparison(x, y, ">", "<", mpc.positive)


@implements(aten.ge.Tensor, aten.ge.Scalar, prims.ge.default)
def ge(x: Any, y: Any) -> Share:
    return _comparison(x, y, ">=", "<=", mpc.nonnegative)


@implements(aten.lt.Tensor, aten.lt.Scalar, prims.lt.default)
def lt(x: Any, y: Any) -> Share:
    return _comparison(x, y, "<", ">", mpc.negative)


@implements(aten.le.Tensor, aten.le.Scalar, prims.le.default)
def le(x: Any, y: Any) -> Share:
    return _comparison(x, y, "<=", ">=", lambda d: mpc.nonnegative(mpc.neg(d)))


@implements(aten.eq.Tensor, aten.eq.Scalar, prims.eq.default)
def eq(x: Any, y: Any) -> Share:
    like = shares_of(x, y)[0]
    return mpc.equal(compared(like, x), compared(like, y))


@implements(aten.ne.Tensor, aten.ne.Scalar, prims.ne.default)
def ne(x: Any, y: Any) -> Share:
    return mpc.invert(eq(x, y))


# Logic on bools


def _bits(x: Any, y: Any) -> tuple[Share, Share]:
    like = shares_of(x, y)[0]
    x, y = (
        v if isinstance(v, Share) else mpc.constant(like.session, torch.as_tensor(v))
        for v in (x, y)
    )
    return converted(x, torch.bool), converted(y, torch.bool)


def _bools_only(name: str, *operands: Any) -> None:
    for value in operands:
        if hasattr(value, "dtype") and value.dtype is not torch.bool:
            raise NotImplementedError(f"`{name}` on the bits of secret integers")


@implements(aten.logical_and.default)
def logical_and(x: Any, y: Any) -> Share:
    return mpc.both(*_bits(x, y))


@implements(aten.logical_or.default)
def logical_or(x: Any, y: Any) -> Share:
    return mpc.either(*_bits(x, y))


@implements(aten.logical_xor.default)
def logical_xor(x: Any, y: Any) -> Share:
    return mpc.differ(*_bits(x, y))


@implements(aten.logical_not.default)
def logical_not(x: Share) -> Share:
    return mpc.equal(x, term(x, 0)) if x.dtype is not torch.bool else mpc.invert(x)


@implements(aten.bitwise_not.default, prims.bitwise_not.default)
def bitwise_not(x: Share) -> Share:
    _bools_only("~", x)
    return mpc.invert(x)


@implements(
    aten.bitwise_and.Tensor, aten.bitwise_and.Scalar, aten.__and__.Tensor, prims.bitwise_and.default
)
def bitwise_and(x: Any, y: Any) -> Share:
    _bools_only("&", x, y)
    return mpc.both(*_bits(x, y))


@implements(
    aten.bitwise_or.Tensor, aten.bitwise_or.Scalar, aten.__or__.Tensor, prims.bitwise_or.default
)
def bitwise_or(x: Any, y: Any) -> Share:
    _bools_only("|", x, y)
    return mpc.either(*_bits(x, y))


@implements(
    aten.bitwise_xor.Tensor, aten.bitwise_xor.Scalar, aten.__xor__.Tensor, prims.bitwise_xor.default
)
def bitwise_xor(x: Any, y: Any) -> Share:
    _bools_only("^", x, y)
    return mpc.differ(*_bits(x, y))


# What comparisons choose


@implements(aten.maximum.default, aten.fmax.default, prims.maximum.default, prims.fmax.default)
def maximum(x: Any, y: Any) -> Share:
    like = shares_of(x, y)[0]
    held = (compared(like, value, above=False) for value in (x, y))
    return retag(mpc.maximum(*held)[0], result_dtype(x, y))


@implements(aten.minimum.default, aten.fmin.default, prims.minimum.default, prims.fmin.default)
def minimum(x: Any, y: Any) -> Share:
    like = shares_of(x, y)[0]
    held = (compared(like, value, below=False) for value in (x, y))
    return retag(mpc.minimum(*held)[0], result_dtype(x, y))


@implements(aten.sign.default, aten.sgn.default, prims.sign.default)
def sign(x: Share) -> Share:
    """-1, 0 or 1, compared at most once per value."""
    return kept(x, "sign", lambda v: converted(mpc.sign(v), v.dtype)).clone()


@implements(aten.signbit.default, prims.signbit.default)
def signbit(x: Share) -> Share:
    """[x < 0]; shares hold no -0."""
    return lt(x, 0)


@implements(aten.abs.default, prims.abs.default)
def absolute(x: Share) -> Share:
    """|x|; where a gradient may follow, the sign is worked out in the same comparison."""
    if not torch.is_grad_enabled():
        return retag(mpc.absolute(x)[0], x.dtype)
    return absolute_with_sign(x)


def absolute_with_sign(x: Share) -> Share:
    """|x|, leaving the sign with x."""
    value, signs = mpc.magnitude(x)
    remember(x, "sign", converted(signs, x.dtype))
    return retag(value, x.dtype)
