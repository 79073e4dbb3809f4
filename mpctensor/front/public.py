"""Plain tensors where secrets are needed: shares of what everybody knows."""

from __future__ import annotations

from typing import Any

from ..tensor import SharedTensor


def as_secret(x: Any, like: Any) -> Any:
    """x as a SharedTensor of the session of `like`; a plain one is public there."""
    return x if isinstance(x, SharedTensor) else x + like.new_zeros(())
