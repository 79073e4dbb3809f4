"""Plain torch, float32, one process."""

from __future__ import annotations

import platform

import torch

from .plain import Task
from .serving import own_stdout, serve
from .works import Arrays, Row

VERSIONS = {"torch": torch.__version__, "python": platform.python_version()}


class Plain:
    """The rows in the clear."""

    def load(self, row: Row, arrays: Arrays) -> None:
        self._task = Task(row, arrays, torch.float32)
        self.prepare, self.run = self._task.prepare, self._task.run

    def count(self) -> dict[str, float]:
        self._task.run()
        return {}

    def outputs(self) -> dict[str, object]:
        return {name: tensor.numpy() for name, tensor in self._task.outputs().items()}


if __name__ == "__main__":
    serve(Plain(), VERSIONS, own_stdout())
