"""What requests may cost: limits of one list and one request, and quotas of a session.

All are settings of the provider, in exact integers. A request's cost follows from the request
alone, before anything is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod

from ..errors import RequestError
from .products import volume, work_of
from .requests import BitView, Operand, Request

_COPIES_DEALT, _COPIES_EXPANDED = 3, 4  # that dealing holds at a time, at most


@dataclass(frozen=True)
class Limits:
    """Settings of a provider; each is the largest number that passes.

    frame_bytes, requests: of one encoded list. mask_elements: of one mask. request_dealt: bytes
    dealt for one request. request_memory: bytes allocated to deal it. request_work: words expanded,
    shown by a view, dealt or padded for it, and multiply-adds; each takes 0.1 to 50 ns.
    session_dealt, session_work: sums over a session's requests.
    """

    frame_bytes: int = 1 << 20
    requests: int = 1 << 12
    mask_elements: int = 1 << 31
    request_dealt: int = 1 << 33
    request_memory: int = 1 << 35
    request_work: int = 1 << 38
    session_dealt: int = 1 << 48
    session_work: int = 1 << 54

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            most = 1 << 60 if field.name.startswith("session") else 1 << 38
            if type(value) is not int or not 0 < value <= most:
                raise ValueError(
                    f"`{field.name}` is {value!r}; use a whole number from 1 to {most}"
                )


@dataclass(frozen=True)
class Cost:
    """dealt: bytes for the last party. memory: bytes, an upper bound. work: as in `Limits`."""

    dealt: int
    memory: int
    work: int


def cost(request: Request) -> Cost:
    """What a checked request costs to deal."""
    expanded = sum(_expanded(operand) for operand in request.operands)
    shown = sum(volume(operand.size) for operand in request.operands)
    dealt = sum(prod(item.size) for item in request.layout)
    work, scratch = work_of(request) if request.op == "product" else (0, 0)
    if request.op != "product" or request.params[0].startswith("conv"):
        expanded += shown  # there a view is copied, so that its elements lie side by side
    words = _COPIES_DEALT * dealt + _COPIES_EXPANDED * expanded + scratch
    return Cost(request.dealt_bytes, 8 * words, work + scratch + expanded + shown + dealt)


def _expanded(operand: Operand) -> int:
    """Elements made for an operand: the range that its view touches; for bits all of the source."""
    if isinstance(operand, BitView):
        mask = operand.source.operands[0]
        return span(mask) + 3 * volume(mask.size)
    return span(operand)


def span(view: Operand) -> int:
    """Elements of a mask from the first to the last that a view shows."""
    if 0 in view.size:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True))


def check_cost(request: Request, limits: Limits) -> None:
    """Raise RequestError where one request costs more than the limits let."""
    found = cost(request)
    _within("bytes dealt", found.dealt, limits.request_dealt, "request_dealt")
    _within("bytes of memory", found.memory, limits.request_memory, "request_memory")
    _within("operations", found.work, limits.request_work, "request_work")


def _within(what: str, value: int, most: int, setting: str) -> None:
    if value > most:
        raise RequestError(
            f"it takes {value} {what}, more than the {most} of `{setting}`, a setting of the"
            " provider; raise it there, or work in smaller pieces"
        )


class Quota:
    """What one session has used of its provider; not for two threads at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.dealt = 0
        self.work = 0

    def charge(self, request: Request) -> None:
        """Count a checked request; RequestError, and nothing counted, where the quota is spent."""
        found = cost(request)
        limits = self._limits
        _left("bytes dealt", self.dealt, found.dealt, limits.session_dealt, "session_dealt")
        _left("operations", self.work, found.work, limits.session_work, "session_work")
        self.dealt += found.dealt
        self.work += found.work


def _left(what: str, used: int, more: int, quota: int, setting: str) -> None:
    if used + more > quota:
        raise RequestError(
            f"this session has used {used} of its quota of {quota} {what} and asks for {more} more;"
            f" raise `{setting}`, a setting of the provider, or begin a new session"
        )
