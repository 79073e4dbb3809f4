"""CrypTen: one party; RANK, WORLD_SIZE and RENDEZVOUS are in the environment.

Its provider is the default: party 0 makes every triple, in the clear.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from typing import Any

import crypten
import torch
from crypten import communicator
from crypten.config import cfg

from .plain import given, network
from .serving import own_stdout, serve
from .works import NETWORKS, RATE, Arrays, Row


def gelu(x: Any) -> Any:
    """The form with tanh: CrypTen has no gelu, and its erf diverges beyond 3."""
    return x * (1 + (x * (x * x * 0.044715 + 1) * math.sqrt(2 / math.pi)).tanh()) * 0.5


OPERATIONS: dict[str, Callable[..., Any]] = {
    "matmul": lambda x, y: x.matmul(y),
    "mul": lambda x, y: x * y,
    "greater": lambda x: x > 0,
    "relu": lambda x: x.relu(),
    "max_pool": lambda x: x.max_pool2d(2),
    "exp": lambda x: x.exp(),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "gelu": gelu,
    "reciprocal": lambda x: x.reciprocal(),
    "log": lambda x: x.log(),
    "rsqrt": lambda x: x.inv_sqrt(),
    "softmax": lambda x: x.softmax(1),
}

VERSIONS = {
    "crypten": crypten.__version__,
    "torch": torch.__version__,
    "python": platform.python_version(),
}


class CrypTen:
    """The rows on CrypTensors; networks come through its converter from torch."""

    def load(self, row: Row, arrays: Arrays) -> None:
        self._row = row
        plain = given(arrays)
        self._inputs = {name: crypten.cryptensor(tensor) for name, tensor in plain.items()}
        if row.network is not None:
            model = network(NETWORKS[row.network], arrays)
            self._model = crypten.nn.from_pytorch(model, plain["x"]).encrypt()
            self._model.train(row.op == "step")
            self._first = [parameter.share.clone() for parameter in self._model.parameters()]
            self._loss = crypten.nn.CrossEntropyLoss()

    def prepare(self) -> None:
        self._out: dict[str, Any] = {}
        if self._row.network is not None:
            self._model.zero_grad()
            for parameter, first in zip(self._model.parameters(), self._first, strict=True):
                parameter.share = first.clone()

    def run(self) -> None:
        if self._row.op == "step":
            self._loss(self._model(self._inputs["x"]), self._inputs["target"]).backward()
            self._model.update_parameters(RATE)
            named = self._model.named_parameters()
            self._out = {name.removesuffix(".data"): parameter for name, parameter in named}
        elif self._row.op == "infer":
            with crypten.no_grad():
                self._out = {"out": self._model(self._inputs["x"])}
        else:
            self._out = {"out": OPERATIONS[self._row.op](*self._inputs.values())}

    def count(self) -> dict[str, float]:
        """Its counter adds up what is sent and what is received, alike for two parties."""
        counter = communicator.get()
        counter.reset_communication_stats()
        cfg.communicator.verbose = True
        try:
            self.run()
        finally:
            cfg.communicator.verbose = False
        counted = counter.get_communication_stats()
        return {"rounds": counted["rounds"], "sent": counted["bytes"] / 2}

    def outputs(self) -> dict[str, Any]:
        return {name: value.get_plain_text().numpy() for name, value in self._out.items()}


if __name__ == "__main__":
    replies = own_stdout()
    crypten.init()
    serve(CrypTen(), VERSIONS, replies)
