"""Recurrent layers by their own pieces.

On the CPU torch would hand an LSTM to one fused oneDNN kernel. A plain layer on secret input starts
from a plain state, into which torch would write secrets: it becomes a public share first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..ops.registry import front
from ..tensor import SharedTensor
from .public import as_secret


@front(torch.lstm)
def lstm(*args: Any, **kwargs: Any) -> Any:
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        return torch.lstm(*_started(args), **kwargs)
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def _recurrent(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: fn(*_started(args), **kwargs)


for _layer in (torch.gru, torch.rnn_tanh, torch.rnn_relu):
    front(_layer)(_recurrent(_layer))


def _started(args: tuple[Any, ...]) -> list[Any]:
    """The arguments, with secret states where the input is secret.

    They are (input, states, ...), or (data, batch sizes, states, ...) for packed sequences.
    """
    data, second = args[:2]
    packed = isinstance(second, Tensor) and not second.is_floating_point()
    place = 2 if packed else 1
    if not isinstance(data, SharedTensor):
        return list(args)
    return [*args[:place], _secret(args[place], data), *args[place + 1 :]]


def _secret(state: Any, data: Tensor) -> Any:
    if isinstance(state, (list, tuple)):
        return [_secret(each, data) for each in state]
    return as_secret(state, data)
