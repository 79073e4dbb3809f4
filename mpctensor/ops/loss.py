"""Losses between a secret prediction and a target, secret or public."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..errors import EncodingError, SecretLeakError
from ..share import Share
from .compare import absolute, sign
from .gates import softplus_of
from .operands import exact, factor, filled, retag, shares_of, term
from .pointwise import div, mul, product, scaled, sub
from .reduce import one_of
from .registry import implements

aten = torch.ops.aten

NONE, MEAN, SUM = 0, 1, 2


def _difference(x: Any, y: Any) -> Share:
    like = shares_of(x, y)[0]
    return mpc.sub(term(like, x), term(like, y))


def reduced(values: Share, reduction: int) -> Share:
    if reduction == NONE:
        return values
    total = mpc.total(values)
    if reduction == SUM:
        return total
    return scaled(total, one_of("mean", values, range(values.here.dim())))


def spread(gradient: Any, values: Share, reduction: int) -> Share:
    """The gradient of `reduced`, for each of the values (broadcast)."""
    gradient = factor(values, gradient)
    if reduction == MEAN:
        return scaled(gradient, Fraction(1, max(values.here.numel(), 1)))
    return gradient


@implements(aten.mse_loss.default)
def mse_loss(x: Any, target: Any, reduction: int = MEAN) -> Share:
    return reduced(mpc.square(_difference(x, target)), reduction)


@implements(aten.mse_loss_backward.default)
def mse_loss_backward(gradient: Any, x: Any, target: Any, reduction: int) -> Share:
    difference = _difference(x, target)
    return mpc.mul(scaled(difference, 2), spread(gradient, difference, reduction))


def _huber_parts(difference: Share, beta: float) -> tuple[Share, Share]:
    """(d held inside [-beta, beta], |d| - |held|)."""
    bound = term(difference, beta)
    held, _ = mpc.clamp(difference, mpc.neg(bound), bound)
    return held, mpc.sub(difference, held)


def _huber(difference: Share, beta: float) -> Share:
    """d^2 / 2 inside beta, beta (|d| - beta / 2) outside: held (d - held / 2)."""
    held, _ = _huber_parts(difference, beta)
    return mpc.mul(held, mpc.sub(difference, scaled(held, 0.5)))


@implements(aten.smooth_l1_loss.default)
def smooth_l1_loss(x: Any, target: Any, reduction: int = MEAN, beta: float = 1.0) -> Share:
    difference = _difference(x, target)
    if beta == 0:
        return reduced(absolute(difference), reduction)
    return reduced(scaled(_huber(difference, beta), 1 / exact(beta)), reduction)


@implements(aten.smooth_l1_loss_backward.default)
def smooth_l1_loss_backward(
    gradient: Any, x: Any, target: Any, reduction: int, beta: float
) -> Share:
    difference = _difference(x, target)
    if beta == 0:
        return mpc.mul(sign(difference), spread(gradient, difference, reduction))
    held, _ = _huber_parts(difference, beta)
    return mpc.mul(scaled(held, 1 / exact(beta)), spread(gradient, difference, reduction))


@implements(aten.huber_loss.default)
def huber_loss(x: Any, target: Any, reduction: int = MEAN, delta: float = 1.0) -> Share:
    return reduced(_huber(_difference(x, target), delta), reduction)


@implements(aten.huber_loss_backward.default)
def huber_loss_backward(gradient: Any, x: Any, target: Any, reduction: int, delta: float) -> Share:
    difference = _difference(x, target)
    held, _ = _huber_parts(difference, delta)
    return mpc.mul(held, spread(gradient, difference, reduction))


# Cross entropy


def _check_classes(target: Any) -> None:
    if isinstance(target, Share):
        raise SecretLeakError(
            "`target` holds secret class indices, and looking them up would show them: use"
            " F.cross_entropy with a secret one-hot target,"
            " mpctensor.encrypt(F.one_hot(labels, n).float())"
        )


def picking(x: Share, target: Tensor, ignore: int) -> Tensor:
    """Public 1 at each sample's class, 0 elsewhere and for ignored ones. Shaped as x: (N, C, *)."""
    classes = x.shape[1] if len(x.shape) > 1 else x.shape[0]
    dim = 1 if len(x.shape) > 1 else 0
    used = target != ignore
    index = torch.where(used, target, 0)
    if index.numel() and (int(index.min()) < 0 or int(index.max()) >= classes):
        raise IndexError(f"Target {int(index.max())} is out of bounds.")
    picked = torch.zeros(tuple(x.shape), dtype=torch.float64)
    return picked.scatter_(dim, index.unsqueeze(dim), used.to(torch.float64).unsqueeze(dim))


def total_of(weights: float | Fraction) -> Fraction:
    """The total weight that a mean divides by; torch's nan of no weight at all has no shares."""
    if weights == 0:
        raise EncodingError(
            "the mean loss of no targets at all is not a number, which shares cannot hold: every"
            " target is ignored, or has weight 0, or the batch is empty"
        )
    return weights if isinstance(weights, Fraction) else exact(weights)


def _class_dim(x: Share) -> int:
    return 1 if len(x.shape) > 1 else 0


def _weighed(x: Share, target: Tensor, weight: Any, ignore: int) -> Any:
    """The weight of each sample's class where it stands in x; a secret if the weights are."""
    picked = picking(x, target, ignore)
    if weight is None:
        return picked
    size = [1] * len(x.shape)
    size[_class_dim(x)] = x.shape[_class_dim(x)]
    if isinstance(weight, Share):
        return retag(mul(weight.map(lambda part: part.view(size)), picked), weight.dtype)
    return picked * weight.to(torch.float64).view(size)


@implements(aten.nll_loss_forward.default, aten.nll_loss2d_forward.default)
def nll_loss(
    x: Share, target: Any, weight: Any, reduction: int, ignore: int
) -> tuple[Share, Share]:
    """-weight[t] x[t], and the total of the weights, a secret where the weights are."""
    _check_classes(target)
    weights = _weighed(x, target, weight, ignore)
    losses = retag(mpc.neg(mpc.total(mul(x, weights), [_class_dim(x)])), x.dtype)
    secret = isinstance(weights, Share)
    total = mpc.total(weights) if secret else filled(x, (), float(weights.sum()), x.dtype)
    if reduction == NONE:
        return losses, total
    out = mpc.total(losses)
    if reduction == MEAN:
        out = div(out, total) if secret else scaled(out, 1 / total_of(float(weights.sum())))
    return out, total


@implements(aten.nll_loss_backward.default, aten.nll_loss2d_backward.default)
def nll_loss_backward(
    gradient: Any, x: Share, target: Tensor, weight: Any, reduction: int, ignore: int, total: Any
) -> Share:
    _check_classes(target)
    weights = _weighed(x, target, weight, ignore)
    gradient = factor(x, gradient)
    if reduction == NONE:
        dim = _class_dim(x)
        gradient = gradient.map(lambda part: part.unsqueeze(dim))
    if reduction == MEAN:
        if isinstance(weights, Share):
            gradient = div(gradient, total)
        else:
            weights = weights / weights.sum()
    return retag(mpc.neg(mul(gradient, weights)), x.dtype)


# Logistic losses


@implements(aten.binary_cross_entropy_with_logits.default)
def bce_with_logits(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = MEAN
) -> Share:
    """softplus(x) - x t.

    pos_weight p: (1 + (p - 1) t) softplus(-x) + (1 - t) x.
    """
    like = shares_of(x, target)[0]
    x = term(like, x)
    rising = softplus_of(x)
    if pos_weight is None:
        losses = mpc.sub(rising, mpc.mul(x, factor(x, target)))
    else:
        falling = mpc.sub(rising, x)
        more = sub(pos_weight, 1) if isinstance(pos_weight, Share) else pos_weight - 1
        slope = mul(target, more) if shares_of(target, more) else target * more
        raised = mul(slope, falling)
        losses = mpc.add(mpc.add(falling, raised), mpc.sub(x, mul(x, target)))
    if weight is not None:
        losses = product(losses, factor(losses, weight))
    return reduced(losses, reduction)


def _margin(x: Any, target: Any) -> Share:
    return mpc.neg(mul(x, target))


@implements(aten.soft_margin_loss.default)
def soft_margin_loss(x: Any, target: Any, reduction: int = MEAN) -> Share:
    """softplus(-t x)."""
    return reduced(softplus_of(_margin(x, target)), reduction)


@implements(aten.soft_margin_loss_backward.default)
def soft_margin_loss_backward(gradient: Any, x: Any, target: Any, reduction: int) -> Share:
    """-t sigmoid(-t x) g."""
    slope = mul(mpc.sigmoid(_margin(x, target)), target)
    return mpc.neg(mpc.mul(slope, spread(gradient, slope, reduction)))
