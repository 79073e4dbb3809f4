"""Several processes inside one party, each with a shard of the batch: sums of shares are local.

Replica r of every party meets replica r of the others in a session of its own. Gradients are summed
inside each party by torch.distributed: adding shares needs no protocol, and no share leaves its
party. The group's channel must be the party's own network: torch's gloo does not encrypt it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from hashlib import blake2b

import torch
from torch import Tensor, nn

from .errors import SessionError
from .protocols import scaled, store
from .share import Share
from .starting import this_replica
from .tensor import SharedTensor, unwrap

Encrypted = Tensor | nn.Module | Iterable[Tensor]


def all_reduce(values: Encrypted, op: str = "mean") -> None:
    """Replace encrypted values by their mean ("mean") or sum ("sum") over the party's replicas.

        loss.backward()
        mpctensor.all_reduce(model)      # a module: the gradients of its parameters
        optimizer.step()

    values: a module, a tensor or several, the same in every replica. In place. Afterwards every
    replica of a party holds the same shares. Needs an initialised torch.distributed process group
    of the party's replicas; without one, or with a single replica, nothing changes. No rounds.
    Raises SessionError where replicas hold different shapes or scales.
    """
    if op not in ("mean", "sum"):
        raise ValueError(f"`op` is {op!r}; use 'mean' or 'sum'")
    shares = [unwrap(tensor) for tensor in _encrypted(values, gradients=True)]
    _, count = this_replica()
    if count < 2:
        return
    _check_alike(shares)
    for share in shares:
        if not share.dtype.is_floating_point:
            raise TypeError(f"gradients are reduced, which are floats, not {share.dtype}")
    for share in shares:
        with share.session.operation("all_reduce"):
            total = share.map(_summed)
            _replace(share, scaled(total, Fraction(1, count)) if op == "mean" else total)


def _replace(share: Share, value: Share) -> None:
    """Write a value whose scale took a divisor; unrounded, so that all replicas hold the same."""
    if share.whole:
        share.write(value, value.scale)
    else:
        store(share, value)
        store(share, share.map(lambda part: _from(part, 0)))


def broadcast(values: Encrypted, src: int = 0) -> None:
    """Give every replica of a party the shares of replica `src`, in place.

    values: as for `all_reduce`; of a module its parameters and encrypted buffers. encrypt() makes
    other shares of the same values in every replica, so weights are broadcast once before
    training; again whenever replicas must not drift apart by the rounding of their own updates.
    """
    shares = [unwrap(tensor) for tensor in _encrypted(values, gradients=False)]
    if this_replica()[1] < 2:
        return
    _check_alike(shares)
    for share in shares:
        with share.session.operation("broadcast"):
            store(share, share.map(lambda part: _from(part, src)))


def _encrypted(values: Encrypted, gradients: bool) -> list[SharedTensor]:
    if isinstance(values, nn.Module):
        found: Iterable[Tensor | None] = (
            [p.grad for p in values.parameters()]
            if gradients
            else [*values.parameters(), *values.buffers()]
        )
        return [tensor for tensor in found if isinstance(tensor, SharedTensor)]
    tensors = [values] if isinstance(values, Tensor) else list(values)
    for tensor in tensors:
        if not isinstance(tensor, SharedTensor):
            raise TypeError(
                f"replicas share encrypted values, not {type(tensor).__name__}; for plain tensors"
                " torch.distributed itself will do"
            )
    return tensors  # type: ignore[return-value]


def _check_alike(shares: list[Share]) -> None:
    """Sums of shares at different scales would be garbage."""
    kinds = [(tuple(s.shape), str(s.dtype), s.scale, s.unit, s.session.names) for s in shares]
    digest = blake2b(repr(kinds).encode(), digest_size=8).digest()
    own = torch.tensor(int.from_bytes(digest, "little", signed=True))
    least, most = own.clone(), own.clone()
    torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
    torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
    if least != most:
        raise SessionError(
            "the replicas hold values of different shapes or scales; every replica must run the"
            " same steps on shards of the same size"
        )


def _summed(part: Tensor) -> Tensor:
    total = part.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)  # int64 sums wrap modulo 2^64, as shares do
    return total


def _from(part: Tensor, src: int) -> Tensor:
    copy = part.clone(memory_format=torch.contiguous_format)
    torch.distributed.broadcast(copy, src)
    return copy
