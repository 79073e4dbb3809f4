"""LSTM by its own pieces: on the CPU torch would hand it to one fused oneDNN kernel."""

from __future__ import annotations

from typing import Any

import torch

from ..ops.registry import front


@front(torch.lstm)
def lstm(*args: Any, **kwargs: Any) -> Any:
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        return torch.lstm(*args, **kwargs)
    finally:
        torch._C._set_mkldnn_enabled(enabled)
