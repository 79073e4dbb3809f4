"""The parties' side of the provider: a share is expanded from the seed, or is the correction."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from .. import kernels
from .keys import derive, mask_key, operation_key
from .requests import MaskView, Request


class PartyKeys:
    """One party's secrets: the seed it shares with the provider and those it shares with peers."""

    def __init__(self, provider_seed: bytes, pair_seeds: dict[int, bytes], nonce: bytes) -> None:
        self._provider_seed = provider_seed
        self._nonce = nonce
        self._mask_key = mask_key(provider_seed, nonce)
        self._input_keys = {q: derive(s, "input", nonce) for q, s in pair_seeds.items()}

    def operation(self, request: Request) -> bytes:
        return operation_key(self._provider_seed, self._nonce, request.digest)

    def mask(self, base: Tensor | None, mask_id: int, start: int, n: int) -> Tensor:
        """This party's part of mask elements start..start+n, plus `base` where given."""
        if base is None:
            return kernels.prg(self._mask_key, mask_id, start, n)
        return kernels.prg_combine(base, self._mask_key, mask_id, start, "add")

    def mask_view(self, view: MaskView) -> Tensor:
        """This party's part of the mask elements that a view shows."""
        if prod(view.size) == 0:
            return torch.empty(view.size, dtype=torch.int64)
        span = 1 + sum((n - 1) * s for n, s in zip(view.size, view.stride, strict=True))
        return self.mask(None, view.id, view.offset, span).as_strided(view.size, view.stride)

    def mask_source(self, view: MaskView) -> kernels.Source:
        """Where a kernel finds `mask_view` of a flat view: where it can, it expands it itself."""
        if view.offset == 0 and view.stride == (1,):
            return self._mask_key, view.id
        return self.mask_view(view)

    def input(self, peer: int, number: int, n: int) -> Tensor:
        """The pair's common words for input `number`."""
        return kernels.prg(self._input_keys[peer], number, 0, n)


class Corrections(Protocol):
    """What the last party gets of one request, item by item; an item may be put out of memory."""

    def __getitem__(self, item: int, /) -> Tensor: ...
    def __setitem__(self, item: int, value: Tensor, /) -> None: ...


@dataclass(frozen=True)
class Dealt:
    """One request's outcome at the parties of this process.

    keys: the operation key of each local party. corrections: None unless the last party lives here.
    """

    request: Request
    keys: dict[int, bytes] = field(repr=False)
    corrections: Corrections | None = field(repr=False)
    last: int

    def part(self, party: int, item: int) -> Tensor:
        """This party's share of a dealt item (a fresh tensor that may be overwritten)."""
        layout = self.request.layout[item]
        if party == self.last:
            if self.corrections is None:
                raise RuntimeError("corrections belong to the last party, which lives elsewhere")
            return self.corrections[item]
        flat = kernels.prg(self.keys[party], layout.stream, 0, prod(layout.size))
        return flat.view(layout.size)

    def source(self, party: int, item: int) -> Tensor | tuple[bytes, int]:
        """Where a kernel finds a bundle: the correction, or (key, stream) to expand on the fly."""
        if party == self.last:
            return self.part(party, item)
        return self.keys[party], self.request.layout[item].stream

    def release(self, item: int) -> None:
        """Let go of a correction that nothing needs any more."""
        if self.corrections is not None:
            self.corrections[item] = torch.empty(0, dtype=torch.int64)
