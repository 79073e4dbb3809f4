"""What a call costs and how far off it may be: the rows of the tables beside, and running one.

tests/test_costs.py runs every row, and docs/supported.py prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

import mpctensor
from mpctensor import SharedTensor, UnsupportedOperationError


class Call(NamedTuple):
    """A function of secrets of about -2 to 2; whatever else it takes is public.

    name: of the operation, then what is special here, after a comma. rounds: of a call on new
    values. ulps: the error allowed in units of 2^-16, absolute or relative, whichever is larger;
    0 if exact, None where the result is drawn at random.
    """

    name: str
    rounds: int
    ulps: int | None
    function: Callable[..., Any]
    secrets: tuple[Tensor, ...]


class Family(NamedTuple):
    """per: whether bytes are for an element of the first argument or of the result."""

    title: str
    per: str
    calls: list[Call]


class Outcome(NamedTuple):
    """What a call gave and cost. backward: rounds of its gradients, None where it has none."""

    result: Any
    rounds: int
    bytes_sent: int
    provider_bytes: int
    backward: int | None


def run(call: Call) -> Outcome:
    """The call on new secrets, forward and backward, counted."""
    secrets = [mpctensor.encrypt(x.clone()) for x in call.secrets]
    for x in secrets:
        x.requires_grad_(x.is_floating_point())
    with mpctensor.cost() as forward:
        result = call.function(*secrets)
        _finish(result)
    spent = (forward.rounds, forward.bytes_sent, forward.provider_bytes)
    return Outcome(result, *spent, _backward(result, secrets))


def _backward(result: Any, secrets: list[Any]) -> int | None:
    outs = [value for value in tensors(result) if value.requires_grad]
    if not outs:
        return None
    gradients = [mpctensor.encrypt(torch.full(out.shape, 0.5)) for out in outs]
    try:
        with mpctensor.cost() as backward:
            torch.autograd.backward(outs, gradients)
            _finish([x.grad for x in secrets])
    except UnsupportedOperationError:
        return None
    return backward.rounds


def _finish(value: Any) -> None:
    """Compute what was put off."""
    for tensor in tensors(value):
        _ = isinstance(tensor, SharedTensor) and tensor._share


def tensors(value: Any) -> Iterator[Any]:
    """Those of a nest."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors(one)


def over(function: Callable[..., Any], *args: Any, **options: Any) -> Callable[..., Any]:
    """The function of one secret, with what follows it."""
    return lambda x: function(x, *args, **options)
