"""The rows in torch: for plain torch, for mpctensor, and in float64 what errors refer to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .works import INPUTS, NETWORKS, RATE, Arrays, Layer, Row

OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "matmul": torch.matmul,
    "mul": torch.mul,
    "greater": lambda x: x > 0,
    "relu": F.relu,
    "max_pool": lambda x: F.max_pool2d(x, 2),
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "reciprocal": torch.reciprocal,
    "log": torch.log,
    "rsqrt": torch.rsqrt,
    "softmax": lambda x: F.softmax(x, 1),
}
LAYERS: dict[str, Callable[..., nn.Module]] = {
    "conv": nn.Conv2d,
    "linear": nn.Linear,
    "relu": nn.ReLU,
    "pool": nn.MaxPool2d,
    "flatten": nn.Flatten,
}


def network(layers: list[Layer], arrays: Arrays) -> nn.Sequential:
    """The layers as modules, with the parameters that are among the arrays."""
    model = nn.Sequential(*(LAYERS[kind](*sizes) for kind, *sizes in layers))
    model.load_state_dict({name: torch.from_numpy(arrays[name]) for name in model.state_dict()})
    return model


def given(arrays: Arrays) -> dict[str, Tensor]:
    """The inputs without the parameters of networks."""
    return {name: torch.from_numpy(arrays[name]) for name in INPUTS if name in arrays}


class Task:
    """A row's work on torch tensors, plain ones or, with `secret`, what that makes of them.

    Every repetition starts from fresh copies of the inputs and weights.
    """

    def __init__(
        self, row: Row, arrays: Arrays, dtype: torch.dtype, secret: Callable = lambda value: value
    ) -> None:
        self._given = {name: secret(tensor.to(dtype)) for name, tensor in given(arrays).items()}
        self._row = row
        if row.network is not None:
            self._model = secret(network(NETWORKS[row.network], arrays).to(dtype))
            self._first = [parameter.detach().clone() for parameter in self._model.parameters()]
            self._optimizer = torch.optim.SGD(self._model.parameters(), lr=RATE)
        self.prepare()

    def prepare(self) -> None:
        self._fresh = {name: tensor.clone() for name, tensor in self._given.items()}
        self._out: dict[str, Tensor] = {}
        if self._row.network is not None:
            self._optimizer.zero_grad()
            with torch.no_grad():
                for parameter, first in zip(self._model.parameters(), self._first, strict=True):
                    parameter.copy_(first)

    def run(self) -> None:
        if self._row.op == "step":
            F.cross_entropy(self._model(self._fresh["x"]), self._fresh["target"]).backward()
            self._optimizer.step()
            self._out = dict(self._model.named_parameters())
        elif self._row.op == "infer":
            with torch.no_grad():
                self._out = {"out": self._model(self._fresh["x"])}
        else:
            self._out = {"out": OPERATIONS[self._row.op](*self._fresh.values())}

    def outputs(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self._out.items()}


def reference(row: Row, arrays: Arrays) -> dict[str, NDArray[np.float64]]:
    """The row's outputs, computed by torch in float64."""
    task = Task(row, arrays, torch.float64)
    task.run()
    return {name: tensor.double().numpy() for name, tensor in task.outputs().items()}
