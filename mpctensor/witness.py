"""What goes into the check that all parties run the same script, beside what they communicate.

Public operands of every call, and where the operands of communicating calls come from: two parties
that swap two secrets of one shape would otherwise compute garbage and not notice. Views and calls
without public operands that communicate nothing are not entered: what one party looks at alone does
no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .ops.deferred import Deferred
from .share import Facts, Share


class Witness:
    """One call in a deployed session (`with`).

    operands: its shares. values: a nest with its public operands. targets: what it writes to.
    """

    def __init__(
        self, name: str, operands: Sequence[Any], values: Any, targets: Sequence[Any] = ()
    ) -> None:
        self.name, self.targets = name, targets
        self.operands = [share for share in operands if type(share) is Share]
        self.session = operands[0].session
        self.values = values

    def __enter__(self) -> Witness:
        self.sources = [(share.facts.origin, share.place) for share in self.operands]
        facts = list(_public_facts(self.values))
        if facts:
            self.session.transport.agree(self.name, *facts)
        self.before = self.session.operations
        return self

    def made(self, out: Any) -> Any:
        """Note where the call's results come from; they are given back."""
        old = {id(share.facts) for share in self.operands}
        fresh = [value for value in _values(out) if id(value) not in old]
        for number, value in enumerate([*fresh, *_values(self.targets)]):
            value.origin = self.session.transport.stamp(self.name, number, self.sources)
        return out

    def __exit__(self, *exception: object) -> None:
        if self.session.operations != self.before:
            self.session.transport.agree(self.sources)


def _public_facts(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _public_facts(inner)
    elif isinstance(value, dict):
        yield from _public_facts(tuple(value.items()))
    elif isinstance(value, (int, float, str, torch.dtype)) or type(value) is Tensor:
        yield value


def _values(out: Any) -> Iterable[Facts | Deferred]:
    """What knows the origin of each secret in a result, tensors or shares."""
    held = getattr(out, "_held", out)
    if type(held) is Share:
        yield held.facts
    elif type(held) is Deferred:
        yield held
    elif isinstance(held, (list, tuple)):
        for value in held:
            yield from _values(value)
