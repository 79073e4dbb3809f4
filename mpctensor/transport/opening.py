"""What crosses between parties: openings, in batches of one round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Opening:
    """A value to make public: every party contributes one message of the same shape.

    messages: int64 tensors, one per party (ABSENT for parties elsewhere); the transport may
    overwrite them. combine: "add" or "xor" them into the value; "stack" keeps them side by side, by
    party. bits: what one party sends to one peer.
    """

    messages: tuple[Any, ...]
    combine: Literal["add", "xor", "stack"]
    bits: int


class Transport(Protocol):
    """Opens batches among the parties; every call is one round."""

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        """The public values, in the order of the batch."""
        ...

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        """Like `open`, but only the receivers learn the value; None where none of them lives."""
        ...
