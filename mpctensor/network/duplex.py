"""Sending to several peers and receiving from them, by one thread.

Two threads on two directions hand the interpreter's lock to each other all the time. Here the one
that waits for a peer sends meanwhile: what the connections take at once, and no more.
"""

from __future__ import annotations

import select
from collections.abc import Collection, Sequence
from contextlib import suppress

from .channel import EMPTY, Channel, Kind
from .connection import ready
from .sending import Departure


class Duplex:
    """Sends over channels while its thread receives from them.

    What was begun goes on while the thread waits in `receive` or `receive_into` of one of the
    channels, or here. Peers that do likewise never wait for each other in a circle.
    """

    def __init__(self, channels: Collection[Channel]) -> None:
        self._leaving: list[Channel] = []
        for channel in channels:
            channel.meanwhile = self._meanwhile

    def send(
        self,
        channel: Channel,
        kind: Kind,
        payload: Sequence[memoryview | bytes] = (),
        *,
        text: str = "",
        digest: bytes = EMPTY,
    ) -> Departure:
        """As `Channel.send`; call `finish` before anything else is sent."""
        departure = channel.begin(kind, payload, text=text, digest=digest)
        if channel.leaving:
            channel.push()
            self._leaving.append(channel)
        return departure

    def wait(self, departure: Departure, count: int) -> None:
        """Until the first `count` bytes of the payload may change, or nothing more will leave."""
        while departure.left < departure.head + count and not departure.failed:
            if not self._leaving:
                return departure.wait(count)
            self._wait(None)

    def finish(self) -> None:
        """Until all has left, or nothing more will."""
        while self._leaving:
            self._wait(None)

    def _meanwhile(self, source: Channel) -> None:
        """Send until something has come from there, or there is nothing to send."""
        while self._leaving and not self._wait(source):
            pass

    def _wait(self, source: Channel | None) -> bool:
        """Send what the connections take, or wait for them: one step.

        Returns whether the source has something to receive. Raises TimeoutError where it has sent
        nothing for its timeout, PeerError where nobody is waited for but one that takes nothing.
        """
        moved = [channel.push() for channel in self._leaving]
        self._leaving = [channel for channel in self._leaving if channel.leaving]
        waited_for = source or next(iter(self._leaving), None)
        if waited_for is None:
            return True
        watch = select.poll()
        with suppress(ValueError):  # closed by another thread, which the next step finds out
            for channel in self._leaving:
                watch.register(channel.outgoing, select.POLLOUT)
        if source is not None:
            watch.register(source.incoming, select.POLLIN)
        patience = 0 if any(moved) else waited_for.patience
        seen = ready(watch, patience, waited_for.around)
        if not seen and not any(moved):
            raise waited_for.silent("took") if source is None else TimeoutError
        return source is not None and any(fd == source.incoming.fileno() for fd, _ in seen)
