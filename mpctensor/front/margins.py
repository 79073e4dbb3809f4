"""Multi-class margin losses: hinges between public pairs of classes, each compared once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import SecretLeakError, UnsupportedOperationError
from ..ops.registry import front
from ..tensor import SharedTensor


def _public_classes(input: Any, target: Any, weight: Any = None) -> None:
    if isinstance(target, SharedTensor):
        raise SecretLeakError(
            "a margin loss that looks up a secret class index would show it: compare with all"
            " classes by a secret one-hot target, or decrypt() the target"
        )
    if not isinstance(input, SharedTensor):
        raise UnsupportedOperationError("a margin loss of plain predictions: encrypt them too")


def _hinges(x: Any, samples: Tensor, wanted: Tensor, others: Tensor, margin: float) -> Any:
    """max(0, margin - x[wanted] + x[other]) for public triples (sample, wanted, other)."""
    return F.relu(x[samples, others] - x[samples, wanted] + margin)


def _per_sample(hinges: Any, samples: Tensor, x: Any) -> Any:
    """The hinges of each sample, added up and divided by the number of classes."""
    return x.new_zeros(x.shape[0]).index_add(0, samples, hinges) / x.shape[1]


def _reduced(losses: Any, reduction: str, single: bool) -> Any:
    if reduction == "none":
        return losses.squeeze(0) if single else losses
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return losses.mean() if reduction == "mean" else losses.sum()


def _legacy(size_average: Any, reduce: Any, reduction: str) -> str:
    if size_average is None and reduce is None:
        return reduction
    return torch.nn._reduction.legacy_get_string(size_average, reduce)


@front(F.multi_margin_loss)
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """sum over the classes k that are not t of weight[t] max(0, margin - x[t] + x[k])^p / C."""
    _public_classes(input, target)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    x = input.reshape(1, -1) if input.dim() <= 1 else input
    classes = target.reshape(-1)
    if x.dim() != 2 or classes.numel() != x.shape[0]:
        raise RuntimeError("inconsistent target size")
    samples, others = (classes.unsqueeze(1) != torch.arange(x.shape[1])).nonzero(as_tuple=True)
    if samples.numel() != x.shape[0] * (x.shape[1] - 1):
        raise RuntimeError("target out of range")
    hinges = _hinges(x, samples, classes[samples], others, margin)
    hinges = hinges.square() if p == 2 else hinges
    if weight is not None:
        hinges = hinges * weight[classes[samples]]
    reduction = _legacy(size_average, reduce, reduction)
    return _reduced(_per_sample(hinges, samples, x), reduction, input.dim() <= 1)


@front(F.multilabel_margin_loss)
def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """sum over classes t that are targets and k that are none of max(0, 1 - x[t] + x[k]) / C.

    The targets of a sample are those before the first -1.
    """
    _public_classes(input, target)
    if tuple(target.shape) != tuple(input.shape) or input.dim() > 2:
        raise RuntimeError("inconsistent target size")
    x, labels = (v.reshape(1, -1) if v.dim() <= 1 else v for v in (input, target))
    valid = (labels < 0).cumsum(1) == 0
    if bool((labels[valid] >= x.shape[1]).any()):
        raise RuntimeError("target out of range")
    is_target = torch.zeros(tuple(x.shape), dtype=torch.int64)
    is_target = is_target.scatter_add(1, labels.clamp(min=0), valid.to(torch.int64)) > 0
    samples, places, others = (valid.unsqueeze(2) & ~is_target.unsqueeze(1)).nonzero(as_tuple=True)
    hinges = _hinges(x, samples, labels[samples, places], others, 1.0)
    reduction = _legacy(size_average, reduce, reduction)
    return _reduced(_per_sample(hinges, samples, x), reduction, input.dim() <= 1)
