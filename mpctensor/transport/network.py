"""Openings between parties that are processes of their own, over channels of `network`.

Every round carries a running check: a hash over everything that all parties must do alike (requests
to the provider, inputs, public operands, shapes of what is opened). Where two parties differ, both
stop before they use what the other sent, and say what each was doing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import blake2b

from torch import Tensor

from .. import kernels
from ..errors import PeerError, SessionError, Terminated
from ..network import Channel, Departure, Duplex, Frame, Kind, bytes_of
from .meter import Meter
from .opening import Opening

PIECE = 1 << 18  # bytes of a message that are read and added at a time


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
        self.duplex = Duplex(channels.values())
        self.room = memoryview(bytearray(PIECE))
        self._check = blake2b(nonce, digest_size=16)
        if self.n > 2:  # whoever waits for one party hears of the others, and keeps them waiting
            for channel in channels.values():
                channel.look_around(self.heed)
                channel.never_hurry()

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

    def stamp(self, *facts: object) -> bytes:
        check = self._check.copy()
        check.update(f"{facts!r}".encode())
        return check.digest()

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        sent = -(-sum(opening.bits for opening in batch) // 8) * (self.n - 1)
        self.meter.count_round([sent] * self.n)
        return self._exchange(batch, self.channels.keys(), True)

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        size = -(-opening.bits // 8)
        self.meter.count_round([size * sum(r != p for r in receivers) for p in range(self.n)])
        mine = self.me in receivers
        values = self._exchange([opening], receivers, mine)
        return values[0] if mine else None

    def _exchange(
        self, batch: Sequence[Opening], receivers: Collection[int], mine: bool
    ) -> list[Tensor]:
        """Send the batch's messages to the receivers; where they are mine too, combine them all.

        Everybody gets a header from everybody, with which the running check goes.
        """
        if self.failure is not None:
            raise SessionError(f"the session is broken: {self.failure}")
        try:
            own = [opening.messages[self.me].contiguous() for opening in batch]
            shapes = [tuple(message.shape) for message in own]
            self.agree("round", shapes)
            doing = f"`{self.meter.doing}` on {', '.join(map(str, shapes))}{self.meter.lately()}"
            digest = self._check.digest()
            payload = [bytes_of(message) for message in own]
            sent = [
                self.duplex.send(
                    channel,
                    Kind.OPENING,
                    payload if q in receivers else (),
                    text=doing,
                    digest=digest,
                )
                for q, channel in self.channels.items()
            ]
            # With one peer both sides send and receive in step, so waiting for what leaves ends.
            both = self.n == 2 and 1 - self.me in receivers
            leaving = sent[0] if both else None
            values = [_Sum(opening, part, self) for opening, part in zip(batch, own, strict=True)]
            for q in self.channels:
                self._receive(q, values if mine else (), leaving, doing, digest)
            self.duplex.finish()
            return [value.total for value in values]
        except BaseException as error:  # Ctrl-C too: what the peers have got is unknown
            self.fail(error)
            raise

    def _receive(
        self,
        sender: int,
        values: Sequence[_Sum],
        leaving: Departure | None,
        doing: str,
        digest: bytes,
    ) -> None:
        channel, start = self.channels[sender], 0
        frame = channel.receive(Kind.OPENING, Kind.BYE)
        if frame.kind is Kind.BYE:
            raise PeerError(
                f"{channel.peer} has ended its session before {doing}; every party must run the"
                " same script to its end"
            )
        if frame.digest != digest or frame.size != sum(value.size for value in values):
            raise SessionError(_difference(channel.peer, frame, doing))
        for value in values:
            value.receive(channel, sender, leaving, start)
            start += value.size

    def heed(self) -> None:
        """Raise PeerError where another party has given up or is gone; see `Channel.heed`."""
        for channel in self.channels.values():
            channel.heed()

    # The end

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


class _Sum:
    """One value of a round, built up from the parties' messages as they come in.

    A message is read piece by piece into a buffer that stays in the cache, and added from there:
    between two parties to the own message, whose pieces leave in the same order.
    """

    def __init__(self, opening: Opening, own: Tensor, transport: NetworkTransport) -> None:
        self.size = own.numel() * own.element_size()
        self._how = opening.combine
        self._own, self._transport = own, transport
        self._total: Tensor | None = None
        if opening.combine == "stack":
            self._total = own.new_empty((transport.n, *own.shape))
            self._total[transport.me] = own

    @property
    def total(self) -> Tensor:
        """The combination of what has come so far."""
        return self._own if self._total is None else self._total

    def receive(self, channel: Channel, sender: int, leaving: Departure | None, start: int) -> None:
        """Read a sender's message from the channel.

        leaving: the frame with the own message, `start` bytes into it, where the message may be
        overwritten once it has left.
        """
        if self._how == "stack":
            assert self._total is not None
            channel.receive_into(bytes_of(self._total[sender]))
            return
        if self._total is None and leaving is None:
            self._total = self._own.clone()
        duplex, total = self._transport.duplex, self.total
        for begin in range(0, self.size, PIECE):
            piece = self._transport.room[: min(PIECE, self.size - begin)]
            channel.receive_into(piece)
            if leaving is not None:
                duplex.wait(leaving, start + begin + len(piece))
            kernels.join(total, piece, begin // 8, add=self._how == "add")


def reason(error: BaseException) -> str:
    """What peers may know of an error: our own words, which hold no value, or its kind."""
    if isinstance(error, SessionError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    if isinstance(error, Terminated):
        return "it was terminated"
    return f"it met a {type(error).__name__}"


def _difference(peer: str, frame: Frame, doing: str) -> str:
    alike = " (so what differs is a number, a dtype or an operand since the last round)"
    return (
        f"the parties do not do the same: here {doing}, {peer} {frame.text}"
        f"{alike if doing == frame.text else ''}; every party must run the same script, on the same"
        " shapes and the same public values"
    )
