"""Secure multiparty computation for PyTorch: encrypt a model and its data, keep the training loop.

model = mpctensor.encrypt(Net())
x, y = mpctensor.encrypt(x), mpctensor.encrypt(y)
loss = F.mse_loss(model(x), y)      # torch.nn, torch.optim and autograd as they are
loss.backward()
print(loss.decrypt())
"""

from . import kernels as _kernels  # noqa: F401, I001  (first: it says what is missing, torch or _C)
from . import front as _front  # noqa: F401  (enters torch functions into the front door)
from .api import decrypt, encrypt, party
from .checkpoint import load, save
from .errors import (
    EncodingError,
    MPCError,
    PeerError,
    SecretLeakError,
    SessionError,
    UnsupportedOperationError,
)
from .preprocessing import preprocess
from .release import VERSION
from .session import Session
from .starting import init, start_alike
from .tensor import SharedTensor
from .transport import Cost, cost

__version__ = VERSION
start_alike()

__all__ = [
    "Cost",
    "EncodingError",
    "MPCError",
    "PeerError",
    "SecretLeakError",
    "Session",
    "SessionError",
    "SharedTensor",
    "UnsupportedOperationError",
    "cost",
    "decrypt",
    "encrypt",
    "init",
    "load",
    "party",
    "preprocess",
    "save",
]
