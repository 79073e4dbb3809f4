"""The provider as a service: deals for sessions of the parties it is told to serve.

It knows no script. A session begins when all its parties have called with proof of their names, and
ends with the last party's connection. Only the last party sends requests; they are checked and
charged before anything is allocated. What is dealt ahead yields to what is needed now. A party that
does not take what it asked for holds up itself: its requests are read no further than a queue is
long, and corrections of two requests at most wait for it to read them. What is needed now is dealt
by the thread that reads it, so that it changes hands once.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import PeerError, RequestError, SessionError
from ..network import Caller, Departure, Identity, Kind, Listener, bytes_of
from ..network.introduction import MOST_NOTED, printable
from .corrections import packed
from .dealer import Dealer
from .keys import SEED, combined, contribution
from .limits import Limits, Quota
from .refusals import Refusals
from .remote import AHEAD, tag
from .requests import Request
from .wire import decode

MOST_SESSIONS = 64
SHORT = 16  # characters of a session's name that tell it from others
MOST_QUEUED = 1 << 14  # requests of a session that wait; no more are read meanwhile
Log = Callable[[str], None]


class Service:
    """Serves sessions among `parties` at an address until closed.

    startup: seconds that the parties of a session have to turn up. log: gets a line for what
    begins and ends, and for who is refused; never a secret. Raises SessionError where the address
    cannot be had.
    """

    def __init__(
        self,
        me: Identity,
        address: tuple[str, int],
        parties: Sequence[str],
        *,
        timeout: float,
        startup: float,
        limits: Limits | None = None,
        log: Log = lambda line: None,
    ) -> None:
        self.parties = tuple(parties)
        self.log = log
        self._limits = limits or Limits()
        self._startup = startup
        self._lock = threading.Lock()
        self._gathering: dict[str, _Gathering] = {}
        self._running: dict[str, _Session] = {}
        self._refusals = Refusals(log)
        self._listener = Listener(
            me, address, self._judge, self._arrived, timeout, self._refusals.say, self._tell
        )
        self.port = self._listener.port

    def close(self) -> None:
        """Take no more sessions and end those that run."""
        self._listener.close()
        self._refusals.settle()
        with self._lock:
            waiting, running = list(self._gathering.values()), list(self._running.values())
            self._gathering.clear()
        for gathering in waiting:
            gathering.alarm.cancel()
            for caller in gathering.callers.values():
                caller.channel.close(Kind.ABORT, "the provider was shut down")
        for session in running:
            session.end("the provider was shut down")

    def _judge(self, name: str, topic: dict[str, object]) -> str | None:
        if name not in self.parties:
            return f"{name} is none of the parties served here ({', '.join(self.parties)})"
        if topic.get("parties") != list(self.parties):
            return f"the parties served here are {', '.join(self.parties)}, in this order"
        if None in map(contribution, map(topic.get, ("session", "nonce", "seed"))):
            return "the call names no session, nonce and seed"
        if topic.get("replica", 0) not in range(1 << 16):
            return "the call names no replica"
        session = str(topic["session"])
        with self._lock:
            gathering = self._gathering.get(session)
            here = gathering is not None and name in gathering.callers
            if here or session in self._running:
                return f"{name} is in this session already; does a second process use its name?"
            if len(self._running) + len(self._gathering) >= MOST_SESSIONS:
                return f"{MOST_SESSIONS} sessions are running already"
        return None

    def _tell(self, name: str) -> dict[str, Any]:
        """The sessions that run, for their parties: the start of each one's name -> its replica."""
        if name not in self.parties:
            return {}
        with self._lock:
            running = {session[:SHORT]: own.replica for session, own in self._running.items()}
        return {"sessions": running}

    def _arrived(self, caller: Caller) -> None:
        session = str(caller.topic["session"])
        with self._lock:
            gathering = self._gathering.get(session)
            if gathering is None:
                alarm = threading.Timer(self._startup, self._give_up, (session,))
                gathering = self._gathering[session] = _Gathering({}, alarm)
                alarm.daemon = True
                alarm.start()
            callers = gathering.callers
            if caller.name in callers:
                late = caller
            else:
                late = None
                callers[caller.name] = caller
            complete = len(callers) == len(self.parties)
            if complete:
                del self._gathering[session]
                gathering.alarm.cancel()
        if late is not None:
            self._refusals.say(f"{late.name}: it is in this session already")
            late.channel.close(Kind.ABORT, f"{late.name} is in this session already")
        elif complete:
            self._begin(session, [callers[name] for name in self.parties])

    def _give_up(self, session: str) -> None:
        with self._lock:
            gathering = self._gathering.pop(session, None)
        if gathering is None:  # it has begun just now, or the provider is shut down
            return
        callers = gathering.callers
        missing = ", ".join(name for name in self.parties if name not in callers)
        why = f"{missing} did not call within {self._startup:g} s; `startup` sets how long to wait"
        self._refusals.say(f"{', '.join(callers)}: {why}")
        for caller in callers.values():
            caller.channel.close(Kind.ABORT, why)

    def _begin(self, name: str, callers: Sequence[Caller]) -> None:
        nonces = {str(caller.topic["nonce"]) for caller in callers}
        if len(nonces) > 1:
            self._refusals.say(f"{', '.join(self.parties)}: they do not agree on a nonce")
            for caller in callers:
                caller.channel.close(Kind.ABORT, "the parties do not agree on a nonce")
            return
        share = secrets.token_bytes(SEED)
        nonce = combined(bytes.fromhex(nonces.pop()), share)
        own = [secrets.token_bytes(SEED) for _ in callers]
        seeds = [
            combined(bytes.fromhex(str(caller.topic["seed"])), seed)
            for caller, seed in zip(callers, own, strict=True)
        ]
        session = _Session(
            Dealer(seeds, nonce), callers, self._limits, lambda why: self._ended(name, why)
        )
        with self._lock:
            self._running[name] = session
        self.log(f"session {name[:8]} of {', '.join(self.parties)} begins")
        for caller, seed in zip(callers, own, strict=True):
            caller.channel.send_json({"nonce": share.hex(), "seed": seed.hex()})
        session.start()

    def _ended(self, name: str, why: str) -> None:
        with self._lock:
            self._running.pop(name, None)
        self.log(f"session {name[:8]} has ended: {printable(why, MOST_NOTED)}")


@dataclass(frozen=True)
class _Gathering:
    """A session whose parties call. alarm: goes off where they do not all come in time."""

    callers: dict[str, Caller]
    alarm: threading.Timer


class _Session:
    """One session's requests. The thread that receives them deals what is needed now; another deals
    ahead while nothing is.
    """

    def __init__(
        self,
        dealer: Dealer,
        callers: Sequence[Caller],
        limits: Limits,
        ended: Callable[[str], None],
    ) -> None:
        self._dealer = dealer
        self._channels = [caller.channel for caller in callers]
        self.replica = callers[0].topic.get("replica", 0)
        self._limits, self._quota = limits, Quota(limits)
        self._ended = ended
        self._dealing = threading.Lock()
        self._urgent = False  # something is needed now
        self._later: deque[Request] = deque()
        self._leaving: Departure | None = None  # the corrections before those being dealt
        self._change = threading.Condition()
        self._over = False

    def start(self) -> None:
        for channel in self._channels[:-1]:
            channel.close()  # they have their seeds and need nothing more
        self._channels[-1].wait_forever()
        for work in (self._receive, self._deal_ahead):
            threading.Thread(target=self._until_the_end, args=(work,), daemon=True).start()

    def end(self, why: str) -> None:
        """End the session; its last party is told why."""
        with self._change:
            if self._over:
                return
            self._over = True
            self._change.notify_all()
        self._channels[-1].close(Kind.ABORT, why)
        self._ended(why)

    def _until_the_end(self, work: Callable[[], None]) -> None:
        try:
            while not self._over:
                work()
        except (SessionError, RequestError) as error:
            self.end(str(error))
        except Exception as error:  # a bug: the parties are told that, and no more
            self.end(f"the provider met a {type(error).__name__}")
            raise

    def _receive(self) -> None:
        if not self._wait(lambda: len(self._later) < MOST_QUEUED):
            return
        channel = self._channels[-1]
        frame = channel.receive(Kind.REQUESTS)
        requests = decode(channel.payload(frame, self._limits.frame_bytes), self._limits)
        for request in requests:
            self._quota.charge(request)
        now = frame.text != AHEAD
        with self._change:
            self._urgent = now
            if not now:
                self._later.extend(requests)
                self._change.notify_all()
        if now:
            with self._dealing:
                for request in requests:
                    self._deal(request)
            with self._change:
                self._urgent = False
                self._change.notify_all()

    def _deal_ahead(self) -> None:
        if not self._wait(lambda: bool(self._later) and not self._urgent):
            return
        with self._dealing:
            with self._change:
                request = self._later.popleft()
                self._change.notify_all()
            self._deal(request)

    def _deal(self, request: Request) -> None:
        dealt = packed(request, self._dealer.deal(request))
        self._send(request, [bytes_of(value) for value in dealt])

    def _send(self, request: Request, payload: list[memoryview]) -> None:
        """Send corrections once those before them have left."""
        channel, before = self._channels[-1], self._leaving
        if before is not None:
            before.wait_all()
            if before.failed:
                raise PeerError(f"{channel.peer} did not take what was dealt for it")
        self._leaving = channel.send(Kind.CORRECTIONS, payload, digest=tag(request))

    def _wait(self, ready: Callable[[], bool]) -> bool:
        """Wait until something is so; False where the session ended before."""
        with self._change:
            self._change.wait_for(lambda: self._over or ready())
            return not self._over
