"""Several processes inside one party, each with a shard of the batch: sums of shares are local.

Replica r of every party meets replica r of the others in a session of its own. Gradients are summed
inside each party by torch.distributed: adding shares needs no protocol, and no share leaves its
party. The group's channel must be the party's own network: torch's gloo does not encrypt it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from hashlib import blake2b
from math import inf

import torch
from torch import Tensor, nn

from .errors import SessionError
from .protocols import scaled, store
from .share import Share
from .starting import this_replica
from .tensor import SharedTensor, unwrap

Encrypted = Tensor | nn.Module | Iterable[Tensor | None]
Named = list[tuple[str, SharedTensor | None]]  # None: there is no such value


def all_reduce(values: Encrypted, op: str = "mean") -> None:
    """Replace encrypted values by their mean ("mean") or sum ("sum") over the party's replicas.

        loss.backward()
        mpctensor.all_reduce(model)      # a module: the gradients of its parameters
        optimizer.step()

    values: a module, a tensor or several, the same in every replica; a gradient may be missing
    (None) where it is missing in all. In place, each value once even if given twice. Afterwards
    every replica of a party holds the same shares. Needs an initialised torch.distributed process
    group of the party's replicas; without one, or with a single replica, nothing changes. No
    rounds, but for a mean written into a view of something larger. Raises SessionError where
    replicas hold different shapes or scales, or lack different gradients; ValueError for views that
    overlap.
    """
    if op not in ("mean", "sum"):
        raise ValueError(f"`op` is {op!r}; use 'mean' or 'sum'")
    named = _gradients(values) if isinstance(values, nn.Module) else _listed(values)
    for name, tensor in named:
        if tensor is not None and not tensor.dtype.is_floating_point:
            raise TypeError(f"gradients are reduced, which are floats; {name} is {tensor.dtype}")
    _, count = this_replica()
    if count < 2:
        return
    for share in _to_be_written(named, any_scale=False):
        with share.session.operation("all_reduce"):
            total = _secret(share, share.each(_summed), share.scale, share.shown)
            _replace(share, total, count if op == "mean" else 1)


def _replace(share: Share, total: Share, divisor: int) -> None:
    """Write total / divisor, the same in all replicas, each of which would round differently."""
    value = scaled(total, Fraction(1, divisor))
    exact = value.scale == total.scale * divisor
    if exact and (share.whole or divisor == 1):
        share.write(value, value.scale)
    else:
        store(share, value)
        share.write(_of_replica(share, 0, share.scale, share.shown))


def broadcast(values: Encrypted, src: int = 0) -> None:
    """Give every replica of a party the shares of replica `src`, in place, and their scale.

    values: as for `all_reduce`; of a module its encrypted parameters and buffers. encrypt() makes
    other shares of the same values in every replica, and every replica rounds its own updates, so
    weights are broadcast at the beginning of every step; otherwise replicas drift apart by a unit
    in the last place or two a step. Raises SessionError where replicas hold different shapes.
    """
    named = _state(values) if isinstance(values, nn.Module) else _listed(values)
    if this_replica()[1] < 2:
        return
    shares = _to_be_written(named, any_scale=True)
    scales = torch.tensor(
        [(share.scale, 0 if share.shown == inf else int(share.shown)) for share in shares],
        dtype=torch.int64,
    )
    if shares:
        torch.distributed.broadcast(scales, src)
    for share, (scale, shown) in zip(shares, scales.tolist(), strict=True):
        with share.session.operation("broadcast"):
            share.write(_of_replica(share, src, scale, shown or inf), scale)


# Which values


def _gradients(module: nn.Module) -> Named:
    named = [(f"the gradient of `{name}`", p.grad) for name, p in module.named_parameters()]
    return [(name, None if grad is None else _encrypted(name, grad)) for name, grad in named]


def _state(module: nn.Module) -> Named:
    """Parameters and buffers; those that are plain are public, and nobody's to give."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return [(f"`{name}`", t if isinstance(t, SharedTensor) else None) for name, t in named]


def _listed(values: Tensor | Iterable[Tensor | None]) -> Named:
    if isinstance(values, Tensor):
        return [("`values`", _encrypted("`values`", values))]
    named = [(f"`values[{i}]`", value) for i, value in enumerate(values)]
    return [(name, None if value is None else _encrypted(name, value)) for name, value in named]


def _encrypted(name: str, tensor: object) -> SharedTensor:
    if not isinstance(tensor, SharedTensor):
        raise TypeError(
            f"replicas share encrypted values, and {name} is a {type(tensor).__name__}; for plain"
            " tensors torch.distributed itself will do"
        )
    return tensor


def _to_be_written(named: Named, *, any_scale: bool) -> list[Share]:
    """The shares of these tensors, each once, alike in all replicas; autograd hears of the write.

    any_scale: what covers its whole storage may have another scale in each replica.
    """
    distinct = _distinct(named)
    _check_alike(distinct, any_scale)
    for _, tensor in named:
        if tensor is not None and not tensor.is_inference():
            torch.autograd.graph.increment_version(tensor)
    return [share for _, share in distinct if share is not None]


def _distinct(named: Named) -> list[tuple[str, Share | None]]:
    """Each value once: a tensor given twice, or through an alias, must not be added twice."""
    out: list[tuple[str, Share | None]] = []
    seen: dict[int, list[tuple[str, Share]]] = {}
    for name, tensor in named:
        share = None if tensor is None else unwrap(tensor)
        if share is not None:
            neighbours = seen.setdefault(share.here.untyped_storage().data_ptr(), [])
            if any(_same_view(share, other) for _, other in neighbours):
                continue
            for other_name, other in neighbours:
                if bool((_shown(share) & _shown(other)).any()):
                    raise ValueError(
                        f"{name} and {other_name} overlap: pass what they are parts of"
                    )
            neighbours.append((name, share))
        out.append((name, share))
    return out


def _same_view(a: Share, b: Share) -> bool:
    """Whether two shares on one storage show the same elements, in whatever order."""
    same = (a.here.shape, a.here.stride(), a.here.storage_offset()) == (
        *(b.here.shape, b.here.stride()),
        b.here.storage_offset(),
    )
    return same or (a.whole and b.whole)


def _shown(share: Share) -> Tensor:
    """Which elements of its storage a share shows."""
    n = share.storage_numel
    shown = torch.zeros(n, dtype=torch.bool)
    shown[share.view_of(torch.arange(n)).reshape(-1)] = True
    return shown


# Agreement among the replicas


def _check_alike(named: Sequence[tuple[str, Share | None]], any_scale: bool) -> None:
    """Sums of shares at different scales, or of other values, would be garbage."""
    names = [name for name, _ in named]
    if any(_differ([repr(names)])):
        raise SessionError(
            f"the replicas do not pass the same values; here {len(names)}:"
            f" {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        )
    kinds = [_kind(share, any_scale) for _, share in named]
    for name, kind, differs in zip(names, kinds, _differ(kinds), strict=True):
        if differs:
            raise SessionError(
                f"the replicas differ in {name}, which here is {kind}; every replica must run the"
                " same steps, on shards of the same size, and lack the same gradients"
            )


def _kind(share: Share | None, any_scale: bool) -> str:
    if share is None:
        return "missing"
    kind = f"{share.dtype} of shape {tuple(share.shape)}, unit {share.unit}"
    kind += f", in a session of {', '.join(share.session.names)}"
    if not share.whole or not any_scale:
        kind += f", at scale {share.scale}"
    return kind if any_scale or share.shown == inf else f"{kind}, to be shown at {share.shown}"


def _differ(texts: Sequence[str]) -> list[bool]:
    """Which of these texts, as many everywhere, are not the same in all replicas."""
    if not texts:
        return []
    digests = [blake2b(text.encode(), digest_size=8).digest() for text in texts]
    own = torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests])
    least = torch.stack((own, ~own))
    torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
    return (least[0] != ~least[1]).tolist()


# Shares on the wire


def _secret(share: Share, parts: Sequence[object], scale: int, shown: float) -> Share:
    """A share like this one of other parts, of which only the parties' sum is to be known."""
    return Share.make(share.session, parts, share.dtype, scale, share.unit, shown=shown)


def _of_replica(share: Share, src: int, scale: int, shown: float) -> Share:
    parts = share.each(lambda _, part: _from(part, src))
    return _secret(share, parts, scale, shown)


def _summed(_: int, part: Tensor) -> Tensor:
    total = part.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)  # int64 sums wrap modulo 2^64, as shares do
    return total


def _from(part: Tensor, src: int) -> Tensor:
    copy = part.clone(memory_format=torch.contiguous_format)
    torch.distributed.broadcast(copy, src)
    return copy
