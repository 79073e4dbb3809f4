"""All parties in one process: messages are added up where they are, and counted as if sent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .meter import Meter
from .opening import Opening


class SimulatedTransport:
    """Openings among n parties that all live in this process."""

    def __init__(self, n: int, meter: Meter) -> None:
        self.n = n
        self.meter = meter

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        bits = sum(opening.bits for opening in batch)
        sent = -(-bits // 8) * (self.n - 1)
        self.meter.count_round([sent] * self.n)
        return [_combine(opening) for opening in batch]

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        size = -(-opening.bits // 8)
        sent = [size * sum(r != p for r in receivers) for p in range(self.n)]
        self.meter.count_round(sent)
        return _combine(opening)


def _combine(opening: Opening) -> Tensor:
    if opening.combine == "stack":
        return torch.stack(opening.messages)
    total: Tensor = opening.messages[0]
    for message in opening.messages[1:]:
        if opening.combine == "add":
            total.add_(message)
        else:
            total.bitwise_xor_(message)
    return total
