"""The last party's side of a provider that runs elsewhere.

Requests leave at once and corrections are waited for where a protocol first uses them, so dealing
overlaps with the rounds between. What can be foreseen is dealt ahead; what was not foreseen is
asked for when it comes, and handed out item by item: a large item stays on its way until somebody
waits, so that what came before may have left memory. Each correction is handed out once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from math import prod
from time import monotonic, perf_counter

from torch import Tensor

from ..errors import PeerError, SessionError
from ..network import LOOK, Channel, Kind
from .corrections import receive_item, width, wire_size
from .requests import Item, Request
from .spool import Spool
from .wire import encode

AHEAD = "ahead"  # the text of a frame whose requests may wait for those that do not say so
MOST_AT_ONCE = 256  # requests in one frame
LARGE = 1 << 26  # bytes of an item that is not read before somebody waits
HOLD = 5.0  # seconds that it is left on its way: the provider's patience is for progress
SHARE = 0.75  # of the timeout: whoever waits for us must hear of the provider before it is over


def tag(request: Request) -> bytes:
    """What a frame of corrections calls its request."""
    return request.digest[:16]


class RemoteProvider:
    """Asks a provider over a channel. failed: told of what ends the session.

    heed: raises what ends it elsewhere. timeout: of the session, in seconds. waited: seconds spent
    waiting for corrections.
    """

    def __init__(
        self,
        channel: Channel,
        timeout: float,
        failed: Callable[[BaseException], None],
        heed: Callable[[], None],
    ) -> None:
        self.channel = channel
        self.waited = 0.0
        self._patience = SHARE * timeout
        self._failed, self._heed = failed, heed
        self._expected: dict[bytes, Request] = {}  # by the start of their digest
        self._arrived: dict[bytes, Callable[[], list[Tensor]]] = {}
        self._ahead: set[bytes] = set()
        self._unwanted: set[bytes] = set()  # given up before they arrived
        self._spool_of: dict[bytes, Spool] = {}
        self._spools: list[Spool] = []
        self._waiting: list[Callable[[], bool]] = []  # what threads wait for
        self._closed = False
        self._change = threading.Condition()
        self._heard = monotonic()  # when corrections came last
        self._error: SessionError | None = None
        channel.wait_forever()
        threading.Thread(target=self._receive, daemon=True).start()

    def deal(self, request: Request) -> Expected:
        """The corrections of a request, on their way."""
        with self._change:
            known = self._known(request)
            self._ahead.discard(tag(request))
            self._unwanted.discard(tag(request))
        if not known:
            self._ask([request], "")
        return Expected(self, request)

    def deal_ahead(
        self, requests: Sequence[Request], path: str | os.PathLike[str] | None = None
    ) -> None:
        """Have corrections dealt for requests that are likely to come.

        What was dealt ahead before, and is not among them, is given up. path: a new file that
        takes them; then this returns when all are there.
        """
        names = {tag(request) for request in requests}
        spool = None if path is None else Spool(path)
        with self._change:
            fresh = [request for request in requests if not self._known(request)]
            self._give_up(self._ahead - names)
            self._ahead = names
            self._unwanted -= names
            if spool is not None:
                self._spools.append(spool)
                here = self._arrived.keys()
                self._spool_of.update((name, spool) for name in names if name not in here)
        for start in range(0, len(fresh), MOST_AT_ONCE):
            self._ask(fresh[start : start + MOST_AT_ONCE], AHEAD)
        if spool is not None:
            self._wait(lambda: names.isdisjoint(self._expected))

    def _give_up(self, names: set[bytes]) -> None:
        """Drop corrections that were dealt ahead in vain: those here, and those on their way."""
        for name in names:
            self._spool_of.pop(name, None)
            if self._arrived.pop(name, None) is None:
                self._unwanted.add(name)

    def _known(self, request: Request) -> bool:
        return tag(request) in self._expected or tag(request) in self._arrived

    def _ask(self, requests: Sequence[Request], text: str) -> None:
        with self._change:
            self._expected.update((tag(request), request) for request in requests)
        payload = encode(requests)
        self.channel.send(Kind.REQUESTS, [payload], text=text)

    def _receive(self) -> None:
        try:
            while True:
                self._receive_one()
        except SessionError as error:
            with self._change:
                self._error = error
                self._change.notify_all()

    def _receive_one(self) -> None:
        frame = self.channel.receive(Kind.CORRECTIONS)
        request = self._expected.get(frame.digest)
        if request is None or frame.size != wire_size(request):
            raise SessionError(f"{self.channel.peer} dealt what nobody asked for")
        dealt: list[Tensor] = []
        wanted = self._begin(frame.digest, dealt)
        for item in request.layout:
            if wanted:
                self._hold(item)
            self._receive_item(item, dealt, frame.digest, wanted)

    def _begin(self, name: bytes, dealt: list[Tensor]) -> bool:
        """Hand out `dealt` while it fills, where a protocol has asked for it and is at it."""
        with self._change:
            wanted = not any(
                name in those for those in (self._ahead, self._unwanted, self._spool_of)
            )
            if wanted:
                self._arrived[name] = lambda: dealt
                self._change.notify_all()
            return wanted

    def _hold(self, item: Item) -> None:
        """Leave a large item on its way until somebody waits for what is not here."""
        if width(item) * prod(item.size) >= LARGE:
            with self._change:
                self._change.wait_for(
                    lambda: self._closed or not all(ready() for ready in self._waiting), HOLD
                )

    def _receive_item(self, item: Item, dealt: list[Tensor], name: bytes, wanted: bool) -> None:
        value = receive_item(self.channel, item)
        with self._change:
            dealt.append(value)
            if len(dealt) == len(self._expected[name].layout):
                self._complete(dealt, name, wanted)
            self._heard = monotonic()
            self._change.notify_all()

    def _complete(self, dealt: list[Tensor], name: bytes, wanted: bool) -> None:
        """All corrections are here: keep those that nobody has taken yet."""
        del self._expected[name]
        spool = self._spool_of.pop(name, None)
        if name in self._unwanted:
            self._unwanted.discard(name)
        elif not wanted:
            self._arrived[name] = (lambda: dealt) if spool is None else spool.keep(dealt)

    def take(self, request: Request) -> list[Tensor]:
        """Wait for the corrections of a request, and hand them out, once; see `wait_for`."""
        self._wait(lambda: tag(request) in self._arrived)
        return self._arrived.pop(tag(request))()

    def wait_for(self, dealt: list[Tensor], item: int) -> None:
        """Wait until `item` is among the corrections that were taken."""
        self._wait(lambda: item < len(dealt))

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Wait until something has arrived; whatever goes wrong ends the session."""
        begun = perf_counter()
        try:
            with self._change:
                self._waiting.append(ready)
                self._change.notify_all()
                started = now = monotonic()
                look = now + LOOK
                while not ready():
                    if self._error is not None:
                        raise self._error
                    if now >= look:
                        self._heed()
                        look = now + LOOK
                    left = max(started, self._heard) + self._patience - now
                    if left <= 0:
                        raise PeerError(
                            f"{self.channel.peer} dealt nothing for {self._patience:g} s; a longer"
                            " `timeout` gives it more"
                        )
                    self._change.wait(min(left, look - now))
                    now = monotonic()
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            with self._change:
                self._waiting = [other for other in self._waiting if other is not ready]
            self.waited += perf_counter() - begun

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        self.channel.close()
        for spool in self._spools:
            spool.close()


class Expected:
    """The corrections of one request; the first use waits for them."""

    def __init__(self, provider: RemoteProvider, request: Request) -> None:
        self._provider = provider
        self._request = request
        self._dealt: list[Tensor] | None = None

    def __getitem__(self, item: int) -> Tensor:
        return self._with(item)[item]

    def __setitem__(self, item: int, value: Tensor) -> None:
        self._with(item)[item] = value

    def _with(self, item: int) -> list[Tensor]:
        """What has come, `item` among it."""
        if self._dealt is None:
            self._dealt = self._provider.take(self._request)
        if item >= len(self._dealt):
            self._provider.wait_for(self._dealt, item)
        return self._dealt
