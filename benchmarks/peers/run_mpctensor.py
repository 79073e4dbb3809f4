"""mpctensor: one party of a deployment where the environment says so, else all in this process.

`python -m benchmarks.peers.run_mpctensor [FRACTIONAL BITS]`
"""

from __future__ import annotations

import sys
from typing import Any

import torch

import mpctensor as mpc

from .plain import Task
from .serving import own_stdout, serve
from .works import Arrays, Row

VERSIONS = {"mpctensor": mpc.__version__, "torch": torch.__version__}


class Secret:
    """The rows of plain torch on encrypted tensors and models."""

    def load(self, row: Row, arrays: Arrays) -> None:
        self._task = Task(row, arrays, torch.float32, mpc.encrypt)
        self.prepare, self.run = self._task.prepare, self._task.run

    def count(self) -> dict[str, float]:
        with mpc.cost() as cost:
            self._task.run()
        return {"rounds": cost.rounds, "sent": cost.bytes_sent, "dealt": cost.provider_bytes}

    def outputs(self) -> dict[str, Any]:
        made = self._task.outputs().items()
        return {name: mpc.decrypt(tensor.clone()).numpy() for name, tensor in made}


if __name__ == "__main__":
    replies = own_stdout()
    mpc.init(precision=int(sys.argv[1]) if sys.argv[1:] else None)
    serve(Secret(), VERSIONS, replies)
