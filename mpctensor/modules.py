"""Converting a module's parameters and buffers in place, so that everybody who holds them sees it.

`torch.utils.swap_tensors` keeps a parameter's identity (optimizers, tied weights), but drops
`.grad` and hooks, refuses weak references (RNN's flat weights) and tensors that a graph still
holds. So everything is checked and computed first, then swapped, then hooks and gradients are put
back.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from .errors import SecretLeakError, UnsupportedOperationError
from .tensor import SharedTensor

Leaf = Callable[[Tensor], Tensor | None]
Swap = tuple[Tensor, Tensor]


def convert_module(
    module: nn.Module,
    leaf: Leaf,
    public: Callable[[Tensor], bool] | None = None,
    ready: Callable[[], None] = lambda: None,
) -> nn.Module:
    """Replace every parameter and buffer by leaf(value), in place; returns the module.

    leaf: gives the new tensor (requires_grad does not matter), None or the same to leave it.
    public: the tensors that stay as they are (default: whatever is not floating point). ready: is
    called when all is computed and nothing is changed yet.
    Attributes that weight_norm and spectral_norm compute are converted too, without their graph.
    Raises UnsupportedOperationError, with no value changed, where that is impossible.
    """
    public = public or (lambda value: not value.is_floating_point())
    parameters = [(n, p) for n, p in module.named_parameters() if not public(p)]
    recurrent = [m for m in module.modules() if isinstance(m, nn.RNNBase)]
    computed = list(_computed(module))
    for owner, name in computed:
        setattr(owner, name, getattr(owner, name).detach())  # lets go of the parameters
    _check(module, parameters, recurrent)
    swaps = list(_swaps([p for _, p in parameters], leaf))
    buffers = list(_new_buffers(module, leaf, public))
    values = [leaf(getattr(owner, name)) for owner, name in computed]
    ready()
    for rnn in recurrent:
        rnn._flat_weight_refs = []
    for parameter, value in swaps:
        _swap(parameter, value)
    for owner, name, value in buffers:
        owner._buffers[name] = value
    for (owner, name), result in zip(computed, values, strict=True):
        if result is not None:
            setattr(owner, name, result)
    for owner in module.modules():
        _watch_loading(owner)
        _watch_masks(owner)
    for rnn in recurrent:
        rnn._flat_weight_refs = [
            weakref.ref(w) if w is not None else None for w in rnn._flat_weights
        ]
    return module


def _computed(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """(owner, name) of attributes that hooks compute from parameters before each forward pass."""
    for owner in module.modules():
        for hook in owner._forward_pre_hooks.values():
            if isinstance(hook, (WeightNorm, SpectralNorm)):
                yield owner, hook.name


def _check(
    module: nn.Module, parameters: Sequence[tuple[str, Tensor]], recurrent: list[nn.RNNBase]
) -> None:
    flat = {id(w) for rnn in recurrent for w in rnn._flat_weights if w is not None}
    for name, value in _named(module):
        if isinstance(value, (UninitializedParameter, UninitializedBuffer)):
            raise UnsupportedOperationError(
                f"`{name}` is not initialised: run the lazy module once on plain data (a batch of"
                " zeros of the right shape), then encrypt it"
            )
    for name, parameter in parameters:
        if id(parameter) not in flat and weakref.getweakrefs(parameter):
            raise UnsupportedOperationError(
                f"`{name}` has weak references, which cannot follow it: remove them and encrypt"
                " again"
            )
        _check_free(name, parameter)


def _check_free(name: str, parameter: Any) -> None:
    """Nothing but Python may hold the tensor: a saved graph would mix plain and secret."""
    allowed = 2 if parameter.requires_grad else 1  # the node that accumulates its gradient
    if parameter._use_count() > allowed:
        raise UnsupportedOperationError(
            f"a graph of earlier computations still holds `{name}`: delete its outputs and losses"
            " (`del loss, output`), or detach() them, and encrypt again"
        )


def _watch_loading(module: nn.Module) -> None:
    """See to it that an encrypted module takes encrypted states only; a plain one is as before."""
    hooks = module._load_state_dict_pre_hooks
    for key in [k for k, made in hooks.items() if getattr(made, "hook", None) is _check_state]:
        del hooks[key]
    if _holds_secrets(module):
        module.register_load_state_dict_pre_hook(_check_state)


_MASKS: dict[Any, tuple[str, str]] = {
    nn.TransformerEncoder.forward: ("mask", "is_causal"),
    nn.TransformerDecoder.forward: ("tgt_mask", "tgt_is_causal"),
}


def _watch_masks(module: nn.Module) -> None:
    """See to it that an encrypted stack of Transformer layers takes secret masks."""
    hooks = module._forward_pre_hooks
    for key in [key for key, made in hooks.items() if made is _tell_not_causal]:
        del hooks[key], module._forward_pre_hooks_with_kwargs[key]
    if type(module).forward in _MASKS and _holds_secrets(module):
        module.register_forward_pre_hook(_tell_not_causal, with_kwargs=True)


def _tell_not_causal(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
    """Torch would look whether a mask is causal, only to be faster; of a secret one it is told."""
    mask, causal = _MASKS[type(module).forward]
    given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    if isinstance(given.get(mask), SharedTensor) and given.get(causal) is None:
        given[causal] = False
        return (), dict(given)
    return None


def _holds_secrets(module: nn.Module) -> bool:
    return any(isinstance(value, SharedTensor) for _, value in _named(module))


def _check_state(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Raise SecretLeakError, before anything is loaded, for a plain value of an encrypted tensor.

    Copied in, it would be a public operand: whether the parties agree on it is checked by a hash,
    by which a peer could try out guesses of weights that were meant to be one party's own.
    """
    for name, value in _named(module):
        new = state.get(prefix + name)
        if isinstance(value, SharedTensor) and type(new) in (Tensor, nn.Parameter):
            raise SecretLeakError(
                f"the state to load has a plain `{prefix + name}`, which is encrypted here: nothing"
                " was loaded; load it into the plain module before mpctensor.encrypt(model), or"
                " load mpctensor.encrypt(state_dict)"
            )


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _swaps(parameters: Sequence[Tensor], leaf: Leaf) -> Iterator[Swap]:
    """(parameter, its new self): with the gradient converted, ready to be swapped."""
    for parameter in parameters:
        value = leaf(parameter)
        if value is parameter:
            continue
        gradient = None if parameter.grad is None else leaf(parameter.grad)
        if value is None:  # not before the gradient: who learns nothing takes the same steps
            continue
        fresh = nn.Parameter(value.detach(), parameter.requires_grad)
        fresh.grad = None if gradient is None else gradient.detach()
        fresh.__dict__.update(
            {k: v for k, v in parameter.__dict__.items() if k not in ("_held", "_is_param")}
        )
        yield parameter, fresh


def _swap(parameter: Any, fresh: Any) -> None:
    hooks = parameter._backward_hooks
    later = getattr(parameter, "_post_accumulate_grad_hooks", None)
    gradient = fresh.grad
    fresh.grad = parameter.grad = None
    parameter._backward_hooks = None
    if later is not None:
        parameter._post_accumulate_grad_hooks = None
    torch.utils.swap_tensors(parameter, fresh)
    parameter.grad = gradient
    if hooks:
        parameter._backward_hooks = hooks
    if later:
        parameter._post_accumulate_grad_hooks = later


def _new_buffers(
    module: nn.Module, leaf: Leaf, public: Callable[[Tensor], bool]
) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """(owner, name, new buffer); a buffer that two modules share stays shared."""
    made: dict[int, Any] = {}
    for owner in module.modules():
        for name, value in owner._buffers.items():
            if value is None or public(value):
                continue
            if id(value) not in made:
                made[id(value)] = leaf(value)
            if made[id(value)] is not None:
                yield owner, name, made[id(value)]
