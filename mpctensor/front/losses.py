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
from ..errors import SecretLeakError, UnsupportedOperationError
from ..ops.deferred import Deferred
from ..ops.loss import picking, total_of
from ..ops.operands import exact, factor, retag
from ..ops.pointwise import scaled
from ..ops.registry import front
from ..share import Share
from ..tensor import SharedTensor, wrap


class _Versions:
    """Whether values are still what they were: a token with each, which a write drops."""

    def __init__(self, *shares: Share) -> None:
        self._facts = [(s, s.facts.derived.setdefault(UNCHANGED, object())) for s in shares]

    @property
    def unchanged(self) -> bool:
        return all(s.facts.derived.get(UNCHANGED) is token for s, token in self._facts)


UNCHANGED = "unchanged"


class _Logits:
    """Predictions and targets of a cross entropy; softmax and losses are worked out when needed.

    The loss is that of the values at the time of the call, as in torch, so copies are kept for the
    case that one is written to before somebody asks (an optimizer steps on the predictions). The
    gradient asks for them unchanged, as in torch.
    """

    needs_gradient = False

    def __init__(self, x: Share, goal: Share) -> None:
        self._now, self._then = (x, goal), (x.clone(), goal.clone())
        self._versions = _Versions(x, goal)
        self._probabilities: Share | None = None

    def _values(self) -> tuple[Share, Share]:
        """(predictions, targets) of the call; the originals have openings that can be reused."""
        return self._now if self._versions.unchanged else self._then

    def for_gradient(self) -> tuple[Share, Share]:
        """(predictions, targets); RuntimeError where one was changed."""
        if not self._versions.unchanged:
            raise RuntimeError(
                "the predictions or the targets of a cross entropy were changed in place before its"
                " gradient was asked for; clone() them first"
            )
        return self._now

    def probabilities(self) -> Share:
        if self._probabilities is None:
            self._probabilities = mpc.softmax(self._values()[0], 1)
        return self._probabilities

    def losses(self) -> Share:
        """-sum(target log_softmax) per sample; with the softmax that a backward pass will need."""
        x, goal = self._values()
        if self._probabilities is None and self.needs_gradient:
            self._probabilities, logarithms = mpc.softmax_and_log(x, 1)
        else:
            logarithms = mpc.log_softmax(x, 1)
        return mpc.neg(mpc.total(mpc.mul(logarithms, goal), [1]))


class _CrossEntropy(torch.autograd.Function):
    """Sum over the classes (dim 1) of -target log_softmax(x), per sample.

    x: (N, C, *). target: weights of the same shape, secret or public.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, target: Any) -> Tensor:
        share = x._share
        goal = target._share if isinstance(target, SharedTensor) else factor(share, target)
        ctx.logits = logits = _Logits(share, goal)
        ctx.save_for_backward(x, target)
        logits.needs_gradient = ctx.needs_input_grad[0]
        size = (share.shape[0], *share.shape[2:])

        def compute() -> Share:
            with share.session.operation("cross_entropy"):
                return retag(logits.losses(), x.dtype)

        return wrap(Deferred(share.session, size, x.dtype, share.unit, compute))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """g (softmax sum(target) - target), and -g log_softmax for a target that asks for it."""
        gradient = gradients[0].unsqueeze(1)
        if torch.is_grad_enabled():
            return _differentiable_gradients(ctx, gradient)
        share, to_x, to_target = gradient._share, None, None
        with share.session.operation("cross_entropy_backward"):
            x, goal = ctx.logits.for_gradient()
            if ctx.needs_input_grad[0]:
                out = mpc.mul(_pull(ctx.logits.probabilities(), goal), share)
                to_x = wrap(retag(out, gradient.dtype))
            if ctx.needs_input_grad[1]:
                out = mpc.neg(mpc.mul(mpc.log_softmax(x, 1), share))
                to_target = wrap(retag(out, gradient.dtype))
        return to_x, to_target


def _differentiable_gradients(ctx: Any, gradient: Any) -> tuple[Any, Any]:
    """The same by operations that autograd records, for gradients of gradients."""
    ctx.logits.for_gradient()
    x, target = ctx.saved_tensors
    to_x = to_target = None
    if ctx.needs_input_grad[0]:
        to_x = (F.softmax(x, 1) * target.sum(1, keepdim=True) - target) * gradient
    if ctx.needs_input_grad[1]:
        to_target = -F.log_softmax(x, 1) * gradient
    return to_x, to_target


def _pull(probabilities: Share, goal: Share) -> Share:
    """softmax sum(target) - target."""
    mass = _mass(goal)
    pulled = probabilities if mass is None else mpc.mul(probabilities, mass)
    return mpc.sub(pulled, goal)


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
        target = target * _weighed(torch.ones(x.shape), weight)
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
    goal = _weighed(picking(x._share, target, ignore), weight)
    total = _total_of(goal)
    if smoothing:
        used = (target != ignore).to(torch.float64).unsqueeze(1)
        even = _weighed(used.expand(x.shape), weight)
        goal = goal * (1 - smoothing) + even * (smoothing / x.shape[1])
    return _reduced(_CrossEntropy.apply(x, goal), reduction, total, single)


def _total_of(goal: Any) -> Any:
    """The total weight: a fraction, or a secret where the weights are."""
    return goal.sum() if isinstance(goal, SharedTensor) else exact(float(goal.sum()))


def _weighed(mask: Tensor, weight: Any) -> Any:
    """A public mask (N, C, *) times the weights of the classes; a secret where they are."""
    if weight is None:
        return mask
    secret = isinstance(weight, SharedTensor)
    mask, weight = (mask.to(weight.dtype), weight) if secret else (mask, weight.double())
    return mask * weight.view(1, -1, *[1] * (mask.dim() - 2))


@front(F.linear_cross_entropy)
def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """F.cross_entropy of F.linear(input); `options`, which only save memory, are not heeded."""
    size = (*input.shape[:-1], *linear_weight.shape[:-1])
    if tuple(target.shape) == size and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = F.linear(input, linear_weight.flatten(0, -2), bias).reshape(size)
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _refuse_secret_index() -> None:
    raise SecretLeakError(
        "`cross_entropy`: `target` holds secret class indices, and looking them up would show them:"
        " encrypt one-hot targets, mpctensor.encrypt(F.one_hot(labels, n).float())"
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
        return _Spread.apply(gradients[0], ctx.count, ctx.size), None


class _Spread(torch.autograd.Function):
    """The gradient of `_Reduce`: the same for each loss."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, count: Fraction, size: torch.Size) -> Tensor:
        ctx.count = count
        share = gradient._share
        with share.session.operation("cross_entropy_backward"):
            out = scaled(share, 1 / count)
            return wrap(out.map(lambda part: part.expand(size)))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Reduce.apply(gradients[0], ctx.count), None, None


def _reduced(losses: Any, reduction: str, count: Any, single: bool) -> Any:
    if reduction == "none":
        return losses.squeeze(0) if single else losses
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if reduction == "sum":
        return _Reduce.apply(losses, Fraction(1))
    if isinstance(count, SharedTensor):
        return _Reduce.apply(losses, Fraction(1)) / count
    return _Reduce.apply(losses, total_of(count))
