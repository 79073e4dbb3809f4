"""`encrypt` and `decrypt`: tensors, modules in place, optimizers' states, and nests of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from .encoding import encode
from .errors import EncodingError, SecretLeakError, SessionError
from .grid import Grid
from .modules import convert_module
from .protocols import Agreement, room
from .session import Session, active
from .share import Share
from .starting import configured_party, current
from .tensor import SharedTensor, decrypted, wrap

Leaf = Callable[[Tensor], Tensor | None]


def encrypt(
    obj: Any,
    *,
    src: str | None = None,
    precision: int | None = None,
    base: int = 2,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
) -> Any:
    """Share a tensor, an nn.Module, an optimizer's state, or a nest of them, among the parties.

    obj: a Tensor or Parameter gives a SharedTensor that keeps requires_grad; a Module is converted
    in place (float parameters and buffers; integer and bool buffers stay public) and returned,
    like an Optimizer; dicts, lists and tuples give the same nest, in which integers and bools are
    shared too, except in a module's state_dict(). What is encrypted already stays.
    src: the party whose values count. The other parties pass anything of that shape and dtype (a
    model with weights of their own), or None as obj, with `shape` (and `dtype`, float32 by
    default). Without src all parties hold the same value; that they do is checked obliviously (5
    rounds for each call, between processes only). precision: fractional digits in `base`, by
    default the session's (16 bits), or 3 decimal digits. In base 10 values are cut toward zero to
    these digits, carried with two more, and decrypted to the nearest number of these digits.
    With 16 bits values must lie below 2**46, products and dot products below 2**30.
    Raises EncodingError (NaN, infinite or too large), SecretLeakError (a tensor with a grad_fn: its
    gradient would be cut), SessionError (unknown party, bad precision, another shape than `shape`,
    different values without src, no `shape` for another party's value), TypeError (nothing to
    encrypt).
    """
    session = current()
    unit = _unit(session, precision, base)
    source = None if src is None else session.index(src, "src")
    if obj is None and shape is not None:
        obj = _absent(session, source, shape, dtype)
    elif shape is not None:
        _check_shape(obj, shape)
    plan = _Encryption(session, source, unit, dtype)
    if obj is None:
        raise _nothing(session, source)
    state = lambda key, value: plan.leaf(value, key)  # noqa: E731
    with session.lock:
        made = _Conversion("encrypt", plan.leaf, state, _keep_public, plan.check).of(obj)
        plan.check()
    return made


def decrypt(obj: Any, *, dst: str | Sequence[str] | None = None) -> Any:
    """The plain values of what `encrypt` made; a Module becomes plain in place and is returned.

    dst: only the parties named learn the values; the others get None and their modules stay
    encrypted. Branching on that differs between parties: what follows must run the same operations
    on secrets everywhere. Plain tensors come back as they are.
    Values are rounded to the precision they were encrypted with before they are opened, where a
    product of secrets still carries more digits (1 round more): its exact digits would tell the
    factors. Not so the second moments in an Optimizer's state, which would round to zero.
    Raises SessionError for an unknown party or a closed session.
    """

    def leaf(value: Tensor) -> Tensor | None:
        return decrypted(value, dst) if isinstance(value, SharedTensor) else value

    def state(key: str, value: Tensor) -> Tensor | None:
        if isinstance(value, SharedTensor) and key in SECOND_MOMENTS:
            return decrypted(value, dst, exact=True)
        return leaf(value)

    return _Conversion("decrypt", leaf, state, lambda _: False, lambda: None).of(obj)


# Means of squares that torch's optimizers keep, by the names of their state.
SECOND_MOMENTS = {
    *("exp_avg_sq", "max_exp_avg_sq", "square_avg", "acc_delta", "sum"),
    *("row_var", "col_var", "variance"),
}


def party() -> str | None:
    """The name of the party that this process plays; None when all parties are simulated here.

    Before the first use of a session: what the environment says.
    """
    session = active()
    if session is None:
        return configured_party()
    return session.names[session.local[0]] if session.deployed else None


def _unit(session: Session, precision: int | None, base: int) -> int:
    """The working scale that was asked for, by default the session's where the base is the same."""
    grid = Grid.make(base, precision)
    if precision is None and (base == 2 or Grid.of_unit(session.unit).guarded):
        return session.unit
    return grid.unit


def _check_shape(obj: Any, shape: Sequence[int]) -> None:
    """`shape` beside a value says the same as the value."""
    if not isinstance(obj, Tensor):
        raise SessionError(f"`shape` describes one tensor, not {type(obj).__name__}: leave it out")
    if tuple(obj.shape) != tuple(shape):
        raise SessionError(
            f"`shape` is {tuple(shape)}, but the value has shape {tuple(obj.shape)}: leave `shape`"
            " out, or correct it"
        )


def _absent(
    session: Session, source: int | None, shape: Sequence[int], dtype: torch.dtype | None
) -> Tensor:
    """Stands in for a value that another party holds."""
    if source is None:
        raise SessionError("`shape` without a value: name the party that holds it, src=...")
    if source in session.local:
        raise SessionError(f"{session.names[source]} is in this process and has to pass the values")
    return torch.zeros(tuple(shape), dtype=dtype or torch.float32)


def _nothing(session: Session, source: int | None) -> Exception:
    """What is wrong with None and no shape; a source that goes on hears of it."""
    words = "cannot encrypt None: pass a tensor, or `shape` for another party's value"
    if source is None or source in session.local:
        return TypeError(words)
    me = session.names[session.local[0]]
    session.abort(f"{me} passed None to encrypt() without `shape`")
    return SessionError(words)


@dataclass
class _Encryption:
    """How one call of `encrypt` shares each tensor.

    source: whose values count; None where all parties hold the same.
    """

    session: Session
    source: int | None
    unit: int
    dtype: torch.dtype | None
    agreement: Agreement = field(default_factory=Agreement)

    def leaf(self, value: Tensor, state: str | None = None) -> Tensor:
        """state: the name that an optimizer has for the value, which then has twice the digits."""
        if isinstance(value, SharedTensor):
            return value
        if value.grad_fn is not None and torch.is_grad_enabled():
            raise SecretLeakError(
                "this tensor has a grad_fn; encrypting it would cut its gradient:"
                " encrypt(x.detach()), or encrypt what it was computed from"
            )
        with torch.inference_mode(False), torch.no_grad():
            shared = wrap(self._share(value, state), value.requires_grad and value.is_leaf)
        if isinstance(value, nn.Parameter):
            shared._is_param = True
        return shared

    def _share(self, value: Tensor, state: str | None) -> Share:
        session, dtype = self.session, self.dtype or value.dtype
        unit = self.unit if dtype.is_floating_point else 1
        moment = state in SECOND_MOMENTS
        scale = unit if state is None else room(unit, moment)
        raw = None
        if self.source is None or self.source in session.local:
            raw = self._encoded(value.detach().to(dtype), scale)
        if self.source is None and raw is not None and session.deployed:
            self.agreement.add(raw)
        session.transport.agree("encrypt", str(dtype), scale, unit)
        session.meter.note(f"encrypt of {tuple(value.shape)}{self._from}")
        source = session.first if self.source is None else self.source
        parts = session.input(raw, value.shape, source)
        share = Share.make(session, parts, dtype, scale, unit, shown=inf, fine=moment)
        share.facts.origin = session.transport.stamp()
        return share

    @property
    def _from(self) -> str:
        return "" if self.source is None else f" from {self.session.names[self.source]}"

    def _encoded(self, value: Tensor, scale: int) -> Tensor:
        try:
            return _encoded(self._on_grid(value, scale), scale)
        except EncodingError:
            if self.source is not None:  # the others go on, so they have to hear of it
                owner = self.session.names[self.source]
                self.session.abort(f"{owner} could not encode a value of its own")
            raise

    def _on_grid(self, value: Tensor, scale: int) -> Tensor:
        """Decimal values are cut to their digits; an optimizer's keep what they have."""
        grid = Grid.of_unit(self.unit)
        decimal = grid.guarded and value.is_floating_point() and scale == self.unit
        return grid.truncated(value) if decimal else value

    def check(self) -> None:
        """That all parties passed the same so far, where no source was named."""
        if not self.agreement.holds(self.session, "encrypt"):
            raise SessionError(
                "the parties passed different values to encrypt(): name the one whose values count,"
                ' src="..."'
            )


def _encoded(value: Tensor, scale: int) -> Tensor:
    if value.layout != torch.strided or value.device.type != "cpu":
        raise EncodingError(
            f"only dense tensors on the CPU can be encrypted, not {value.layout} on"
            f" {value.device}: call to_dense() or cpu() first"
        )
    return encode(value, scale)


def _keep_public(value: Tensor) -> bool:
    """Integer and bool buffers of a module."""
    return not value.is_floating_point() and not value.is_complex()


@dataclass(frozen=True)
class _Conversion:
    """How every tensor of a nest is converted.

    leaf: of a tensor. state: of an optimizer's, which has a name. public: the tensors of a module
    that stay as they are. ready: is called before a module or optimizer changes.
    """

    verb: str
    leaf: Leaf
    state: Callable[[str, Tensor], Tensor | None]
    public: Callable[[Tensor], bool]
    ready: Callable[[], None]

    def of(self, obj: Any) -> Any:
        """The nest with every tensor converted."""
        if isinstance(obj, Tensor):
            return self.leaf(obj)
        if isinstance(obj, nn.Module):
            return convert_module(obj, self.leaf, self.public, self.ready)
        if isinstance(obj, torch.optim.Optimizer):
            return self._optimizer(obj)
        if obj is None:
            return None
        if isinstance(obj, dict):
            stays = self.public if hasattr(obj, "_metadata") else lambda _: False  # a state_dict()
            made = {
                k: v if isinstance(v, Tensor) and stays(v) else self.of(v) for k, v in obj.items()
            }
            return made if type(obj) is dict else _same_mapping(obj, made)
        if isinstance(obj, (list, tuple)):
            values = [self.of(v) for v in obj]
            return type(obj)(*values) if hasattr(obj, "_fields") else type(obj)(values)
        raise TypeError(
            f"cannot {self.verb} {type(obj).__name__}: pass a tensor (torch.as_tensor(x)), an"
            " nn.Module, an Optimizer, or a dict, list or tuple of them"
        )

    def _optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Convert the state that has a parameter's shape; counters stay public."""
        fresh = [
            (state, key, self._state_value(value, parameter, key))
            for parameter, state, key, value in _state(optimizer)
        ]
        self.ready()
        for state, key, value in fresh:
            state[key] = value
        return optimizer

    def _state_value(self, value: Any, parameter: Tensor, key: str) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(self._state_value(v, parameter, key) for v in value)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        counter = key == "step" or (value.dim() == 0 and parameter.dim() > 0)
        plain = counter and not isinstance(value, SharedTensor)
        made = value if plain else self.state(key, value)
        return value if made is None else made


def _same_mapping(obj: dict[Any, Any], made: dict[Any, Any]) -> dict[Any, Any]:
    """The mapping's own type (OrderedDict, state_dict) where that can be filled."""
    copy = obj.copy()
    copy.update(made)
    if hasattr(obj, "_metadata"):  # the versions of the modules, for load_state_dict
        copy._metadata = obj._metadata  # type: ignore[attr-defined]
    return copy


def _state(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Tensor, dict[str, Any], str, Any]]:
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            yield parameter, state, key, value
