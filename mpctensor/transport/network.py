"""Openings between parties that are processes of their own, over channels of `network`.

Every round carries a running check: a hash over everything that all parties must do alike (requests
to the provider, inputs, public operands, shapes of what is opened). Where two parties differ, both
stop before they use what the other sent, and say what each was doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import Tensor

from ..errors import SessionError
from ..network import Channel, Frame, Kind, bytes_of
from .meter import Meter
from .opening import Opening, combine


class NetworkTransport:
    """Party `me` of n, with a channel to each other party.

    nonce: the session's; the running check starts with it. A transport that failed once stays
    failed: what its peers did meanwhile is unknown.
    """

    def __init__(self, me: int, channels: dict[int, Channel], meter: Meter, nonce: bytes) -> None:
        self.me, self.n = me, len(channels) + 1
        self.channels = channels
        self.meter = meter
        self.failure: str | None = None
        self._check = blake2b(nonce, digest_size=16)

    @property
    def wire_bytes(self) -> tuple[int, int]:
        """(sent, received) so far, frames' headers included."""
        channels = self.channels.values()
        return sum(c.sent for c in channels), sum(c.received for c in channels)

    def agree(self, *facts: object) -> None:
        """Enter what every party must have alike into the check that goes with the next round."""
        for fact in facts:
            if isinstance(fact, Tensor):
                self._check.update(f"{fact.dtype}{tuple(fact.shape)}".encode())
                self._check.update(bytes_of(fact.contiguous()))
            else:
                self._check.update(f"{fact!r};".encode())

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        sent = -(-sum(opening.bits for opening in batch) // 8) * (self.n - 1)
        self.meter.count_round([sent] * self.n)
        others = list(self.channels)
        own = [opening.messages[self.me].contiguous() for opening in batch]
        received = self._exchange(own, others, others)
        received[self.me] = own
        return [
            combine(opening.combine, [received[p][i] for p in range(self.n)], self.me)
            for i, opening in enumerate(batch)
        ]

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        size = -(-opening.bits // 8)
        self.meter.count_round([size * sum(r != p for r in receivers) for p in range(self.n)])
        own = [opening.messages[self.me].contiguous()]
        mine = self.me in receivers
        others = [q for q in receivers if q != self.me]
        received = self._exchange(own, others, list(self.channels) if mine else [])
        if not mine:
            return None
        received[self.me] = own
        return combine(opening.combine, [received[p][0] for p in range(self.n)], self.me)

    def _exchange(
        self, own: Sequence[Tensor], receivers: Sequence[int], senders: Sequence[int]
    ) -> dict[int, list[Tensor]]:
        """Send the same tensors to all receivers; what the senders sent, of the same shapes."""
        with self.unbroken():
            shapes = [tuple(message.shape) for message in own]
            self.agree("round", shapes)
            doing = f"`{self.meter.doing}` on {', '.join(map(str, shapes))}"
            digest = self._check.digest()
            payload = [bytes_of(message) for message in own]
            for q in receivers:
                self.channels[q].send(Kind.OPENING, payload, text=doing, digest=digest, keep=own)
            return {q: self._receive(self.channels[q], own, doing, digest) for q in senders}

    def _receive(
        self, channel: Channel, own: Sequence[Tensor], doing: str, digest: bytes
    ) -> list[Tensor]:
        frame = channel.receive(Kind.OPENING)
        size = sum(message.numel() * message.element_size() for message in own)
        if frame.digest != digest or frame.size != size:
            raise SessionError(_difference(channel.peer, frame, doing))
        received = [torch.empty_like(message) for message in own]
        for message in received:
            channel.receive_into(bytes_of(message))
        return received

    # The end

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Whatever ends this block early, Ctrl-C too, ends the session, and the peers are told."""
        if self.failure is not None:
            raise SessionError(f"the session is broken: {self.failure}")
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """End the session because of an error, if nothing has ended it yet."""
        self.abort(reason(error))

    def abort(self, why: str) -> None:
        """Tell the peers why, and hang up."""
        if self.failure is None:
            self.failure = why
            self._hang_up(Kind.ABORT, why)

    def close(self) -> None:
        """Say goodbye and hang up."""
        if self.failure is None:
            self.failure = "it is closed"
            self._hang_up(Kind.BYE, "")

    def _hang_up(self, kind: Kind, text: str) -> None:
        for channel in self.channels.values():
            channel.close(kind, text)


def reason(error: BaseException) -> str:
    """What peers may know of an error: our own words, which hold no value, or its kind."""
    if isinstance(error, SessionError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    return f"it met a {type(error).__name__}"


def _difference(peer: str, frame: Frame, doing: str) -> str:
    return (
        f"the parties do not do the same: here {doing}, {peer} {frame.text}; every party must run"
        " the same script, on the same shapes and the same public values"
    )
