"""Parties in threads: each with a session of its own and a transport between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

from torch import Tensor

from mpctensor import SessionError
from mpctensor.session import Session
from mpctensor.transport import Opening
from mpctensor.transport.opening import combine
from tests.sharing import make_session


class Table:
    """Where n parties meet. lines: messages on their way, by sender and receiver."""

    def __init__(self, n: int) -> None:
        self.lines = {(p, q): Queue[Any]() for p in range(n) for q in range(n) if p != q}


class Seat:
    """One party's transport. sent, got: rounds. moved: called when either changes."""

    failure: str | None = None

    def __init__(self, table: Table, n: int, me: int) -> None:
        self.table, self.me = table, me
        self.others = [q for q in range(n) if q != me]
        self.facts: list[str] = []
        self.sent = self.got = 0
        self.moved: Callable[[], None] = lambda: None

    def agree(self, *facts: object) -> None:
        self.facts.append(repr(facts))

    def stamp(self, *facts: object) -> bytes:
        return repr((self.facts, facts)).encode()

    def abort(self, why: str) -> None:
        self.failure = why

    def close(self) -> None:
        self._tell(None)

    def _tell(self, said: Any) -> None:
        for q in self.others:
            self.table.lines[self.me, q].put(said)

    def open(self, batch: Sequence[Opening]) -> list[Tensor]:
        own = [opening.messages[self.me].clone() for opening in batch]
        self._tell((list(self.facts), own))
        self.sent += 1
        self.moved()
        said = {q: self.table.lines[q, self.me].get(timeout=20) for q in self.others}
        self.got += 1
        self.moved()
        if None in said.values():
            raise SessionError("a party has left")
        if any(facts != self.facts for facts, _ in said.values()):
            raise SessionError("the parties do not do the same")
        values = {self.me: own, **{q: theirs[1] for q, theirs in said.items()}}
        return [
            combine(opening.combine, [values[p][i].clone() for p in sorted(values)])
            for i, opening in enumerate(batch)
        ]

    def gather(self, opening: Opening, receivers: Sequence[int]) -> Tensor | None:
        value = self.open([opening])[0]
        return value if self.me in receivers else None


def together(n: int, program: Callable[[Session], Any]) -> list[Any]:
    """What the program gives, or raises, at each party."""
    table = Table(n)

    def run(p: int) -> Any:
        session = make_session(n, local=(p,), transport=Seat(table, n, p))
        try:
            return program(session)
        except Exception as error:
            return error
        finally:
            session.close()

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))
