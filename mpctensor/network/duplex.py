"""Sending to several peers and receiving from them, by one thread.

Two threads on two directions hand the interpreter's lock to each other all the time. Here the one
that waits for a peer sends meanwhile: what the connections take at once, and no more. Only what is
so large that encryption and decryption gain by a core each is left to the channel's own thread.
"""

from __future__ import annotations

import select
from collections.abc import Collection, Sequence

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
        departure = channel.send(kind, payload, text=text, digest=digest, pushed=True)
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
        """Wait until a connection takes something, and send that, or the source has sent something.

        Returns whether it has. Raises TimeoutError where nothing moves for its timeout, PeerError
        where nobody is waited for but one that takes nothing.
        """
        self._leaving = [channel for channel in self._leaving if channel.leaving]
        if not self._leaving:
            return True
        watch = select.poll()
        places = [(channel, channel.outgoing.fileno()) for channel in self._leaving]
        awaited = source.incoming.fileno() if source is not None else None
        try:
            for _, place in places:
                watch.register(place, select.POLLOUT)
            if awaited is not None:
                watch.register(awaited, select.POLLIN)
        except ValueError:  # another thread has just closed one of them
            return False
        waited_for = source or self._leaving[0]
        seen = {place for place, _ in ready(watch, waited_for.patience, waited_for.incoming.heed)}
        if not seen:
            raise waited_for.silent("took") if source is None else TimeoutError
        for channel, place in places:
            if place in seen:
                channel.push()
        return awaited in seen
