"""All parties in one process: messages are added up where they are, and counted as if sent."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .meter import Meter
from .opening import Opening, combine


class SimulatedTransport:
    """Openings among n parties that all live in this process."""

    failure: str | None = None

    def __init__(self, n: int, meter: Meter) -> None:
        self.n = n
        self.meter = meter

    def agree(self, *facts: object) -> None:
        """All parties run one script here: there is nothing to compare."""

    def stamp(self, *facts: object) -> bytes:
        """Nothing, as nothing was entered."""
        return b""

    def abort(self, why: str) -> None:
        """There is nobody to tell."""

    def close(self) -> None:
        """There is nobody to let go."""

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        bits = sum(opening.bits for opening in batch)
        sent = -(-bits // 8) * (self.n - 1)
        self.meter.count_round([sent] * self.n)
        return [combine(opening.combine, opening.messages) for opening in batch]

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        size = -(-opening.bits // 8)
        sent = [size * sum(r != p for r in receivers) for p in range(self.n)]
        self.meter.count_round(sent)
        return combine(opening.combine, opening.messages)
