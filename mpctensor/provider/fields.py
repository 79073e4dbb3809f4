"""Checks of single values that came in a request: integers, lists of them, words.

Every message names the value at fault and what it may be, and is short whatever was sent.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..errors import RequestError

BELOW_INT64 = 1 << 63
MOST_DIMS = 64
_SHOWN = 60


def shown(value: object) -> str:
    """A value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refuse(name: str, value: object, allowed: str) -> RequestError:
    return RequestError(f"`{name}` is {shown(value)}; it must be {allowed}")


def integer(name: str, value: Any, least: int = 0, below: int = BELOW_INT64) -> int:
    """`value`, an int (never a bool) with least <= value < below."""
    if type(value) is not int or not least <= value < below:
        raise refuse(name, value, f"an integer of at least {least} and below {below}")
    return value


def integers(
    name: str, value: Any, least: int = 0, below: int = BELOW_INT64, count: int | None = None
) -> tuple[int, ...]:
    """`value`, a list of such integers: `count` of them, or up to MOST_DIMS."""
    sequence(name, value, MOST_DIMS)
    if count is not None and len(value) != count:
        raise refuse(name, value, f"{count} integers")
    return tuple(integer(name, entry, least, below) for entry in value)


def sequence(name: str, value: Any, most: int) -> None:
    """Check that `value` is a list or tuple of at most so many entries."""
    if not isinstance(value, list | tuple):
        raise refuse(name, value, "a list")
    if len(value) > most:
        raise RequestError(f"`{name}` has {len(value)} entries; it may have {most}")


def word(name: str, value: Any, allowed: Collection[str]) -> str:
    """`value`, one of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise refuse(name, value, f"one of {', '.join(allowed)}")
    return value


def fields(name: str, value: Any, *names: str) -> list[Any]:
    """The entries of a list that must have one for each name."""
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise refuse(name, value, f"a list of {', '.join(names) or 'nothing'}")
    return list(value)
