"""The PySyft 0.2 names: `import mpctensor.syft as sy` in place of `import syft as sy`.

Covers encrypted training as its users wrote it: workers, `fix_precision`, `share`, `get`,
`float_precision`, `encrypt`, `decrypt` on tensors, modules and optimizers. The machinery is
mpctensor's own: simulated parties, the workers named as owners, and the worker named as
`crypto_provider` dealing correlated randomness. torch is patched by `TorchHook(torch)` alone.
"""

from .fixed import FixedPrecisionTensor
from .hook import TorchHook
from .workers import VirtualWorker

__all__ = ["FixedPrecisionTensor", "TorchHook", "VirtualWorker"]
