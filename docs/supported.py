"""Writes docs/supported.md: what of torch works on secrets. Run `python docs/supported.py`.

Functions are read from the tables of operations; what they cost is measured on the rows of
tests/accuracy.py and tests/costs. Layers, losses and compositions of tests/tried.py and all
optimizers are run once each, forward and backward on encrypted inputs, and listed by what happened.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mpctensor
from mpctensor import MPCError, ops
from mpctensor.ops.registry import ATEN, FRONT

PAGE = Path(__file__).with_name("supported.md")

INTRODUCTION = """# What works on secrets

Written by `python docs/supported.py`; a test keeps it true. Functions have their methods,
operators, in-place and out= forms with them, and gradients except where the tables show none.
Whatever torch itself composes of them works too.
Anything else raises `UnsupportedOperationError`, and what would show a secret `SecretLeakError`;
both say what to use instead. Numbers, plain tensors and secrets mix freely.
"""

ELSEWHERE = {"Optimizer"}  # the base class


def main() -> None:
    sys.path.insert(0, str(PAGE.parents[1]))  # for the tables in tests/
    PAGE.write_text(page())


def page() -> str:
    """The document."""
    torch.manual_seed(0)
    with warnings.catch_warnings(), mpctensor.init(seed=0):
        warnings.simplefilter("ignore")
        parts = [INTRODUCTION, _functions(), _accuracy(), _costs()]
        parts += [_layers(), _losses(), _optimizers()]
    return "\n".join(parts)


def listed() -> dict[str, set[str]]:
    """The functions of each family, by what it is about."""
    families = [getattr(ops, name) for name in ops.__all__]
    rows = {_first_line(family): _names_in(family.__name__) for family in families}
    return rows | {"Caught whole, above autograd": _names_of_front()}


def _functions() -> str:
    lines = ["## Functions", "", "| family | functions |", "|---|---|"]
    lines += [
        f"| {about} | {_listed(sorted(names))} |" for about, names in listed().items() if names
    ]
    tables = import_module("tests.tried")
    tried = [
        (name, _works(lambda: run(_secret(tables.VECTORS))))
        for name, run in tables.COMPOSED.items()
    ]
    lines += ["", "Some of those that torch composes:", "", "| work | do not |", "|---|---|"]
    lines += [f"| {_split(tried)} |"]
    return "\n".join(lines) + "\n"


def _first_line(family: Any) -> str:
    return (family.__doc__ or "").splitlines()[0].rstrip(".").partition(". ")[0]


def _names_in(module: str) -> set[str]:
    """torch names of the aten operations that a family has handlers for."""
    names = {
        overload._schema.name.partition("::")[2]
        for overload, handler in ATEN.items()
        if handler.__module__ == module and overload.namespace == "aten"
    }
    return _without_in_place({n for n in names if _is_public(n)})


def _without_in_place(names: set[str]) -> set[str]:
    return {n for n in names if n.removesuffix("_") not in names - {n}}


def _is_public(name: str) -> bool:
    known = any(hasattr(place, name) for place in (torch, Tensor, F, torch.linalg))
    copying = hasattr(Tensor, name.removesuffix("_copy")) and not hasattr(Tensor, name)
    inner = name.startswith(("_", "native_", "unsafe_")) or name.endswith("_with_indices")
    return known and not copying and not inner and "backward" not in name


def _names_of_front() -> set[str]:
    return _without_in_place(
        {
            function.__name__
            for function, handler in FRONT.items()
            if not handler.__module__.endswith("refusals") and _is_public(function.__name__)
        }
    )


ACCURACY = """Swept by `tests/tensor/test_accuracy.py` at 16 fractional bits. The largest error
allowed is absolute, or relative where that is more. Costs are those of two parties: rounds of a
call and of all its gradients, and bytes of the call for an element of the argument, sent by each
party and by the provider. More, and why, is in numerics.md.
"""
COSTS = """As above, for the other functions, run by `tests/test_costs.py` with gradients recorded
on secrets of about -2 to 2, of the sizes given. Errors are in units of 2^-16, absolute, or relative
where that is more. Rounds change with what is reduced, ordered, pooled or run through in time,
hardly with the number of elements. What was compared or multiplied before costs less; products may
keep extra digits, which take 1 round to cut, as before decryption.
"""
FREE = """These are exact, without a round or a byte: linear maps with public structure, and new
public tensors.
"""


def _accuracy() -> str:
    """Domain, error and cost of each function of tests/accuracy.py."""
    rows, calls = import_module("tests.accuracy").ROWS, import_module("tests.costs.call")
    lines = ["## Smooth functions: accuracy and costs", "", ACCURACY]
    lines += _head("function", "domain", "beyond it", "largest error")
    for row in rows:
        x = mpctensor.encrypt(row.points)
        with torch.no_grad(), mpctensor.cost() as spent:
            row.function(x)
        costs = (round(b / x.numel()) for b in (spent.bytes_sent, spent.provider_bytes))
        recorded = calls.run(calls.Call(row.name, row.rounds, 0, row.function, (row.points,)))
        promised = (f"`{row.name}`", row.domain, row.beyond, f"2^-{row.bits}")
        lines.append(_cells(*promised, spent.rounds, *costs, recorded.backward))
    return "\n".join(lines) + "\n"


def _costs() -> str:
    """Error and cost of each call of tests/costs."""
    names = ("call", "elements", "layers", "free")
    calls, elements, layers, free = (import_module(f"tests.costs.{name}") for name in names)
    lines = ["## Other functions: accuracy and costs", "", COSTS]
    for family in elements.FAMILIES + layers.FAMILIES:
        lines += [f"### {family.title}", "", f"Bytes for an element of the {family.per}.", ""]
        lines += _head("function", "of", "error")
        lines += [_cost_row(call, calls.run(call), family.per) for call in family.calls] + [""]
    lines += ["### Shapes, public positions, new tensors", "", FREE, _listed(sorted(free.FREE))]
    return "\n".join(lines) + "\n"


def _cost_row(call: Any, spent: Any, per: str) -> str:
    result = spent.result if isinstance(spent.result, Tensor) else spent.result[0]
    count = (call.secrets[0] if per == "argument" else result).numel()
    sizes = ", ".join("x".join(str(n) for n in x.shape) for x in call.secrets)
    error = {0: "exact", None: "random"}.get(call.ulps, call.ulps)
    costs = (_short(total / count) for total in (spent.bytes_sent, spent.provider_bytes))
    return _cells(f"`{call.name}`", sizes, error, spent.rounds, *costs, spent.backward)


def _head(*columns: str) -> list[str]:
    """A table's first lines; costs are its last columns."""
    columns = (*columns, "rounds", "bytes sent", "provider bytes", "gradients")
    return [_cells(*columns), "|---" * len(columns) + "|"]


def _cells(*values: Any) -> str:
    return "| " + " | ".join("" if value is None else str(value) for value in values) + " |"


def _short(number: float) -> str:
    return f"{number:.1f}" if 0 < number < 10 and number % 1 else f"{number:.0f}"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _layers() -> str:
    lines = ["## Layers", "", "| family | work | do not |", "|---|---|---|"]
    for family, layers in import_module("tests.tried").LAYERS.items():
        tried = [(kind.__name__, _layer_works(kind, args, size)) for kind, args, size in layers]
        lines.append(f"| {family} | {_split(tried)} |")
    lines += ["", "Lazy layers work once they have run on plain data. `Embedding` and"]
    lines += ["`EmbeddingBag` take public and secret indices; adaptive softmax, `max_norm` and the"]
    lines += ["padding of bags take public ones."]
    return "\n".join(lines) + "\n"


def _split(tried: list[tuple[str, bool]]) -> str:
    good, bad = ([name for name, works in tried if works is wanted] for wanted in (True, False))
    return f"{_listed(good)} | {_listed(bad)}"


def _layer_works(kind: type[nn.Module], args: tuple[Any, ...], size: tuple[int, ...]) -> bool:
    layer = mpctensor.encrypt(kind(*args))
    x = mpctensor.encrypt(torch.ones(size).long()) if kind is nn.Embedding else _secret(size)

    def run() -> Any:
        out = layer(x)
        return out[0] if isinstance(out, tuple) else out

    return _works(run)


def _secret(size: tuple[int, ...]) -> Tensor:
    made: Tensor = mpctensor.encrypt(torch.randn(size).requires_grad_())
    return made


def _works(run: Callable[[], Any]) -> bool:
    """Whether a result and its gradient can be computed."""
    try:
        out = run()
        if out.requires_grad:
            out.sum().backward()
        out.detach().decrypt()
    except (MPCError, NotImplementedError):
        return False
    return True


def _losses() -> str:
    tables = import_module("tests.tried")
    tried = [
        (kind.__name__, _works(lambda: kind()(_secret(tables.VECTORS), target)))
        for kind, target in tables.LOSSES.items()
    ]
    tried += [
        (kind.__name__, _works(lambda: run(kind(), _secret(tables.VECTORS))))
        for kind, run in tables.PAIRED.items()
    ]
    advice = "Class indices are public; secret classes are one-hot targets of `CrossEntropyLoss`."
    return _section("Losses", tried, advice)


def _section(title: str, tried: list[tuple[str, bool]], after: str) -> str:
    rows = [f"## {title}", "", "| work | do not |", "|---|---|", f"| {_split(tried)} |"]
    return "\n".join([*rows, "", after, ""])


def _optimizers() -> str:
    kinds = [
        kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
        if name not in ELSEWHERE
    ]
    tried = [(kind.__name__, _optimizer_works(kind)) for kind in kinds]
    advice = "Schedulers, gradient clipping and accumulation are torch's own and work with all."
    return _section("Optimizers", sorted(tried), advice)


def _optimizer_works(kind: type[torch.optim.Optimizer]) -> bool:
    weight = mpctensor.encrypt(nn.Parameter(torch.ones(3, 3)))
    optimizer = kind([weight], lr=0.01)  # type: ignore[call-arg]

    def run() -> Any:
        (weight * weight).sum().backward()
        optimizer.step()
        return weight.detach()

    return _works(run)


if __name__ == "__main__":
    main()
