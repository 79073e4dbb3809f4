"""Public random draws (dropout, random fills), and those that backward makes a second time.

A draw is keyed by an operation number, so that it is fresh and alike at all parties, whatever state
torch's own generators have there. Checkpointing sets torch's generator back and runs a part of the
forward pass again inside backward, which must drop the same elements. So every draw moves torch's
generator on, as in plain torch, and is remembered by the state that it had.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import torch

from .network import bytes_of

KEPT = 1 << 12  # draws between a forward pass and its repetition


class Draws:
    """The seeds of the last draws, by the state that torch's generator had."""

    def __init__(self) -> None:
        self._seeds: OrderedDict[bytes, int] = OrderedDict()

    def seed(self, fresh: Callable[[], int]) -> int:
        """fresh(), or in a backward pass the seed that was drawn in this state before."""
        state = blake2b(bytes_of(torch.get_rng_state()), digest_size=16).digest()
        torch.rand((), generator=torch.default_generator, device="cpu")
        repeated = torch._C._current_graph_task_id() != -1 and state in self._seeds
        seed = self._seeds.pop(state) if repeated else fresh()
        self._seeds[state] = seed
        while len(self._seeds) > KEPT:
            self._seeds.popitem(last=False)
        return seed
