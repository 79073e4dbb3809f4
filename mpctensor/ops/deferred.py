"""A value whose protocol runs only when somebody asks for it, such as a loss that nobody prints.

Every party runs the same script and so asks at the same point; nothing secret decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..session import Session
from ..share import Share


class Deferred:
    """Stands for a Share of known shape until `settle` computes it, once for all its aliases.

    here: an empty tensor that has the shape and strides. origin: of the value, as in `Facts`.
    """

    def __init__(
        self,
        session: Session,
        size: Sequence[int],
        dtype: torch.dtype,
        unit: int,
        compute: Callable[[], Share],
    ) -> None:
        self.session = session
        self.origin = b""
        self.dtype = dtype
        self.unit = unit
        self.here: Tensor = torch.empty(tuple(size), dtype=torch.int64)
        self._compute: Callable[[], Share] | None = compute
        self._share: Share | None = None

    shape = property(lambda self: self.here.shape)
    whole = True

    def settle(self) -> Share:
        with self.session.lock:
            if self._share is None:
                assert self._compute is not None
                self._share, self._compute = self._compute(), None
                self._share.facts.origin = self.origin or self._share.facts.origin
            return self._share
