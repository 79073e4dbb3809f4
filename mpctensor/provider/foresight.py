"""What the next step will ask of the provider, told from the steps before.

A step of training asks the same each time, with later operation numbers and later masks. Masks made
within the step move on with it; masks of what stays (a data set that was opened once) do not. A
wrong guess costs time only: what was not foreseen is asked for when it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .requests import BitView, MaskView, Operand, Request


@dataclass(frozen=True)
class Step:
    """The requests of one step. operations, masks: the session's counters (before, after) it."""

    requests: tuple[Request, ...]
    operations: tuple[int, int]
    masks: tuple[int, int]


def foresee(step: Step, before: Step | None, steps: int) -> list[Request]:
    """The requests of the next `steps` steps, in order.

    before: the step ahead of this one, where it is known; it tells which of the older masks move.
    """
    if before is not None and len(before.requests) != len(step.requests):
        before = None
    earlier: Sequence[Request | None] = before.requests if before else [None] * len(step.requests)
    return [
        _later(request, previous, step, count)
        for count in range(1, steps + 1)
        for request, previous in zip(step.requests, earlier, strict=True)
    ]


def _later(request: Request, previous: Request | None, step: Step, count: int) -> Request:
    olds = previous.operands if previous else ()
    if len(olds) != len(request.operands):
        olds = ()
    operands = tuple(
        _moved(operand, olds[i] if olds else None, step, count)
        for i, operand in enumerate(request.operands)
    )
    old = None if previous is None else previous.number
    number = _shifted(request.number, old, step.operations, count)
    return replace(request, number=number, operands=operands)


def _moved(operand: Operand, old: Operand | None, step: Step, count: int) -> Operand:
    if isinstance(operand, MaskView):
        known = old.id if isinstance(old, MaskView) else None
        return replace(operand, id=_shifted(operand.id, known, step.masks, count))
    source = old.source if isinstance(old, BitView) else None
    return replace(operand, source=_later(operand.source, source, step, count))


def _shifted(number: int, old: int | None, span: tuple[int, int], count: int) -> int:
    """A counter's value `count` steps later; one from before the step moves if it moved before."""
    length = span[1] - span[0]
    moves = number > span[0] or (old is not None and old + length == number)
    return number + count * length if moves else number
