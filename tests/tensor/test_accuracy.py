"""Every smooth function over its domain and beyond, with its rounds; gradients of some."""

import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import mpctensor
from tests.accuracy import BOTH, HIGHEST, ROWS, Row, line, spread

pytestmark = pytest.mark.lengthy

LARGEST_ERROR = 2.0**-12
BY_NAME = {row.name: row for row in ROWS}


def error_of(got: Tensor, expected: Tensor) -> float:
    """The largest error: absolute, or relative to results larger than 1."""
    assert got.shape == expected.shape and got.isfinite().all()
    return ((got.double() - expected).abs() / expected.abs().clamp(min=1)).max().item()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_domain(row: Row) -> None:
    with torch.no_grad():
        got = row.function(mpctensor.encrypt(row.points)).decrypt()
    assert error_of(got, row.function(row.points)) <= 2.0**-row.bits <= LARGEST_ERROR


@pytest.mark.parametrize("row", [row for row in ROWS if row.outside], ids=lambda row: row.name)
def test_beyond_the_domain(row: Row) -> None:
    given, low, high = torch.tensor(row.outside, dtype=torch.float64).unbind(1)
    got = row.function(mpctensor.encrypt(given)).decrypt()
    assert torch.all((low <= got) & (got <= high)), got


@pytest.mark.simulated
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rounds(row: Row) -> None:
    x = mpctensor.encrypt(row.points)
    with torch.no_grad(), mpctensor.cost() as spent:
        row.function(x)
    assert spent.rounds == row.rounds


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *((name, 6) for name in ("exp", "sigmoid", "tanh", "gelu", "gelu (tanh)", "silu", "mish")),
        *((name, 12) for name in ("reciprocal", "rsqrt")),
        ("softmax", 26),
        ("softmax, many rows", 26),
    ],
)
def test_promised_rounds(name: str, most: int) -> None:
    assert BY_NAME[name].rounds <= most


SMALL = line(-6, 6, 301)
FAR = torch.cat([line(-20, 20, 401), spread(5, 20, BOTH)])
VAST = torch.cat([line(-20, 20, 401), spread(5, 29, BOTH)])
ROWS_OF_SIX = line(-3, 5, 96)[torch.randperm(96, generator=torch.Generator().manual_seed(0))]
NORMED = [
    *(("norm", p) for p in (-20, -3, -1, 0.5, 1.5, 3, 3.5, 20)),
    *(("norm, small", p) for p in (-3, 3)),
    *(("normalize", p) for p in (-3, 1.5, 3)),
    *(("cdist", p) for p in (1.5, 3, 20)),
    *(("pairwise_distance", p) for p in (-3, 3)),
    *(("triplet_margin_loss", p) for p in (1.5, 3)),
    *(("lp_pool1d", p) for p in (-3, 3, 4)),
    *(("lp_pool2d", p) for p in (3, 4)),
]


def _by_norm(name: str, p: float) -> Callable[[Tensor], Tensor]:
    """A function of rows of six through a norm of order p."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "norm": lambda x: x.norm(p, dim=1),
        "norm, small": lambda x: 64 * torch.linalg.vector_norm(x / 128, p, 1),
        "normalize": lambda x: F.normalize(x.abs() + 1, p),
        "cdist": lambda x: torch.cdist(x[:8], x[8:], p),
        "pairwise_distance": lambda x: F.pairwise_distance(x[:8], x[8:], p),
        "triplet_margin_loss": lambda x: F.triplet_margin_loss(x[:4], x[4:8], x[8:12], p=p),
        "lp_pool1d": lambda x: F.lp_pool1d(x.abs() + 0.125, p, 4, 3, ceil_mode=True),
        "lp_pool2d": lambda x: F.lp_pool2d(x.view(1, 8, 12).abs(), p, (2, 3), 2),
    }
    return lambda x: functions[name](x.view(-1, 6))


GRADIENTS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "gelu": (F.gelu, FAR),
    "gelu (tanh)": (lambda x: F.gelu(x, approximate="tanh"), FAR),
    "silu": (F.silu, FAR),
    "mish": (F.mish, FAR),
    "softplus": (F.softplus, FAR),
    "softplus, steep": (lambda x: F.softplus(x, 4, 3), FAR),
    "logsigmoid": (F.logsigmoid, FAR),
    "elu": (lambda x: F.elu(x, 0.5), FAR),
    "elu in place": (lambda x: F.elu(x * 1, inplace=True), FAR),
    "selu": (F.selu, FAR),
    "celu": (lambda x: F.celu(x, 0.75), FAR),
    "erf": (torch.erf, VAST),
    "erfc": (torch.erfc, VAST),
    "erf, method": (lambda x: x.erf(), VAST),
    "erf, in place": (lambda x: (x * 1).erf_(), VAST),
    "erfc, in place": (lambda x: torch.erfc_(x * 1), VAST),
    "exp2, in place": (lambda x: (x * 1).exp2_(), line(18, 20.8)),
    "exp2": (torch.exp2, line(-6, 20.8, 301)),
    "exp2, method": (lambda x: x.exp2(), line(18, 20.8)),
    "exp": (torch.exp, line(-6, 14.4, 301)),
    "expm1": (torch.expm1, line(-6, 14.4, 301)),
    "tanh": (torch.tanh, VAST),
    "sigmoid": (torch.sigmoid, VAST),
    "10 ** x": (lambda x: 10**x, line(-3, 3)),
    "0.5 ** x": (lambda x: 0.5**x, SMALL),
    "sin": (torch.sin, FAR),
    "cos": (torch.cos, FAR),
    "tan": (torch.tan, line(-1.5, 1.5, 201)),
    "sinh": (torch.sinh, SMALL),
    "cosh": (torch.cosh, SMALL),
    "asin": (torch.asin, line(-0.98, 0.98, 201)),
    "acos": (torch.acos, line(-0.98, 0.98, 201)),
    "atan": (torch.atan, VAST),
    "atan, in place": (lambda x: (x * 1).atan_(), VAST),
    "atan2": (lambda x: torch.atan2(x, x.flip(0) + 8), SMALL),
    "hypot": (lambda x: torch.hypot(x, x.flip(0) + 1), SMALL),
    "x ** 2.5": (lambda x: x**2.5, line(0.1, 20, 201)),
    "x ** -1.5": (lambda x: x**-1.5, line(0.5, 20, 201)),
    "x ** -2": (lambda x: x**-2, line(-20, -0.5, 201)),
    "x ** 17": (lambda x: x**17, line(-1.5, 1.5, 301)),
    "x ** -20": (lambda x: x**-20, line(0.65, 20, 301)),
    "x ** 20, in place": (lambda x: operator.ipow(x * 1, 20), line(-1.5, 1.5, 301)),
    "logaddexp": (lambda x: torch.logaddexp(x, x.flip(0)), SMALL),
    "logsumexp": (lambda x: x.view(-1, 7).logsumexp(1), SMALL),
    **{f"{name}, p = {p}": (_by_norm(name, p), ROWS_OF_SIX) for name, p in NORMED},
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name: str) -> None:
    function, points = GRADIENTS[name]
    plain, hidden = points.clone().requires_grad_(), mpctensor.encrypt(points)
    hidden.requires_grad_()
    weights = torch.linspace(-1, 1, 16, dtype=torch.float64)
    for x in (plain, hidden):
        out = function(x)
        (out.reshape(-1) * weights.repeat(out.numel() // 16 + 1)[: out.numel()]).sum().backward()
    assert error_of(hidden.grad.decrypt(), plain.grad) <= LARGEST_ERROR


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.name not in ("cumprod", "norm, p = 0")],
    ids=lambda row: row.name,
)
def test_gradient_over_the_domain(row: Row) -> None:
    """Where the gradient itself is below 2^20."""
    plain, hidden = row.points.clone().requires_grad_(), mpctensor.encrypt(row.points)
    hidden.requires_grad_()
    weights = torch.linspace(0.3, 1.234567, row.function(row.points).numel(), dtype=torch.float64)
    for x in (plain, hidden):
        out = row.function(x)
        (out * weights.view(out.shape)).sum().backward()
    fits = plain.grad.isfinite() & (plain.grad.abs() < 1 << 20)
    assert error_of(hidden.grad.decrypt()[fits], plain.grad[fits]) <= LARGEST_ERROR


PIECEWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "abs, in place": lambda x: (x * 1).abs_(),
    "l1_loss": lambda x: F.l1_loss(x, torch.ones_like(x)),
    "softsign": F.softsign,
    "copysign": lambda x: torch.copysign(x, x + 1),
    "norm, p = 1": lambda x: x.norm(1),
    "norm, p = inf": lambda x: x.norm(torch.inf),
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "hardtanh": F.hardtanh,
    "hardswish": F.hardswish,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "max": lambda x: x.max(),
    "maximum": lambda x: torch.maximum(x, -x / 2),
    "sgn": torch.sgn,
    "x ** 20": lambda x: x**20,
}


@pytest.mark.parametrize("name", PIECEWISE)
def test_gradient_of_a_gradient(name: str) -> None:
    function = PIECEWISE[name]
    points = torch.tensor([-1.5, -0.25, 0.375, 1.25, 0.75], dtype=torch.float64)
    plain, hidden = points.clone().requires_grad_(), mpctensor.encrypt(points).requires_grad_()
    first, second = [], []
    for x in (plain, hidden):
        (g,) = torch.autograd.grad((function(x) + x**3).sum(), x, create_graph=True)
        first.append(g.detach())
        second.append(torch.autograd.grad((g * points).sum(), x)[0])
    assert error_of(first[1].decrypt(), first[0]) <= LARGEST_ERROR
    assert error_of(second[1].decrypt(), second[0]) <= LARGEST_ERROR


def test_the_second_gradient_of_a_magnitude_is_a_secret_zero() -> None:
    x = mpctensor.encrypt(torch.tensor([-1.5, 0.0, 2.0])).requires_grad_()
    (g,) = torch.autograd.grad(x.abs().sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert g.decrypt().tolist() == [-1, 0, 1]
    assert h.decrypt().tolist() == [0, 0, 0]


@pytest.mark.simulated
@pytest.mark.parametrize(
    ("name", "most"),
    [
        *((name, 2) for name in ("gelu", "silu", "mish", "softplus", "logsigmoid")),
        *(("elu", 3), ("selu", 4)),  # where the factors of a slope are truncated
    ],
)
def test_gradient_compares_nothing(name: str, most: int) -> None:
    function, points = GRADIENTS[name]
    x, g = mpctensor.encrypt(points.clone().requires_grad_()), mpctensor.encrypt(points / 64)
    y = function(x)
    with mpctensor.cost() as spent:
        y.backward(g)
    assert spent.rounds <= most


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_smooth_functions_of_integers_and_in_place(mode: Callable[[], object]) -> None:
    with mode():  # type: ignore[attr-defined]
        whole = mpctensor.encrypt(torch.tensor([-1, 0, 2]))
        for function in (torch.sin, torch.exp2, torch.erf, torch.atan, torch.cosh):
            got = function(whole)
            assert got.dtype == torch.float32
            assert error_of(got.decrypt(), function(torch.tensor([-1.0, 0, 2]).double())) < 2**-13
        x = mpctensor.encrypt(torch.tensor([0.5, -0.25]))
        x.sin_()
        assert error_of(x.decrypt(), torch.tensor([0.5, -0.25]).double().sin()) < 2**-14


def test_bad_exponents_and_bases() -> None:
    x = mpctensor.encrypt(torch.ones(2))
    with pytest.raises(mpctensor.EncodingError, match="power inf"):
        x ** float("inf")
    with pytest.raises(mpctensor.EncodingError, match="below 2\\^24"):
        x**1e30
    with pytest.raises(mpctensor.UnsupportedOperationError, match="base has to be positive"):
        (-2.0) ** x
    with pytest.raises(mpctensor.UnsupportedOperationError, match="positive alpha"):
        F.celu(x, -1.0)


def test_bases_and_exponents_far_from_1() -> None:
    whole = mpctensor.encrypt(torch.tensor([0, 1, -3, 2]))
    got = (1e5**whole).decrypt()
    assert error_of(got, torch.tensor([1, 1e5, 0, HIGHEST]).double()) < 2.0**-12
    got = (1e30**whole).decrypt()
    assert error_of(got, torch.tensor([1, HIGHEST, 0, HIGHEST]).double()) < 2.0**-12
    x = mpctensor.encrypt(torch.tensor([0.5, 1.0, 2.0, 0.0]))
    assert (x**1e6).decrypt()[[0, 3]].tolist() == [0, 0]
    assert error_of((x**1e-4).decrypt(), torch.tensor([0.99993, 1, 1.00007, 0]).double()) < 2.0**-14
    assert error_of((1**x).decrypt(), torch.ones(4).double()) == 0


@pytest.mark.parametrize("function", [torch.erf, torch.erfc, torch.exp2], ids=lambda f: f.__name__)
def test_writing_a_result(function: Callable[..., Tensor]) -> None:
    x = torch.tensor([0.5, -1.0], dtype=torch.float64)
    target = mpctensor.encrypt(torch.zeros(2, dtype=torch.float64))
    function(mpctensor.encrypt(x), out=target)
    assert error_of(target.decrypt(), function(x)) < 2**-13
