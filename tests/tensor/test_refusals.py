"""What would show a secret raises, and says what to do; nothing secret lands in plain memory."""

import copy
from multiprocessing.reduction import ForkingPickler

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import MPCError, SecretLeakError, SessionError, UnsupportedOperationError
from mpctensor.ops.refusals import unsupported
from mpctensor.ops.registry import FRONT

MODES = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}


def number():
    return mpctensor.encrypt(torch.tensor(1.5))


def vector():
    return mpctensor.encrypt(torch.tensor([1.0, 2.0, 0.0]))


READS = {
    "bool": lambda: bool(number()),
    "if": lambda: 1 if vector()[0] > 0 else 0,
    "float": lambda: float(number()),
    "int": lambda: int(number()),
    "complex": lambda: complex(number()),
    "item": lambda: number().item(),
    "tolist": lambda: vector().tolist(),
    "numpy": lambda: vector().numpy(),
    "asarray": lambda: numpy.asarray(vector()),
    "format": lambda: f"{number():.4f}",
    "format_empty": lambda: f"{number()}",
    "index": lambda: [1, 2, 3][mpctensor.encrypt(torch.tensor(1))],
    "range": lambda: range(mpctensor.encrypt(torch.tensor(1))),
    "dlpack": lambda: vector().__dlpack__(),
    "from_dlpack": lambda: torch.from_dlpack(vector()),
    "numpy_from_dlpack": lambda: numpy.from_dlpack(vector()),
    "nonzero": lambda: vector().nonzero(),
    "argwhere": lambda: torch.argwhere(vector()),
    "where_one": lambda: torch.where(vector() > 0),
    "mask": lambda: vector()[vector() > 0],
    "masked_select": lambda: vector().masked_select(vector() > 0),
    "unique": lambda: vector().unique(),
    "unique_consecutive": lambda: torch.unique_consecutive(vector()),
    "histc": lambda: torch.histc(vector(), 4),
    "bincount": lambda: mpctensor.encrypt(torch.tensor([1, 2])).bincount(),
    "equal": lambda: torch.equal(vector(), vector()),
    "allclose": lambda: torch.allclose(vector(), vector()),
    "in": lambda: 1.0 in vector(),
    "is_nonzero": lambda: number().is_nonzero(),
    "any_if": lambda: bool((vector() > 0).any()),
    "bernoulli": lambda: torch.bernoulli(vector() / 4),
    "multinomial": lambda: torch.multinomial(vector(), 1),
    "data_ptr": lambda: vector().data_ptr(),
    "storage": lambda: vector().untyped_storage(),
    "another_process": lambda: ForkingPickler.dumps(vector()),
    "as_tensor_list": lambda: torch.tensor([number(), number()]),
    "math": lambda: max(vector()),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", READS)
def test_reading(name, mode):
    with MODES[mode](), pytest.raises(SecretLeakError) as caught:
        READS[name]()
    assert any(
        word in str(caught.value)
        for word in ("decrypt", "where", "sum", "multiply", "stays secret")
    )


def test_there_is_no_memory_to_read():
    with pytest.raises(RuntimeError, match="data pointer"):
        torch.utils.dlpack.to_dlpack(vector())
    assert isinstance(torch.tensor(vector()), mpctensor.SharedTensor)


def assign(plain, secret):
    plain[0] = secret[0]


WRITES = {
    "setitem": assign,
    "copy_": lambda plain, secret: plain.copy_(secret),
    "add_": lambda plain, secret: plain.add_(secret),
    "iadd": lambda plain, secret: plain.__iadd__(secret),
    "out": lambda plain, secret: torch.add(secret, 1, out=plain),
    "out_of_plain_base": lambda plain, secret: torch.mul(plain, secret, out=plain),
    "where_out": lambda plain, secret: torch.where(secret > 0, secret, secret, out=plain),
    "lerp_": lambda plain, secret: plain.lerp_(secret, 0.5),
    "addcmul_": lambda plain, secret: plain.addcmul_(secret, secret),
    "index_put_": lambda plain, secret: plain.index_put_((torch.tensor([0]),), secret[0]),
    "masked_fill_": lambda plain, secret: plain.masked_fill_(secret > 0, 1.0),
    "scatter_": lambda plain, secret: plain.scatter_(0, torch.tensor([0]), secret[:1]),
    "foreach": lambda plain, secret: torch._foreach_add_([plain], [secret]),
    "cat_out": lambda plain, secret: torch.cat([secret[:1], secret[1:]], out=plain),
    "fill_": lambda plain, secret: plain.fill_(secret[0]),
    "view": lambda plain, secret: plain.view(3).copy_(secret),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WRITES)
def test_writing_into_plain_memory(name, mode):
    plain, secret = torch.zeros(3), vector()
    with MODES[mode](), pytest.raises(SecretLeakError, match="encrypt"):
        WRITES[name](plain, secret)
    assert torch.equal(plain, torch.zeros(3))


def test_a_plain_leaf_takes_no_secret_gradient():
    leaf = torch.ones(3, requires_grad=True)
    layer = nn.Linear(3, 1)
    for fn in (
        lambda: leaf * vector(),
        lambda: layer(vector()),
        lambda: torch.stack([leaf, vector()]),
    ):
        out = fn().sum()
        with pytest.raises(SecretLeakError, match="encrypt"):
            out.backward()
    assert leaf.grad is None and layer.weight.grad is None
    with torch.no_grad():
        layer(vector())


def test_data_is_an_alias_or_refused():
    x, y = vector(), mpctensor.encrypt(torch.tensor([5.0, 6.0, 7.0]))
    x.data = y
    assert torch.equal(x.decrypt(), torch.tensor([5.0, 6.0, 7.0]))
    y.zero_()
    assert torch.equal(x.decrypt(), torch.zeros(3))
    with pytest.raises(SecretLeakError, match="encrypt"):
        x.data = torch.ones(3)
    x.data.add_(1)
    assert torch.equal(x.decrypt(), torch.ones(3))
    w = mpctensor.encrypt(nn.Parameter(torch.ones(3)))
    w.data.mul_(2)
    w.data = w.data * 2
    assert torch.equal(w.detach().decrypt(), torch.full((3,), 4.0)) and w.requires_grad


@pytest.mark.parametrize("mode", MODES)
def test_unsupported_operations_name_the_users_op(mode):
    cases = {
        "erfinv": lambda x: torch.erfinv(x),
        "lgamma": lambda x: torch.lgamma(x),
        "fft_fft": lambda x: torch.fft.fft(x),
    }
    for name, fn in cases.items():
        with MODES[mode](), pytest.raises(UnsupportedOperationError) as caught:
            fn(vector())
        assert f"`{name}`" in str(caught.value) and ":" in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_the_nearest_operation_is_named(mode):
    with MODES[mode](), pytest.raises(UnsupportedOperationError, match="in name is `softmax`"):
        raise UnsupportedOperationError(unsupported("softmaxx", torch.ops.aten.lgamma.default))
    with MODES[mode](), pytest.raises(UnsupportedOperationError) as caught:
        vector().lgamma()
    assert str(caught.value).startswith("`lgamma` has no meaning on secret shares yet: ")
    assert "supported" in str(caught.value)


def test_a_supported_operation_below_autograd_is_not_said_to_be_unknown():
    x = vector().requires_grad_()
    with pytest.raises(UnsupportedOperationError) as caught:
        torch.ops.aten.cumprod(x, 0).sum().backward()
    said = str(caught.value)
    assert said.startswith("`max` is supported, but not as it is reached here, as `aten.max.")
    assert "nearest" not in said and "decrypt()" in said


def place(number):
    return mpctensor.encrypt(torch.tensor(number))


def rows():
    return mpctensor.encrypt(torch.ones(4, 4))


def assign_at(index):
    rows()[index] = 1.0


PUBLIC = {  # what torch needs to know: the words that name it, and a way out
    "slice": (lambda: rows()[: place(2)], "a size, position"),
    "range": (lambda: torch.arange(place(2)), "a size, position"),
    "size": (lambda: torch.zeros(place(2)), "a size, position"),
    "reshape": (lambda: rows().reshape(place(2), 8), "`reshape`.*a size"),
    "repeat": (lambda: rows().repeat(place(2), 1), "`repeat`.*a size"),
    "narrow": (lambda: rows().narrow(0, place(1), 1), "`narrow`.*position"),
    "select": (lambda: rows().select(0, place(1)), "`select`.*position"),
    "repeat_interleave": (
        lambda: torch.repeat_interleave(rows(), place([1, 2, 1, 1]), dim=0),
        "`repeat_interleave`.*shape depends.*torch.where",
    ),
    "scatter": (
        lambda: rows().scatter(1, place([[0]] * 4), 1.0),
        "`index` is secret.*one-hot",
    ),
    "index_add": (
        lambda: rows().index_add(0, place([0, 1, 2, 3]), torch.ones(4, 4)),
        "`index` is secret.*one-hot",
    ),
    "index_put": (lambda: assign_at(place([0, 1])), "`index` is secret.*one-hot"),
    "plain scatter_": (
        lambda: torch.ones(4).scatter_(0, place([1]), 1.0),
        "`scatter_`: `index` is secret.*torch.where",
    ),
    "plain index_put": (
        lambda: torch.ones(4).__setitem__(place([1]), 1.0),
        "`indices` is secret.*torch.where",
    ),
    "mask": (lambda: rows()[rows() > 0], "`mask` is secret.*torch.where"),
    "plain by a mask": (lambda: torch.ones(4, 4)[rows() > 0], "`mask` is secret.*torch.where"),
    "write by a mask": (
        lambda: rows().__setitem__(rows() > 0, torch.ones(3)),
        "`mask` is secret.*torch.where",
    ),
    "and": (lambda: (number() > 0) and (number() < 2), "`bool`.*torch.where"),
    "not": (lambda: not number() > 0, "`bool`.*torch.where"),
    "while": (lambda: [None for _ in iter(lambda: bool(number() > 0), False)], "torch.where"),
    "assert": (lambda: torch._assert(number() > 0, "positive"), "condition.*torch.where"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PUBLIC)
def test_where_torch_needs_a_public_value(name, mode):
    call, words = PUBLIC[name]
    with MODES[mode](), pytest.raises(SecretLeakError, match=words):
        call()


ELSEWHERE = {
    "complex": (lambda: vector().to(torch.complex64), "complex64"),
    "complex of a module": (
        lambda: mpctensor.encrypt(nn.Linear(2, 2)).to(torch.complex64),
        "complex",
    ),
    "complex data": (lambda: mpctensor.encrypt(torch.ones(2) * 1j), "real and imaginary"),
    "sparse": (lambda: vector().to_sparse(), "sparse"),
    "meta": (lambda: vector().to("meta"), "CPU"),
    "to cuda": (lambda: vector().to("cuda"), "CPU"),
    "to cuda:1": (lambda: vector().to(torch.device("cuda", 1)), "CPU"),
    "device=": (lambda: vector().to(device="mps", dtype=torch.float64), "CPU"),
    "cuda": (lambda: vector().cuda(), "CPU"),
    "module": (lambda: mpctensor.encrypt(nn.Linear(2, 2)).cuda(), "CPU"),
    "module.to": (lambda: mpctensor.encrypt(nn.Linear(2, 2)).to("cuda:0"), "CPU"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_unsupported_dtypes_and_devices(name):
    call, words = ELSEWHERE[name]
    with pytest.raises(MPCError, match=words):
        call()


def test_the_cpu_is_where_they_are():
    x = vector()
    model = mpctensor.encrypt(nn.Linear(3, 2))
    assert x.to("cpu") is x and x.cpu() is x and x.to(torch.device("cpu"), torch.float32) is x
    assert x.to(torch.float64).dtype == x.to(torch.ones(1).double()).dtype == torch.float64
    assert model.cpu() is model and model.to("cpu", torch.float64).weight.dtype == torch.float64
    assert torch.equal(x.to("cpu", copy=True).decrypt(), x.decrypt())


MEMORY = {
    "share_memory_": lambda: vector().share_memory_(),
    "module.share_memory": lambda: mpctensor.encrypt(nn.Linear(2, 2)).share_memory(),
    "storage": lambda: vector().storage(),
    "resize_": lambda: vector().resize_(5),
    "pin_memory": lambda: vector().pin_memory(),
}


@pytest.mark.parametrize("name", MEMORY)
def test_there_is_no_memory_to_take(name):
    with pytest.raises(SecretLeakError, match="no plain memory"):
        MEMORY[name]()
    with pytest.raises(TypeError, match=r"got SharedTensor"):
        torch.from_numpy(vector())


def test_in_place_on_leafs_is_refused_as_by_torch():
    for write in (lambda x: x.add_(1), lambda x: x[0].add_(1), lambda x: x.view(-1).zero_()):
        messages = []
        for leaf in (torch.ones(3, requires_grad=True), vector().requires_grad_()):
            with pytest.raises(RuntimeError) as caught:
                write(leaf)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    leaf = vector().requires_grad_()
    with torch.no_grad():
        leaf[0].fill_(5)
    assert leaf.detach().decrypt().tolist() == [5.0, 2.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    """The dtype is torch's, the digits are the shares'."""
    plain, x = nn.Linear(3, 2), torch.tensor([[1.0, 2.0, 0.0]])
    secret, hidden = mpctensor.encrypt(copy.deepcopy(plain)), mpctensor.encrypt(x)
    with torch.autocast("cpu", dtype=dtype):
        expected, got = plain(x), secret(hidden)
    assert got.dtype == expected.dtype == dtype
    assert torch.allclose(got.detach().decrypt().float(), plain(x).detach(), atol=0.02)
    got.float().sum().backward()
    assert secret.weight.grad.dtype == torch.float32
    assert torch.allclose(secret.weight.grad.decrypt(), x.expand(2, 3), atol=1e-3)


def test_repr_shows_no_value():
    x = mpctensor.encrypt(torch.tensor([1.2345, 9.8765]).requires_grad_())
    text = repr(x)
    for part in (
        "shape=(2,)",
        "torch.float32",
        "16 fractional bits",
        "alice",
        "bob",
        "requires_grad",
    ):
        assert part in text
    assert "MulBackward" in repr(x * 2) and "MulBackward" in str(x * 2)
    assert "precision" not in repr(mpctensor.encrypt(torch.tensor([1])))
    assert not any(str(int(s.flatten()[0])) in text for s in x.shares)
    assert "1.23" not in text and "9.87" not in text
    assert "Parameter" in repr(mpctensor.encrypt(nn.Linear(2, 2)).weight)
    repr(mpctensor.encrypt(nn.Linear(2, 2)))
    loss = F.cross_entropy(mpctensor.encrypt(torch.ones(1, 2)), torch.tensor([0]))
    with mpctensor.cost() as cost:
        repr(loss)
    assert cost.rounds == 0


def test_copies():
    x = vector()
    twin = copy.deepcopy(x)
    twin.zero_()
    assert torch.equal(x.decrypt(), torch.tensor([1.0, 2.0, 0.0]))
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(x.requires_grad_() * 2)


def test_a_forked_or_closed_session_is_an_error_at_once():
    with mpctensor.init():
        x = vector()
    with pytest.raises(SessionError):
        x.add_(1)


def test_what_a_handler_above_autograd_lacks_names_the_function(monkeypatch):
    def lacking(*args, **kwargs):
        raise NotImplementedError("windows of no shape")

    monkeypatch.setitem(FRONT, F.max_pool2d, lacking)
    with pytest.raises(UnsupportedOperationError, match="`max_pool2d`: windows of no shape"):
        F.max_pool2d(mpctensor.encrypt(torch.zeros(1, 4, 4)), 2)


BACKWARDS = {
    "backward": lambda p, g: (p * 2).backward(g),
    "leaf itself": lambda p, g: p.backward(g),
    "expanded": lambda p, g: p.expand(2, 3).backward(torch.stack([g, g])),
    "with a graph": lambda p, g: (p * p).backward(g, create_graph=True),
    "a second one": lambda p, g: _into_a_gradient(p, g),
    "by a hook": lambda p, g: _by_hook(p, g),
}


def _into_a_gradient(p, g):
    p.grad = torch.zeros(3)
    (p * 2).backward(g)


def _by_hook(p, g):
    y = p * 2
    y.register_hook(lambda _: g)
    y.sum().backward()


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("way", BACKWARDS)
def test_a_plain_leaf_never_gets_a_secret_gradient(way):
    plain = torch.ones(3, requires_grad=True)
    with pytest.raises(SecretLeakError, match="encrypt"):
        BACKWARDS[way](plain, mpctensor.encrypt(torch.ones(3)))
    assert not isinstance(plain.grad, mpctensor.SharedTensor)


def test_anomaly_detection_works():
    with torch.autograd.detect_anomaly(check_nan=True):
        x = mpctensor.encrypt(torch.ones(3).requires_grad_())
        (x * 2).relu().sum().backward()
    assert x.grad.decrypt().tolist() == [2.0, 2.0, 2.0]
    with mpctensor.cost() as c:
        assert not x.isnan().any().decrypt() and x.isfinite().all().decrypt()
        assert not torch.isinf(x).decrypt().any()
    assert c.rounds == 0, "shares hold no NaN"


@pytest.mark.parametrize("mode", MODES)
def test_a_branch_may_ask_for_nan(mode):
    """The bit is public: shares hold no NaN. One that depends on a secret is none."""
    x = vector()
    with MODES[mode](), mpctensor.cost() as c:
        assert not torch.isnan(x).any() and torch.isfinite(x).all().item() is True
        assert not torch.logical_or(x.sum().isnan(), x.sum().isinf())
    assert c.rounds == 0
    with MODES[mode](), pytest.raises(SecretLeakError, match=r"torch\.where"):
        bool(torch.logical_or(x.sum().isnan(), x.sum() > 0))


def test_a_layer_that_resizes_names_another() -> None:
    with pytest.raises(SecretLeakError, match="LocalResponseNorm"):
        nn.CrossMapLRN2d(2)(mpctensor.encrypt(torch.ones(1, 3, 2, 2)))


def test_functions_of_python_see_no_element():
    x = mpctensor.encrypt(torch.ones(2))
    for call in (lambda: x.apply_(abs), lambda: x.map_(x, max)):
        with pytest.raises(SecretLeakError, match=r"function of Python.*decrypt"):
            call()
