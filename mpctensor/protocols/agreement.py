"""Whether all parties hold the same plain value, without showing anybody another party's value.

Each party hashes its value; the differences of the hashes are compared with zero under the usual
masks, and only the conjunction of the outcomes is opened. Sending a hash instead would let a peer
try out guesses of a value that was meant to be secret.
"""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor

from ..network import bytes_of
from ..session import Session
from ..share import ABSENT, Part, Share
from .bits import bit_of
from .comparison import compare_zero
from .linear import add_scalar, total
from .rectify import flatten
from .reveal import reveal

WORD = 8  # bytes of a hash that are compared: two different values pass once in 2^64 times


class Agreement:
    """Collects the plain values that all parties should hold alike, then compares them."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=WORD)
        self._empty = True

    def add(self, value: Tensor) -> None:
        """Enter an int64 tensor."""
        self._empty = False
        self._hash.update(f"{tuple(value.shape)}".encode())
        self._hash.update(bytes_of(value.contiguous()))

    def holds(self, session: Session, name: str) -> bool:
        """Whether all parties entered the same. 5 rounds; 9 where there are more than two.

        name: of the user's operation that needs it.
        """
        if self._empty or not session.deployed:
            return True
        self._empty = True
        word = int.from_bytes(self._hash.digest(), "little", signed=True)
        with session.operation(name):
            return _all_same(session, word)


def _all_same(session: Session, word: int) -> bool:
    same = _vanishing(_differences(session, word))
    if session.n > 2:  # open whether all agree, not who does
        same = _vanishing(add_scalar(total(same), 1 - session.n))
    outcome = reveal(same)
    assert outcome is not None
    return bool(outcome.item())


def _differences(session: Session, word: int) -> Share:
    """(the first party's word - party p's word), for every other party p."""
    parts: list[Part] = [ABSENT] * session.n
    for p in session.local:
        own = parts[p] = torch.zeros(session.n - 1, dtype=torch.int64)
        if p == session.first:
            own.fill_(word)
        else:
            own[p - 1] = word
            own.neg_()
    return Share.make(session, parts, torch.int64, 1, 1)


def _vanishing(x: Share) -> Share:
    return bit_of(compare_zero(flatten(x)), 0, x.shape)
