"""Writes docs/supported.md: what of torch works on secrets. Run `python docs/supported.py`.

Functions are read from the tables of operations; what they cost is measured on the rows of
tests/accuracy.py and tests/costs. Layers, losses and optimizers are run once each, forward and
backward on encrypted inputs, and listed by what happened.
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

VECTORS, IMAGES, LINES = (4, 6), (2, 4, 8, 8), (2, 4, 8)
VOLUMES, SEQUENCES = (1, 4, 4, 4, 4), (3, 2, 4)
LAYERS: dict[str, list[tuple[type[nn.Module], tuple[Any, ...], tuple[int, ...]]]] = {
    "linear": [
        (nn.Linear, (6, 3), VECTORS),
        (nn.Identity, (), VECTORS),
        (nn.Flatten, (), IMAGES),
        (nn.Unflatten, (1, (2, 3)), VECTORS),
    ],
    "convolution": [
        (nn.Conv1d, (4, 4, 3), LINES),
        (nn.Conv2d, (4, 4, 3), IMAGES),
        (nn.Conv3d, (4, 4, 3), VOLUMES),
        (nn.ConvTranspose1d, (4, 4, 3), LINES),
        (nn.ConvTranspose2d, (4, 4, 3), IMAGES),
        (nn.ConvTranspose3d, (4, 4, 3), VOLUMES),
        (nn.Unfold, (2,), IMAGES),
        (nn.Fold, ((3, 3), 2), (1, 4, 4)),
    ],
    "pooling": [
        (nn.MaxPool1d, (2,), LINES),
        (nn.MaxPool2d, (2,), IMAGES),
        (nn.MaxPool3d, (2,), VOLUMES),
        (nn.AvgPool1d, (2,), LINES),
        (nn.AvgPool2d, (2,), IMAGES),
        (nn.AvgPool3d, (2,), VOLUMES),
        (nn.AdaptiveMaxPool1d, (3,), LINES),
        (nn.AdaptiveMaxPool2d, (3,), IMAGES),
        (nn.AdaptiveMaxPool3d, (3,), VOLUMES),
        (nn.AdaptiveAvgPool1d, (3,), LINES),
        (nn.AdaptiveAvgPool2d, (3,), IMAGES),
        (nn.AdaptiveAvgPool3d, (3,), VOLUMES),
        (nn.LPPool1d, (2, 2), LINES),
        (nn.LPPool2d, (2, 2), IMAGES),
        (nn.LPPool3d, (2, 2), VOLUMES),
        (nn.FractionalMaxPool2d, (2, 3), IMAGES),
    ],
    "padding and resizing": [
        (nn.ZeroPad2d, (1,), IMAGES),
        (nn.ConstantPad2d, (1, 0.5), IMAGES),
        (nn.ReflectionPad2d, (1,), IMAGES),
        (nn.ReplicationPad2d, (1,), IMAGES),
        (nn.CircularPad2d, (1,), IMAGES),
        (nn.CircularPad3d, (1,), VOLUMES),
        (nn.UpsamplingNearest2d, (None, 2), IMAGES),
        (nn.UpsamplingBilinear2d, (None, 2), IMAGES),
        (nn.Upsample, (None, 1.5, "trilinear"), VOLUMES),
        (nn.PixelShuffle, (2,), IMAGES),
        (nn.PixelUnshuffle, (2,), IMAGES),
        (nn.ChannelShuffle, (2,), IMAGES),
    ],
    "activation": [
        *((layer, (), VECTORS) for layer in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU)),
        *((layer, (), VECTORS) for layer in (nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.GELU)),
        *((layer, (), VECTORS) for layer in (nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink)),
        *((layer, (), VECTORS) for layer in (nn.Softplus, nn.Softsign, nn.Softshrink)),
        *((layer, (), VECTORS) for layer in (nn.Hardtanh, nn.Hardshrink, nn.Hardsigmoid)),
        *((layer, (), VECTORS) for layer in (nn.Hardswish, nn.GLU)),
        (nn.Threshold, (0.1, 0.0), VECTORS),
        (nn.Softmax, (1,), VECTORS),
        (nn.Softmin, (1,), VECTORS),
        (nn.LogSoftmax, (1,), VECTORS),
        (nn.Softmax2d, (), IMAGES),
    ],
    "normalization and dropout": [
        (nn.BatchNorm1d, (6,), VECTORS),
        (nn.BatchNorm2d, (4,), IMAGES),
        (nn.BatchNorm3d, (4,), VOLUMES),
        (nn.InstanceNorm2d, (4,), IMAGES),
        (nn.GroupNorm, (2, 4), IMAGES),
        (nn.LayerNorm, (6,), VECTORS),
        (nn.RMSNorm, (6,), VECTORS),
        (nn.LocalResponseNorm, (2,), IMAGES),
        (nn.CrossMapLRN2d, (2,), IMAGES),
        (nn.Dropout, (), VECTORS),
        (nn.Dropout1d, (), LINES),
        (nn.Dropout2d, (), IMAGES),
        (nn.AlphaDropout, (), VECTORS),
        (nn.FeatureAlphaDropout, (), VECTORS),
    ],
    "sequences": [
        (nn.RNN, (4, 3), SEQUENCES),
        (nn.LSTM, (4, 3), SEQUENCES),
        (nn.GRU, (4, 3), SEQUENCES),
        (nn.RNNCell, (6, 3), VECTORS),
        (nn.LSTMCell, (6, 3), VECTORS),
        (nn.GRUCell, (6, 3), VECTORS),
        (nn.TransformerEncoderLayer, (4, 2, 8), SEQUENCES),
        (nn.TransformerEncoder, (nn.TransformerEncoderLayer(4, 2, 8), 2), SEQUENCES),
        (nn.Embedding, (5, 3), (2, 4)),
    ],
}
COMPOSED: dict[str, Callable[[Tensor], Any]] = {
    "matmul": lambda x: x @ x.t(),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "tensordot": lambda x: torch.tensordot(x, x, ([1], [1])),
    "outer": lambda x: torch.outer(x[0], x[1]),
    "kron": lambda x: torch.kron(x, x),
    "bilinear": lambda x: F.bilinear(x, x, torch.ones(2, 6, 6)),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "logaddexp": lambda x: torch.logaddexp(x, x),
    "norm": lambda x: x.norm(),
    "normalize": lambda x: F.normalize(x),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x + 1),
    "pairwise_distance": lambda x: F.pairwise_distance(x, x + 1),
    "cdist": lambda x: torch.cdist(x, x + 1),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "silu": F.silu,
    "gelu (tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "square": torch.square,
    "hypot": lambda x: torch.hypot(x, x),
    "diff": torch.diff,
    "cov": torch.cov,
    "interpolate": lambda x: F.interpolate(x[None], scale_factor=2),
    "interpolate (bicubic)": lambda x: F.interpolate(
        x[None, None], scale_factor=1.5, mode="bicubic", antialias=True
    ),
    "grid_sample": lambda x: F.grid_sample(x[None, None], torch.zeros(1, 2, 2, 2)),
    "multi_head_attention": lambda x: F.multi_head_attention_forward(
        *(x, x, x, 6, 2, torch.ones(18, 6), None, None, None, False, 0.0, torch.ones(6, 6), None),
        need_weights=False,
    )[0],
    "embedding": lambda x: F.embedding(LABELS[:2], x, max_norm=1.0),
    "embedding_bag": lambda x: F.embedding_bag(torch.tensor([[0, 2], [3, 1]]), x),
    "pack_padded_sequence": lambda x: (
        nn.utils.rnn.pack_padded_sequence(x[:, :, None], torch.tensor([4, 3, 2, 2, 1, 1])).data
    ),
    "max_unpool1d": lambda x: F.max_unpool1d(
        *F.max_pool1d(x[None], 2, return_indices=True), kernel_size=2
    ),
    "sort": lambda x: x.sort().values,
    "topk": lambda x: x.topk(2).values,
    "median": lambda x: x.median(),
    "mode": lambda x: x.mode().values,
    "exp2": torch.exp2,
    "sin": torch.sin,
    "cosh": torch.cosh,
    "atan2": lambda x: torch.atan2(x, x + 1),
    "erf": torch.erf,
    "erfinv": torch.erfinv,
    "lgamma": torch.lgamma,
    "linalg.inv": lambda x: torch.linalg.inv(x @ x.t()),
    "linalg.svd": lambda x: torch.linalg.svd(x).S,
    "fft": lambda x: torch.fft.fft(x).real,
}
SIGNS = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0, 1.0]]).expand(VECTORS)
LABELS = torch.tensor([0, 2, 5, 1])
LOSSES: dict[type[nn.Module], Tensor] = {
    nn.MSELoss: SIGNS,
    nn.L1Loss: SIGNS,
    nn.SmoothL1Loss: SIGNS,
    nn.HuberLoss: SIGNS,
    nn.CrossEntropyLoss: LABELS,
    nn.NLLLoss: LABELS,
    nn.BCEWithLogitsLoss: SIGNS.clamp(min=0),
    nn.KLDivLoss: SIGNS.abs() / 6,
    nn.PoissonNLLLoss: SIGNS.abs(),
    nn.SoftMarginLoss: SIGNS,
    nn.HingeEmbeddingLoss: SIGNS,
    nn.MultiLabelSoftMarginLoss: SIGNS.clamp(min=0),
    nn.MultiMarginLoss: LABELS,
    nn.MultiLabelMarginLoss: LABELS[:, None].expand(VECTORS).contiguous(),
}
PAIRED = {  # losses of several secret inputs
    nn.BCELoss: lambda loss, x: loss(torch.sigmoid(x), SIGNS.clamp(min=0)),
    nn.CosineEmbeddingLoss: lambda loss, x: loss(x, x + 1, SIGNS[:, 0]),
    nn.MarginRankingLoss: lambda loss, x: loss(x, x * 2, SIGNS),
    nn.TripletMarginLoss: lambda loss, x: loss(x, x + 1, x - 2),
    nn.TripletMarginWithDistanceLoss: lambda loss, x: loss(x, x + 1, x - 2),
    nn.GaussianNLLLoss: lambda loss, x: loss(x, SIGNS, x * x + 1),
    nn.CTCLoss: lambda loss, x: loss(x[:, None].log_softmax(2), LABELS[None, 1:3], [4], [2]),
}
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
    tried = [(name, _works(lambda: run(_secret(VECTORS)))) for name, run in COMPOSED.items()]
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
    return {n for n in names if _is_public(n) and n.removesuffix("_") not in names - {n}}


def _is_public(name: str) -> bool:
    known = any(hasattr(place, name) for place in (torch, Tensor, F, torch.linalg))
    copying = hasattr(Tensor, name.removesuffix("_copy")) and not hasattr(Tensor, name)
    inner = name.startswith(("_", "native_", "unsafe_")) or name.endswith("_with_indices")
    return known and not copying and not inner and "backward" not in name


def _names_of_front() -> set[str]:
    return {
        function.__name__
        for function, handler in FRONT.items()
        if not handler.__module__.endswith("refusals") and _is_public(function.__name__)
    }


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
    for family, layers in LAYERS.items():
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
    tried = [
        (kind.__name__, _works(lambda: kind()(_secret(VECTORS), target)))
        for kind, target in LOSSES.items()
    ]
    tried += [
        (kind.__name__, _works(lambda: run(kind(), _secret(VECTORS))))
        for kind, run in PAIRED.items()
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
