"""NumPy's universal functions of a secret, reached by operators between an array and a secret.

Each is torch's function of that name; arrays and numbers become plain tensors, which are public
operands. What would write a secret into an array is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import SecretLeakError, UnsupportedOperationError

_NAMED_OTHERWISE = {"power": "pow", "equal": "eq", "invert": "bitwise_not"}
_INSTEAD = "torch's functions take arrays as torch.as_tensor(array)"


def universal(ufunc: Any, method: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """What NumPy asks of `__array_ufunc__`. Raises SecretLeakError, UnsupportedOperationError."""
    name = ufunc.__name__
    if options.get("out") is not None:
        raise SecretLeakError(
            f"`numpy.{name}` would write a secret into an array: keep the result as a tensor"
            f" (y = x + array); {_INSTEAD}"
        )
    function = getattr(torch, _NAMED_OTHERWISE.get(name, name), None)
    if function is None or method != "__call__" or options:
        spoken = name if method == "__call__" else f"{name}.{method}"
        raise UnsupportedOperationError(
            f"`numpy.{spoken}` has no meaning on secret shares as it is called here: {_INSTEAD}"
        )
    return function(*(v if isinstance(v, Tensor) else torch.tensor(v) for v in inputs))
