"""What a protocol chose from a secret, as autograd records it: a linear map that is kept.

torch's own gradients would index with a secret. Here the choices of the forward pass stay with the
node; its gradient applies them once more, and so does the gradient of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import protocols as mpc
from ..ops.operands import retag
from ..ops.reduce import average, evenly
from ..share import Share
from ..tensor import wrap

LinearMap = Callable[[Share], Share]


class Linear(torch.autograd.Function):
    """A linear function of a secret. transposed: its gradient, of which it is the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, name: str, direct: LinearMap, transposed: LinearMap) -> Tensor:
        ctx.label, ctx.direct, ctx.transposed = name, direct, transposed
        share = x._share
        with share.session.operation(name):
            return wrap(retag(direct(share), x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        out = Linear.apply(gradient, ctx.label, ctx.transposed, ctx.direct)
        return out, None, None, None


class Chosen(torch.autograd.Function):
    """The value of choose(x) -> (value, choices), whose choices go into the box.

    choices: with `route` and `pick`, as `protocols.Selection` has them.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, name: str, choose: Callable[..., Any], box: list[Any]) -> Tensor:
        share, ctx.label = x._share, f"{name}_backward"
        with share.session.operation(name):
            value, ctx.choices = choose(share)
        box.append(ctx.choices)
        return wrap(retag(value, x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        out = Linear.apply(gradient, ctx.label, ctx.choices.route, ctx.choices.pick)
        return out, None, None, None


class Shared(torch.autograd.Function):
    """choose(x), an element of x's last dimension; all that are equal to it share its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any, name: str, choose: LinearMap) -> Tensor:
        share, ctx.label = x._share, f"{name}_backward"
        with share.session.operation(name):
            value = choose(share)
        out = wrap(retag(value, x.dtype))
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, out = (tensor._share for tensor in ctx.saved_tensors)
        with x.session.operation(ctx.label):
            winners = mpc.equal(x, out.map(lambda part: part.unsqueeze(-1)))
        spread: LinearMap = lambda g: evenly(g, winners)  # noqa: E731
        gathered: LinearMap = lambda g: average(g, winners)  # noqa: E731
        return Linear.apply(gradients[0], ctx.label, spread, gathered), None, None


def chosen(x: Any, name: str, choose: Callable[..., Any]) -> tuple[Any, Any]:
    """(values, choices), recorded by autograd."""
    box: list[Any] = []
    return Chosen.apply(x, name, choose, box), box[0]


def index_of(x: Any, name: str, choices: Any) -> Any:
    """The positions that were chosen from x, a secret int64 tensor."""
    with x._share.session.operation(name):
        return wrap(choices.index())
