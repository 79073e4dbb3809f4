"""torch's own module database, encrypted: each module, forward and backward, equals plain torch.

Compared are outputs, the gradients of inputs and parameters, and buffers, within
|error| <= 0.02 + 0.02 |value|, for inputs held in [-4, 4]. Modules that behave differently while
training run in both modes. A sample that has no finite answer in torch must raise EncodingError.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.testing._internal.common_modules import module_db
from torch.utils._pytree import tree_leaves, tree_map

import mpctensor
from mpctensor import EncodingError, SharedTensor

pytestmark = pytest.mark.simulated  # these are torch's tests, not ours: once is enough

BOUND, TOLERANCE, GRID = 4.0, 0.02, 2**16
DRAWN = ("nn.FractionalMaxPool2d", "nn.FractionalMaxPool3d")  # windows from torch's own generator
MODULES = {info.name: info for info in module_db if info.name not in DRAWN}
SAMPLES = 6  # of each module and mode, spread over its list
FEWER = {
    "nn.CTCLoss": 2,
    "nn.Transformer": 2,
    "nn.TransformerDecoderLayer": 3,
    "nn.TransformerEncoder": 3,
    "nn.TransformerEncoderLayer": 3,
    "nn.LSTM": 3,
}
MORE = {"nn.CrossEntropyLoss": 24, "nn.LinearCrossEntropyLoss": 16, "nn.NLLLoss": 14}
# In torch a power or a logarithm of a negative input is nan here.
POSITIVE = ("nn.LPPool1d", "nn.LPPool2d", "nn.LPPool3d", "nn.KLDivLoss", "nn.PoissonNLLLoss")


def every_sample(name: str, training: bool) -> list[Any]:
    info = MODULES[name]
    torch.manual_seed(0)
    made = info.module_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
    )
    return [sample for sample in made if sample.forward_input is not None]


def samples_of(name: str, training: bool) -> list[Any]:
    made = every_sample(name, training)
    count = min(len(made), MORE.get(name, FEWER.get(name, SAMPLES)))
    return [made[i * len(made) // count] for i in range(count)]


def modes(name: str) -> list[bool]:
    return [True, False] if MODULES[name].train_and_eval_differ else [True]


def is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def arguments(name: str, sample: Any) -> tuple[Any, Any]:
    """The sample's own arguments, with floats that the tolerance is meant for."""

    def tame(value: Any) -> Any:
        if not is_float(value):
            return value
        held = value.detach().nan_to_num(-1.0).clamp(-BOUND, BOUND)
        held = (held * GRID).round() / GRID  # what shares hold: errors are those of operations
        held = held.abs() if name in POSITIVE else held
        return held.requires_grad_(value.requires_grad)

    return tree_map(tame, sample.forward_input.args), tree_map(tame, sample.forward_input.kwargs)


def module_of(name: str, sample: Any, training: bool, args: Any, kwargs: Any) -> nn.Module:
    torch.manual_seed(1)
    given = sample.constructor_input
    module: nn.Module = MODULES[name].module_cls(*given.args, **given.kwargs).train(training)
    if isinstance(module, LazyModuleMixin):  # its parameters take their shapes from plain data
        with torch.no_grad():
            module(*args, **kwargs)
    return module


def tensors(nest: Any) -> list[Any]:
    return [leaf for leaf in tree_leaves(nest) if isinstance(leaf, Tensor)]


def assert_alike(what: str, got: Any, expected: Tensor) -> None:
    value = got.detach().decrypt() if isinstance(got, SharedTensor) else got
    expected = expected.detach()
    assert (value.shape, value.dtype) == (expected.shape, expected.dtype), what
    excess = (value.double() - expected.double()).abs() - TOLERANCE * expected.double().abs()
    assert bool((excess <= TOLERANCE).all()), f"{what} is off by {float(excess.max()):.3g}"


def ran(module: Any, args: Any, kwargs: Any, hide: Any) -> Any:
    """(results, leaves) after a forward and a backward pass."""

    def leaf(value: Any) -> Any:
        if not is_float(value):
            return value
        return hide(value.detach().clone()).requires_grad_(value.requires_grad)

    leaves = tree_map(leaf, (args, kwargs))
    torch.manual_seed(2)
    results = tensors(module(*leaves[0], **leaves[1]))
    differentiable = [result for result in results if result.requires_grad]
    torch.manual_seed(3)
    if differentiable:
        torch.autograd.backward(
            differentiable, [hide(torch.rand(tuple(r.shape))) for r in differentiable]
        )
    return results, tensors(leaves)


def check(name: str, sample: Any, training: bool) -> None:
    args, kwargs = arguments(name, sample)
    plain = module_of(name, sample, training, args, kwargs)
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    results, leaves = ran(plain, args, kwargs, lambda value: value)
    if not all(bool(result.isfinite().all()) for result in results if is_float(result)):
        with pytest.raises(EncodingError):
            ran(secret, args, kwargs, mpctensor.encrypt)
        return
    hidden_results, hidden_leaves = ran(secret, args, kwargs, mpctensor.encrypt)
    for i, (got, expected) in enumerate(zip(hidden_results, results, strict=True)):
        assert_alike(f"result {i}", got, expected)
    pairs = [
        (f"input {i}", *pair) for i, pair in enumerate(zip(hidden_leaves, leaves, strict=True))
    ]
    own = dict(secret.named_parameters())
    pairs += [(key, own[key], value) for key, value in plain.named_parameters()]
    for what, got, expected in pairs:
        if expected.grad is not None:
            assert got.grad is not None, f"{what} has no gradient"
            assert_alike(f"gradient of {what}", got.grad, expected.grad)
    buffers = dict(secret.named_buffers())
    for key, expected in plain.named_buffers():
        assert_alike(key, buffers[key], expected)


@pytest.mark.parametrize("name", MODULES)
def test_module(name: str) -> None:
    for training in modes(name):
        samples = samples_of(name, training)
        assert samples
        for sample in samples:
            check(name, sample, training)


def would_be_packed(sample: Any) -> bool:
    """Whether torch packs the words of a batch, without its padding, into a nested tensor."""
    form, given = sample.constructor_input.kwargs, sample.forward_input
    ordinary = form["batch_first"] and form["bias"] and not form["norm_first"]
    padded = given.kwargs["src_key_padding_mask"] is not None
    return ordinary and padded and given.args[0].dim() == 3


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_padding_in_eval(mode: Any) -> None:
    name = "nn.Transformer"
    samples = [sample for sample in every_sample(name, False) if would_be_packed(sample)]
    assert samples
    for sample in samples:
        args, kwargs = arguments(name, sample)
        plain = module_of(name, sample, False, args, kwargs)
        secret = mpctensor.encrypt(copy.deepcopy(plain))
        expected = plain(*args, **kwargs)
        with mode():
            got = secret(*(mpctensor.encrypt(value.detach()) for value in args), **kwargs)
        assert_alike("the result", got, expected)
