"""What every system's process does: it obeys commands on stdin, a line of JSON each.

load      share a row's inputs ("inputs": an .npz file)
prepare   make ready for a repetition; outside of the clock
run       one repetition; the reply has its seconds
count     one repetition with counters on; the reply has rounds, sent and dealt (bytes), where known
outputs   store what the last repetition made, in plain ("path": an .npz file)

A reply is a line of JSON too, {"failed": why} where that is so. Everything that a library prints
goes to stderr instead.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from .works import ROWS, Arrays, Row


class Runner(Protocol):
    """A system's side of the commands."""

    def load(self, row: Row, arrays: Arrays) -> None: ...
    def prepare(self) -> None: ...
    def run(self) -> None: ...
    def count(self) -> dict[str, float]: ...
    def outputs(self) -> dict[str, Any] | None: ...


def own_stdout() -> Any:
    """The stream for replies, after which whatever is printed goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return replies


def serve(runner: Runner, versions: dict[str, str], replies: Any) -> None:
    """Obey until stdin ends. The first reply says which versions run."""
    print(json.dumps({"versions": versions}), file=replies)
    for line in sys.stdin:
        try:
            reply = obeyed(runner, json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies)


def obeyed(runner: Runner, command: dict[str, str]) -> dict[str, Any]:
    """The reply to one command."""
    match command["do"]:
        case "load":
            row = next(row for row in ROWS if row.name == command["row"])
            with np.load(command["inputs"]) as arrays:
                runner.load(row, dict(arrays))
        case "prepare":
            runner.prepare()
        case "run":
            start = perf_counter()
            runner.run()
            return {"seconds": perf_counter() - start}
        case "count":
            runner.prepare()
            return runner.count()
        case "outputs":
            made = runner.outputs()
            if made is not None:
                np.savez(command["path"], **made)
        case other:
            raise ValueError(f"no command called {other!r}")
    return {}
