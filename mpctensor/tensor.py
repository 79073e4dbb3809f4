"""SharedTensor: what a user holds in place of a plain tensor. It knows no protocol.

A wrapper subclass with the plain shape, strides and dtype, so that torch's own autograd, modules
and optimizers carry it. `__torch_function__` is the front door (whole functions that a protocol
computes better than their pieces, and refusals); `__torch_dispatch__`, below autograd, finds each
aten op's meaning on shares in `ops`. What has no meaning there raises: nothing is ever computed on
raw shares by accident.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C import DisableTorchFunctionSubclass

from .errors import MPCError, SecretLeakError, SessionError, UnsupportedOperationError
from .grid import Grid
from .ops.arrays import universal
from .ops.calls import Named, outermost_name, refused_call, with_torch_names
from .ops.deferred import Deferred
from .ops.fallback import reshapes_in_place, resolved
from .ops.foreach import is_foreach
from .ops.guard import ACCUMULATING, check_leaf, check_lists, check_places, check_targets, guarded
from .ops.refusals import spoken, unsupported
from .ops.registry import FRONT, REFUSED, SHAPE_ONLY
from .ops.written import argument, into, written_arguments
from .protocols import reveal_value
from .protocols import same_session as check_same_session
from .share import Share
from .witness import Witness


class SharedTensor(torch.Tensor):
    """A tensor whose values are secret, shared among the parties of a session.

    Made by `mpctensor.encrypt`; behaves like a torch.Tensor of the plain shape and dtype.
    `decrypt()` gives the plain value. Never set it as the `.data` of a plain tensor: torch asks
    nobody there, and the plain tensor is left without memory (docs/security.md).
    """

    _held: Share | Deferred

    @staticmethod
    def __new__(cls, share: Share | Deferred, requires_grad: bool = False) -> SharedTensor:
        part = share.here
        tensor: SharedTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            part.shape,
            strides=part.stride(),
            storage_offset=part.storage_offset(),
            dtype=share.dtype,
            requires_grad=requires_grad,
        )
        tensor._held = share
        torch._C._set_throw_on_mutable_data_ptr(tensor)  # there is no memory of its own to read
        return tensor

    @property
    def _share(self) -> Share:
        """The share behind the wrapper; computed now where it was deferred."""
        held = self._held
        if type(held) is Share:
            return held
        share = self._held = held.settle()  # type: ignore[union-attr]
        return share

    @_share.setter
    def _share(self, share: Share) -> None:
        self._held = share

    @property
    def shares(self) -> tuple[Tensor, ...]:
        """Copies of the int64 share tensors that this process holds. SessionError once closed."""
        share = self._share
        share.session.check_open()
        return tuple(share.parts[p].clone() for p in share.session.local)

    def decrypt(self, dst: str | Sequence[str] | None = None) -> Tensor | None:
        """The plain value, revealed to all parties, or to those named in `dst`.

        With `dst` the other parties get None: a branch on that differs between parties, and code
        after it must not differ in what it computes on secrets. The shared form stays as it is.
        Values in base 10 are given on their decimal grid. Raises SessionError for unknown or no
        names.
        """
        return decrypted(self, dst)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        held = self._held
        describe = getattr(held.session, "describe", None)
        if describe is not None:
            return str(describe(self))
        kind = (
            "Parameter of SharedTensor" if isinstance(self, torch.nn.Parameter) else "SharedTensor"
        )
        with DisableTorchFunctionSubclass():
            facts = [f"shape={tuple(self.shape)}", f"dtype={self.dtype}"]
            if held.dtype.is_floating_point:
                facts.append(f"precision={Grid.of_unit(held.unit)}")
            facts.append(f"parties=({', '.join(held.session.names)})")
            if self.grad_fn is not None:
                facts.append(f"grad_fn=<{self.grad_fn.name()}>")
            elif self.requires_grad:
                facts.append("requires_grad=True")
        return f"{kind}({', '.join(facts)})"

    def __copy__(self) -> SharedTensor:
        """Another tensor on the same shares, as copy.copy of a torch.Tensor."""
        copy = SharedTensor(self._share, self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copy._is_param = True
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedTensor:
        if id(self) in memo:
            return memo[id(self)]
        with DisableTorchFunctionSubclass():
            if not self.is_leaf:
                raise RuntimeError(
                    "only leaf tensors can be deep-copied; detach() this result of a computation"
                )
            copy = SharedTensor(self._share.clone(), self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copy._is_param = True
            memo[id(self)] = copy
            if self.grad is not None:
                copy.grad = self.grad.__deepcopy__(memo)
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        """How torch.save and pickle keep the shares of this process: see `checkpoint.pickled`."""
        return copyreg.dispatch_table[SharedTensor](self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Refused; with the keywords of NumPy 2, which torch's own does not take."""
        return Tensor.__array__(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Operators between a NumPy array, or a number of NumPy's, and a secret."""
        return universal(ufunc, method, inputs, options)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        handler = FRONT.get(func, func)
        name = getattr(func, "__name__", "")
        if handler is not func and torch.is_inference_mode_enabled():
            with torch.inference_mode(False), torch.no_grad():
                return cls.__torch_function__(func, types, args, kwargs)
        with DisableTorchFunctionSubclass():
            if name in _TRANSPARENT:
                return handler(*args, **kwargs)
            if torch.is_grad_enabled():
                args = [guarded(a) for a in args]
                kwargs = {k: guarded(v) for k, v in kwargs.items()} if kwargs else kwargs
            call = (func, args, kwargs)
            with Named(None if name.startswith("__") else name, call):  # x + y is known as `add`
                if handler is func:
                    return func(*args, **kwargs)
                return _caught_whole(handler, func, args, kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        plan = _PLANS.get(id(func))
        if plan is None:
            plan = _PLANS[id(func)] = Plan(func)
        if torch.is_inference_mode_enabled():  # parts must be normal tensors: their versions count
            with torch.inference_mode(False), torch.no_grad():
                return plan.run(args, kwargs or {})
        return plan.run(args, kwargs or {})


def decrypted(
    tensor: SharedTensor, dst: str | Sequence[str] | None, *, exact: bool = False
) -> Tensor | None:
    """The plain value. exact: with digits that wait for a truncation (see `reveal_value`)."""
    share = tensor._share
    names = (dst,) if isinstance(dst, str) else dst
    if names is not None and not names:
        raise SessionError("`dst` names nobody: leave it out for all parties to learn the value")
    receivers = None if names is None else [share.session.index(name, "dst") for name in names]
    with share.session.operation("decrypt"):
        value = reveal_value(share, receivers, exact=exact)
    grid = Grid.of_unit(share.unit)
    decimal = value is not None and value.is_floating_point() and grid.guarded and not exact
    return grid.nearest(value) if decimal else value  # type: ignore[arg-type]


def wrap(share: Share | Deferred, requires_grad: bool = False) -> SharedTensor:
    """A SharedTensor around a share."""
    return SharedTensor(share, requires_grad)


def unwrap(tensor: SharedTensor) -> Share:
    """The share of a SharedTensor."""
    return tensor._share


# Functions that say nothing of the user's operation, or meet plain leaves for good reason.
_TRANSPARENT = {"__get__", "__set__", "__delete__", "backward", "grad", "register_hook"}


# Caught whole, but for what they refuse; whatever they compute is entered below autograd.
_LOCAL = {"to"}


class Plan:
    """How one aten overload is carried out; made at its first use."""

    def __init__(self, func: Any) -> None:
        self.func = func
        self.name = func._schema.name.partition("::")[2]
        self.written = written_arguments(func)
        self.handler, self.on_wrappers = resolved(func)
        self.reshapes = reshapes_in_place(func)
        self.foreach = is_foreach(func) and func._schema.name.endswith("_")
        self.accumulates = self.name in ACCUMULATING
        self.views = any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns)
        self._depth = 0

    def run(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if self.written:
            self._check_written(args, kwargs)
        if self.accumulates:
            check_leaf()
        if self.handler is None:
            return self._run_on_wrappers(args, kwargs)
        lazy = self.func in SHAPE_ONLY
        found: list[Share] = []
        bare = [_bare(a, lazy, found) for a in args]
        options = {k: _bare(v, lazy, found) for k, v in kwargs.items()} if kwargs else kwargs
        session = found[0].session
        for share in found:
            if share.session is not session:
                check_same_session(*found)
        try:
            with session.operation(self.user_name):
                if self.views or not session.deployed:
                    out = self.handler(*bare, **options)
                else:
                    targets = [argument(place, bare, options) for place in self.written]
                    with Witness(self.name, found, [bare, options], targets) as seen:
                        out = seen.made(self.handler(*bare, **options))
                if self.reshapes:
                    become(args[0], out)
        except NotImplementedError as error:  # ours too
            raise _named(error, self.user_name) from error
        except MPCError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError):
            on_zeros(self.func, *args, **kwargs)
            raise
        return argument(self.written[0], args, kwargs) if self.written else _wrapped(out)

    def _check_written(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        targets = [argument(place, args, kwargs) for place in self.written]
        if not all(isinstance(target, SharedTensor) for target in targets):
            check_places(self.user_name, self.func, args, kwargs)
        if self.foreach:
            check_lists(self.user_name, targets[0], [*args[1:], *kwargs.values()])
        else:
            check_targets(self.user_name, targets)

    @property
    def user_name(self) -> str:
        return outermost_name() or self.name

    def _run_on_wrappers(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        if self.func in REFUSED:
            sentence = spoken(_session_of([*args, *kwargs.values()]), REFUSED[self.func])
            raise SecretLeakError(f"{refused_call(self.name, args)} {sentence}")
        if self.on_wrappers is None:
            raise UnsupportedOperationError(unsupported(self.user_name, self.func))
        session = _session_of([*args, *kwargs.values()])
        with Named(self.name), session.operation(self.user_name):
            self._depth += 1
            try:
                out = NotImplemented if self._depth > DEEPEST else self.on_wrappers(*args, **kwargs)
            finally:
                self._depth -= 1
        if out is NotImplemented:
            raise UnsupportedOperationError(unsupported(self.user_name, self.func))
        return out


DEEPEST = 5  # an overload inside its own decomposition more often than this never ends
_PLANS: dict[int, Plan] = {}  # by the id of an overload, which lives as long: torch hashes slowly


def _bare(value: Any, lazy: bool, found: list[Any]) -> Any:
    """The argument with Shares in place of SharedTensors; they are noted in `found`."""
    if isinstance(value, SharedTensor):
        share = value._held if lazy else value._share
        found.append(share)
        return share
    if type(value) is list or type(value) is tuple:
        return [_bare(v, lazy, found) for v in value]
    return value


def _caught_whole(
    handler: Callable[..., Any], func: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """A function of the front door; its errors speak of the user's function, or are torch's own."""
    session = _session_of([*args, *kwargs.values()])
    if kwargs.get("out") is not None:
        handler = into(kwargs["out"], func.__name__, handler)
    kwargs = {key: value for key, value in kwargs.items() if key != "out"}
    kwargs = with_torch_names(func, handler, kwargs)
    try:
        if session is None or not session.deployed or func.__name__ in _LOCAL:
            return handler(*args, **kwargs)
        found: list[Share] = []
        bare = [_bare(value, True, found) for value in (args, tuple(kwargs.items()))]
        with Witness(func.__name__, found, bare) as seen:
            return seen.made(handler(*args, **kwargs))
    except NotImplementedError as error:
        raise _named(error, outermost_name() or func.__name__) from error
    except MPCError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError):
        on_zeros(func, *args, **kwargs)
        raise


def _named(error: NotImplementedError, name: str) -> UnsupportedOperationError:
    """What a handler does not implement, with the user's operation."""
    sentence = str(error)
    named = sentence.startswith("`")
    return UnsupportedOperationError(sentence if named else f"`{name}`: {sentence}")


def _wrapped(out: Any) -> Any:
    """Results as a user sees them."""
    if type(out) is Share or type(out) is Deferred:
        return SharedTensor(out)
    if isinstance(out, (list, tuple)):
        return type(out)(_wrapped(value) for value in out)
    return out


def _session_of(values: Iterable[Any]) -> Any:
    """The session of the first SharedTensor among the arguments."""
    for value in values:
        if isinstance(value, SharedTensor):
            return value._held.session
        if isinstance(value, (list, tuple)):
            session = _session_of(value)
            if session is not None:
                return session
    return None


def become(target: SharedTensor, share: Share) -> None:
    """Make the wrapper show another share, its shape included."""
    with DisableTorchFunctionSubclass():
        Tensor.data.__set__(target, SharedTensor(share))  # type: ignore[attr-defined]
    target._share = share


def on_zeros(func: Any, *args: Any, **kwargs: Any) -> Any:
    """The call on zeros: wrong shapes and dtypes give torch's own message."""
    return func(*[_zeros(a) for a in args], **{k: _zeros(v) for k, v in kwargs.items()})


def _zeros(value: Any) -> Any:
    """Zeros in place of secrets."""
    if isinstance(value, SharedTensor):
        with DisableTorchFunctionSubclass():
            return torch.zeros(value.shape, dtype=value.dtype)
    if isinstance(value, (list, tuple)):
        return type(value)(_zeros(v) for v in value)
    return value
