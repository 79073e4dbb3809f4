"""The PySyft 0.2 verbs on tensors; `modules.py` applies them to whole modules."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from ..encoding import encode
from ..errors import SecretLeakError, UnsupportedOperationError
from ..grid import Grid
from ..protocols import reveal_value
from ..session import Session
from ..share import Share
from ..tensor import SharedTensor, wrap
from .chain import describe, handle_of
from .fixed import FixedPrecisionTensor, plain
from .taken import Taken
from .workers import DEFAULT_DIGITS, VirtualWorker, hold, session_among


def fix_precision(
    x: Tensor, base: int = 10, precision_fractional: int = DEFAULT_DIGITS
) -> FixedPrecisionTensor:
    """x as a fixed-precision value: toward zero to `precision_fractional` digits in `base`.

    Raises EncodingError for NaN, infinities and values out of range, SessionError for a precision
    that the ring cannot carry.
    """
    if isinstance(x, SharedTensor):
        raise TypeError("fix_precision() comes before share(): this tensor is shared already")
    grid = Grid.make(base, precision_fractional)
    value = plain(x).detach()
    if not value.is_floating_point():
        value = value.to(torch.get_default_dtype())
    return FixedPrecisionTensor.make(grid.truncated(value), grid)


def float_precision(x: Tensor) -> Tensor:
    """The plain floats of a fixed-precision value, on its grid."""
    if isinstance(x, SharedTensor):
        raise SecretLeakError("this tensor is shared: x.get().float_precision() reveals it")
    return x.grid.nearest(plain(x)) if isinstance(x, FixedPrecisionTensor) else x


def share(
    x: Tensor,
    *owners: VirtualWorker,
    crypto_provider: VirtualWorker | None = None,
    requires_grad: bool = False,
    protocol: str = "snn",
) -> SharedTensor:
    """x as additive shares, one for each owner.

    x: of fix_precision(), or integers, or bools. protocol: accepted for the sake of old scripts;
    there is one protocol suite. Raises TypeError for floats that are not in fixed precision, and
    SessionError for bad owners or a missing crypto provider.
    """
    session = session_among(owners, crypto_provider)
    if isinstance(x, SharedTensor):
        raise TypeError("this tensor is shared already; get() it first")
    if isinstance(x, FixedPrecisionTensor):
        return share_value(plain(x), x.grid.unit, session, requires_grad)
    if x.is_floating_point() or x.is_complex():
        raise TypeError(
            f"share() needs integers and this tensor is {x.dtype}: call"
            " fix_precision() first, x.fix_precision().share(...)"
        )
    return share_value(x, 1, session, requires_grad)


def share_value(value: Tensor, unit: int, session: Session, requires_grad: bool) -> SharedTensor:
    """Share plain values at the scale `unit`; the session then prints chains."""
    raw = encode(value, unit)
    with session.lock:
        parts = session.input(raw, raw.shape, session.first)
    shared = Share.make(session, parts, value.dtype, unit, unit, shown=inf)
    session.describe, session.reveal = describe, "get()"
    hold(session.names, handle_of(shared))
    return wrap(shared, requires_grad)


def get(x: Tensor) -> Tensor:
    """Reveal a shared tensor and consume it: floats come back in fixed precision.

    Anything that uses x afterwards raises SessionError; `x.copy().get()` keeps x.
    """
    if not isinstance(x, SharedTensor):
        raise TypeError("get() reveals a shared tensor; this one is plain already")
    shared = x._share
    value = revealed(shared)
    x._held = Taken(shared)
    if not value.is_floating_point():
        return value
    return FixedPrecisionTensor.make(value, Grid.of_unit(shared.unit))


def revealed(shared: Share) -> Tensor:
    """The plain value of a share, rounded to its unit."""
    with shared.session.operation("get"):
        value = reveal_value(shared)
    assert value is not None  # every party learns it
    return Grid.of_unit(shared.unit).carried(value) if value.is_floating_point() else value


def copy(x: Tensor) -> Tensor:
    """A copy of its own: x.copy().get() reveals x and keeps it."""
    return x.clone()


def encrypt(
    x: Tensor,
    protocol: str = "mpc",
    *,
    workers: list[VirtualWorker] | tuple[VirtualWorker, ...] = (),
    crypto_provider: VirtualWorker | None = None,
    requires_grad: bool = False,
    base: int = 10,
    precision_fractional: int = DEFAULT_DIGITS,
) -> SharedTensor:
    """fix_precision() and share() in one call; integers and bools are shared as they are."""
    check_protocol(protocol)
    ready = fix_precision(x, base, precision_fractional) if x.is_floating_point() else x
    return share(ready, *workers, crypto_provider=crypto_provider, requires_grad=requires_grad)


def check_protocol(protocol: str) -> None:
    """Raises UnsupportedOperationError for anything but multiparty computation."""
    if protocol not in ("mpc", "snn", "fss"):
        raise UnsupportedOperationError(f'encrypt(protocol={protocol!r}): only "mpc" exists here')


def decrypt(x: Tensor, protocol: str = "mpc") -> Tensor:
    """The plain value of `encrypt`; a shared tensor stays intact."""
    check_protocol(protocol)
    return float_precision(get(copy(x)) if isinstance(x, SharedTensor) else x)
