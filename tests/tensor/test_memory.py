"""What is remembered with a value must not keep it alive: nothing frees a cycle of storages."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from tests.plaintext import on_grid

pytestmark = pytest.mark.lengthy

X = on_grid(2, 4, 6, 6)
FUNCTIONS = {
    "relu": F.relu,
    "greater": lambda x: x > 0,
    "equal": lambda x: x == 0,
    "clamp": lambda x: x.clamp(-1, 1),
    "abs": torch.abs,
    "leaky_relu": F.leaky_relu,
    "max_pool": lambda x: F.max_pool2d(x, 2),
    "max": lambda x: x.max(1),
    "argmax": lambda x: x.argmax(1),
    "product": lambda x: x * x,
    "square": torch.square,
    "matmul": lambda x: x @ x,
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.zeros(2, 6, 6, dtype=torch.int64)),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "sigmoid": torch.sigmoid,
    "reciprocal": torch.reciprocal,
    "sqrt": torch.sqrt,
    "exp": torch.exp,
}


class Probe:
    """Something to hold a weak reference to."""


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("gradients", [False, True])
def test_value_is_freed(name, gradients):
    x = mpctensor.encrypt(X.clone().requires_grad_(gradients)) * 1
    out = FUNCTIONS[name](x)
    if gradients and isinstance(out, torch.Tensor) and out.requires_grad:
        out.sum().backward()
    probe = Probe()
    x._share.facts.derived["probe"] = probe  # lives as long as the storage of x
    alive = weakref.ref(probe)
    del x, out, probe
    gc.collect()
    assert alive() is None
