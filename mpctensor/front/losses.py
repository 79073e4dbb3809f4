"""Cross entropy whole: its gradient is softmax - target, and its value is worked out on demand.

Training needs exp, sum and reciprocal only; the logarithm runs when somebody decrypts the loss, and
then once per sample instead of once per class.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import protocols as mpc
from ..errors import UnsupportedOperationError
from ..ops.deferred import Deferred
from ..ops.loss import picking
from ..ops.operands import exact, factor, retag
from ..ops.pointwise import scaled
from ..ops.registry import front
from ..share import Share
from ..tensor import SharedTensor, wrap


class _Logits:
    """Predictions and targets of a cross entropy; softmax and losses are worked out when needed."""

    def __init__(self, x: Share, goal: Share) -> None:
        self.x, self.goal = x, goal
        self._probabilities: Share | None = None
        self._unchanged = x.facts.derived.setdefault(UNCHANGED, object())

    def probabilities(self) -> Share:
        if self._probabilities is None:
            self._check()
            self._probabilities = mpc.softmax(self.x, 1)
        return self._probabilities

    def losses(self) -> Share:
        """-sum(target log_softmax) per sample; with the softmax that a backward pass will need."""
        self._check()
        if self._probabilities is None and self.needs_gradient:
            self._probabilities, logarithms = mpc.softmax_and_log(self.x, 1)
        else:
            logarithms = mpc.log_softmax(self.x, 1)
        return mpc.neg(mpc.total(mpc.mul(logarithms, self.goal), [1]))

    needs_gradient = False

    def _check(self) -> None:
        if self.x.facts.derived.get(UNCHANGED) is not self._unchanged:
            raise RuntimeError(
                "the predictions of a cross entropy were changed in place before its value or"
                " gradient was asked for; clone() them first"
            )


UNCHANGED = "unchanged"  # kept with a value until it is written to


class _CrossEntropy(torch.autograd.Function):
    """Sum over the classes (dim 1) of -target log_softmax(x), per sample.

    x: (N, C, *). target: weights of the same shape, secret or public.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, target: Any) -> Tensor:
        share = x._share
        goal = target._share if isinstance(target, SharedTensor) else factor(share, target)
        ctx.logits = logits = _Logits(share, goal)
        logits.needs_gradient = ctx.needs_input_grad[0]
        size = (share.shape[0], *share.shape[2:])

        def compute() -> Share:
            with share.session.operation("cross_entropy"):
                return retag(logits.losses(), x.dtype)

        return wrap(Deferred(share.session, size, x.dtype, share.unit, compute))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """g (softmax * sum(target) - target)."""
        gradient = gradients[0]._share.map(lambda part: part.unsqueeze(1))
        goal = ctx.logits.goal
        with gradient.session.operation("cross_entropy_backward"):
            probabilities, mass = ctx.logits.probabilities(), _mass(goal)
            pulled = probabilities if mass is None else mpc.mul(probabilities, mass)
            out = mpc.mul(mpc.sub(pulled, goal), gradient)
        return wrap(retag(out, gradients[0].dtype)), None


def _mass(goal: Share) -> Share | None:
    """Each sample's total target; None where it is 1 for all to see."""
    total = mpc.total(goal, [1], True)
    known = total.public
    return None if known is not None and bool((known == total.scale).all()) else total


@front(F.cross_entropy)
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """F.cross_entropy with public class indices, or secret or public class probabilities.

    A secret index target is refused: encrypt F.one_hot(labels, n).float() instead.
    """
    if size_average is not None or reduce is not None:
        reduction = torch.nn._reduction.legacy_get_string(size_average, reduce)
    if not isinstance(input, SharedTensor):
        raise UnsupportedOperationError(
            "`cross_entropy` of plain predictions with a secret target: encrypt the predictions too"
        )
    if isinstance(weight, SharedTensor):
        raise UnsupportedOperationError(
            "`cross_entropy` with secret class weights: pass public ones"
        )
    x: Any = input
    goal: Any = target
    if input.dim() == 1:
        x = input.unsqueeze(0)
        goal = target.unsqueeze(0)
    if target.is_floating_point():
        return _with_probabilities(x, goal, weight, reduction, label_smoothing, input.dim() == 1)
    return _with_indices(
        x, goal, weight, ignore_index, reduction, label_smoothing, input.dim() == 1
    )


def _with_probabilities(
    x: Any, target: Any, weight: Any, reduction: str, smoothing: float, single: bool
) -> Any:
    if tuple(target.shape) != tuple(x.shape):
        raise RuntimeError(
            f"cross_entropy: probabilities of shape {tuple(target.shape)} for predictions of shape"
            f" {tuple(x.shape)}"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / x.shape[1]
    if weight is not None:
        target = target * _per_class(weight, x)
    return _reduced(
        _CrossEntropy.apply(x, target), reduction, Fraction(x.numel(), x.shape[1]), single
    )


def _with_indices(
    x: Any, target: Any, weight: Any, ignore: int, reduction: str, smoothing: float, single: bool
) -> Any:
    if isinstance(target, SharedTensor):
        _refuse_secret_index()
    if tuple(target.shape) != (x.shape[0], *x.shape[2:]):
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size"
            f" ({target.shape[0]})."
        )
    weights = picking(x._share, target, weight, ignore)
    total = exact(float(weights.sum()))
    if smoothing:
        used = (target != ignore).to(torch.float64).unsqueeze(1)
        share = torch.ones(x.shape[1], dtype=torch.float64) if weight is None else weight.double()
        weights = weights * (1 - smoothing) + used * _per_class(share, x) * (smoothing / x.shape[1])
    return _reduced(_CrossEntropy.apply(x, weights), reduction, total, single)


def _per_class(weight: Tensor, x: Any) -> Tensor:
    return weight.view(1, -1, *[1] * (x.dim() - 2))


def _refuse_secret_index() -> None:
    raise UnsupportedOperationError(
        "`cross_entropy` with secret class indices: encrypt one-hot targets,"
        " mpctensor.encrypt(F.one_hot(labels, n).float())"
    )


class _Reduce(torch.autograd.Function):
    """Sum or mean of losses that are not worked out yet."""

    @staticmethod
    def forward(ctx: Any, losses: Any, count: Fraction) -> Tensor:
        held = losses._held
        ctx.size, ctx.count = losses.shape, count

        def compute() -> Share:
            return retag(scaled(mpc.total(losses._share), 1 / count), losses.dtype)

        return wrap(Deferred(held.session, (), losses.dtype, held.unit, compute))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        gradient = scaled(gradients[0]._share, 1 / ctx.count)
        size = ctx.size
        return wrap(gradient.map(lambda part: part.expand(size))), None


def _reduced(losses: Any, reduction: str, count: Fraction, single: bool) -> Any:
    if reduction == "none":
        return losses.squeeze(0) if single else losses
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _Reduce.apply(losses, count if reduction == "mean" else Fraction(1))
