"""The tables by which a torch call finds its meaning on shares.

ATEN: below autograd, from an aten overload to a handler. A handler gets Shares where the call had
SharedTensors (in lists too) and everything else untouched, and returns Shares or plain values.
FRONT: above autograd, from a torch function to a handler, which gets the call's own arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Handler = Callable[..., Any]
F = TypeVar("F", bound=Handler)

ATEN: dict[Any, Handler] = {}
FRONT: dict[Any, Handler] = {}


def implements(*overloads: Any) -> Callable[[F], F]:
    """Enter the decorated handler for aten overloads."""

    def enter(handler: F) -> F:
        for overload in overloads:
            ATEN[overload] = handler
        return handler

    return enter


def front(*functions: Any) -> Callable[[F], F]:
    """Enter the decorated handler for functions of the torch API."""

    def enter(handler: F) -> F:
        for function in functions:
            FRONT[function] = handler
        return handler

    return enter


# Overloads that read values in the open, with the sentence that follows "`name` ...".
REFUSED: dict[Any, str] = {}
# Overloads that look at shape and dtype alone; they do not settle a deferred value.
SHAPE_ONLY: set[Any] = set()


def refuse(sentence: str, *overloads: Any) -> None:
    """Enter overloads that would leak a secret; sentence: what they do, and the way out."""
    for overload in overloads:
        REFUSED[overload] = sentence
