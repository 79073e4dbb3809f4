"""What stands in the place of a share that `get()` has consumed."""

from __future__ import annotations

from typing import NoReturn

from ..errors import SessionError
from ..ops.deferred import Deferred
from ..share import Share


class Taken(Deferred):
    """Keeps the shape, so that a loss that was looked at still starts its backward pass.

    The value is gone: any use of it raises SessionError.
    """

    def __init__(self, share: Share) -> None:
        super().__init__(share.session, share.shape, share.dtype, share.unit, self.settle)

    def settle(self) -> NoReturn:
        raise SessionError(
            "this value was taken by get(), which consumes the shared tensor: use"
            " x.copy().get() to keep it"
        )
