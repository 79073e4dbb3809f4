"""The processes of one system, and talking to all of them at once."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[2]
REASON = 160  # characters of a failure that the table shows
GRACE = 5.0  # seconds from a polite request to end to an impolite one


class Failure(Exception):
    """A system could not do a row, and why."""


class Member:
    """A process that obeys commands (serving.py), or one that takes none, such as the provider.

    Its stderr goes to the file `log`. What it says goes to `replies` with itself, "" at its end.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        threads: int,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._log = log
        count = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **count, "PYTHONPATH": str(ROOT), **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def listen(self, replies: Replies) -> None:
        threading.Thread(target=self._listen, args=(replies,), daemon=True).start()

    def _listen(self, replies: Replies) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            replies.put((self, line))
        replies.put((self, ""))

    @property
    def cpu(self) -> float:
        """CPU seconds so far, of all its threads (on Linux, the clock of another process)."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def send(self, command: Mapping[str, str]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failure(f"a process has ended: {self.last_words()}") from None

    def last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return shortened(lines[-1]) if lines else "without a word"

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


Replies = queue.Queue[tuple[Member, str]]


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= REASON else line[:REASON] + " ..."


class Members:
    """All processes of a system: parties, told the same and heard together, and others."""

    def __init__(self, parties: Sequence[Member], others: Sequence[Member] = ()) -> None:
        self._parties, self._everybody = parties, (*parties, *others)
        self._heard: Replies = queue.Queue()
        for party in parties:
            party.listen(self._heard)

    def ask(self, limit: float, **command: str) -> list[dict[str, Any]]:
        """Every party's reply to a command; Failure at the first that fails, or after `limit` s."""
        for party in self._parties:
            party.send(command)
        return self.replies(limit)

    def replies(self, limit: float) -> list[dict[str, Any]]:
        """The next reply of each, in the order of the parties."""
        until, found = time.monotonic() + limit, {}
        while len(found) < len(self._parties):
            try:
                party, line = self._heard.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise Failure("no answer within the time limit") from None
            if not line:
                raise Failure(f"a process has ended: {party.last_words()}")
            found[party] = json.loads(line)
            if "failed" in found[party]:
                raise Failure(shortened(found[party]["failed"]))
        return [found[party] for party in self._parties]

    def cpu(self) -> float:
        """CPU seconds of everybody so far."""
        return sum(member.cpu for member in self._everybody)

    def end(self) -> None:
        for member in self._everybody:
            member.end()
