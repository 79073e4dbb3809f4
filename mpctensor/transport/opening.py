"""What crosses between parties: openings, in batches of one round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
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


def combine(how: str, messages: Sequence[Tensor]) -> Tensor:
    """The public value of the parties' messages; the first is overwritten."""
    if how == "stack":
        return torch.stack(list(messages))
    total: Tensor = messages[0]
    for message in messages[1:]:
        total = total.add_(message) if how == "add" else total.bitwise_xor_(message)
    return total


class Transport(Protocol):
    """Opens batches among the parties; every call is one round.

    failure: why nothing can be opened any more, or None.
    """

    failure: str | None

    def agree(self, *facts: object) -> None:
        """Facts that must be alike at all parties, in order; checked with the next round."""
        ...

    def stamp(self, *facts: object) -> bytes:
        """A digest of these facts and of everything that was entered before."""
        ...

    def abort(self, why: str) -> None:
        """End the session early, and tell the peers why."""
        ...

    def close(self) -> None:
        """Let go of the peers."""
        ...

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        """The public values, in the order of the batch."""
        ...

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        """Like `open`, but only the receivers learn the value; None where none of them lives."""
        ...
