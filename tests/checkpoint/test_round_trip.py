"""What is saved comes back: values to the last digit, kinds, aliases; and training goes on."""

import copy
import os
import pickle
from collections import OrderedDict, defaultdict, namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor as mpc
from mpctensor import SharedTensor
from mpctensor.tensor import unwrap, wrap
from tests.plaintext import ULP, on_grid
from tests.sharing import make_session, raw_of, share_raw

X = on_grid(3, 4)
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
DTYPES += [torch.bool]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt"


def again(obj, path):
    mpc.save(obj, path)
    return mpc.load(path)


def assert_same(got, expected):
    """The same kinds with the same ring elements, scales and flags."""
    if isinstance(expected, SharedTensor):
        one, other = unwrap(got), unwrap(expected)
        assert type(got) is type(expected) and torch.equal(raw_of(one), raw_of(other))
        facts = [(s.scale, s.unit, s.dtype, s.shape) for s in (one, other)]
        assert facts[0] == facts[1]
    elif isinstance(expected, torch.Tensor):
        assert type(got) is type(expected) and got.dtype == expected.dtype
        assert got.shape == expected.shape
        assert torch.equal(got.view(-1).view(torch.uint8), expected.reshape(-1).view(torch.uint8))
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert type(got) is type(expected) and len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    else:
        assert type(got) is type(expected) and repr(got) == repr(expected)
    if isinstance(expected, torch.Tensor):
        assert got.requires_grad == expected.requires_grad
        assert isinstance(got, nn.Parameter) == isinstance(expected, nn.Parameter)


# Values


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_encrypted_tensors(path, n, dtype):
    with mpc.init([f"p{i}" for i in range(n)]):
        x = mpc.encrypt((on_grid(3, 4) * 4).abs().to(dtype))
        got = again(x, path)
        assert_same(got, x)
        assert torch.equal(got.decrypt(), x.decrypt())


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7,), (1, 1, 1, 5)])
def test_shapes(path, shape):
    for x in (torch.ones(shape), mpc.encrypt(torch.ones(shape))):
        assert_same(again(x, path), x)


def test_views_are_saved_as_what_they_show(path):
    base = mpc.encrypt(on_grid(6, 8))
    plain = on_grid(6, 8)
    for take in (
        lambda t: t.t(),
        lambda t: t[1::2, ::3],
        lambda t: t[2],
        lambda t: t[:1].expand(6, 8),
        lambda t: t.unfold(1, 3, 2),
    ):
        got = again([take(base), take(plain)], path)
        assert torch.equal(got[0].decrypt(), take(base).decrypt())
        assert torch.equal(got[1], take(plain))


def test_scales_are_kept(path):
    with make_session() as session:
        for scale, unit in ((1, 1), (3 << 16, 1 << 16), (1 << 32, 1 << 16), (10**5, 1000)):
            x = wrap(share_raw(session, torch.tensor([1, -5, 1 << 40]), scale, unit))
            assert_same(again(x, path), x)
        product = mpc.encrypt(on_grid(3)) * mpc.encrypt(on_grid(3))
        assert unwrap(product).scale == 1 << 32
        assert_same(again(product, path), product)


def test_another_sessions_precision(path):
    with mpc.init(precision=20):
        mpc.save(mpc.encrypt(torch.tensor([1 / 3])), path)
    with mpc.init(precision=10):
        got = mpc.load(path)
        assert abs(got.decrypt() - 1 / 3) < 2**-19
        assert abs((got * 3).decrypt() - 1) < 2**-17


def test_plain_tensors(path):
    tensors = [
        torch.tensor([1.5, float("nan"), float("inf")]),
        torch.tensor([1 + 2j]).conj(),
        torch.arange(6).view(2, 3).t(),
        torch.tensor([True, False]),
        torch.tensor([2**64 - 1], dtype=torch.uint64),
        nn.Parameter(torch.ones(2), requires_grad=False),
        nn.Parameter(torch.ones(2)),
        torch.ones(3, dtype=torch.bfloat16, requires_grad=True),
    ]
    got = again(tensors, path)
    for one, other in zip(got, tensors, strict=True):
        assert_same(one, other.resolve_conj() if other.is_complex() else other)
    tensors[2].zero_()
    assert got[2].any()  # a copy


def test_large(path):
    x, y = mpc.encrypt(torch.randn(1 << 19)), torch.randn(1 << 20)
    assert_same(again((x, y), path), (x, y))


def test_nests(path):
    nest = {
        "none": None,
        "numbers": [0, -3, 1 << 200, 1.5, -0.0, 1e-300, float("inf"), True, False],
        "words": ("", "ü\n\0", "\ud800", b"\0\xff"),
        "kinds": (torch.float32, torch.bool),
        7: {-1: [], 0: ({}, ())},
        "tensor": {"tensor": 3},
        "x": mpc.encrypt(torch.ones(2)),
    }
    assert_same(again(nest, path), nest)
    assert repr(again(float("nan"), path)) == "nan"
    assert again(torch.Size([2, 3]), path) == (2, 3)


def test_flags(path):
    leaf = mpc.encrypt(torch.ones(2, requires_grad=True))
    parameter = mpc.encrypt(nn.Parameter(torch.ones(2)))
    frozen = mpc.encrypt(nn.Parameter(torch.ones(2), requires_grad=False))
    nest = [leaf, parameter, frozen, mpc.encrypt(torch.ones(2))]
    got = again(nest, path)
    assert_same(got, nest)
    assert all(x.is_leaf for x in got)
    assert not again(leaf * 2, path).requires_grad  # detached
    with torch.inference_mode():
        assert mpc.load(path).add_(1).shape == (2,)


def test_aliases(path):
    x, y = mpc.encrypt(torch.ones(3)), torch.ones(3)
    got = again({"a": x, "b": [x], "c": x.detach(), "d": y, "e": y, "f": y.detach()}, path)
    assert got["a"] is got["b"][0] and got["d"] is got["e"]
    got["a"].zero_()
    got["d"].zero_()
    assert not got["c"].decrypt().any() and not got["f"].any()
    assert x.decrypt().all()


def test_tied_weights_are_kept_once(path):
    model = nn.Linear(64, 64, bias=False)
    tied = nn.Sequential(model, nn.Linear(64, 64, bias=False))
    mpc.save(mpc.encrypt(copy.deepcopy(model)), path)
    once = path.stat().st_size
    tied[1].weight = model.weight
    got = again(mpc.encrypt(tied), path)
    assert path.stat().st_size < 1.1 * once
    got["0.weight"].zero_()
    assert not got["1.weight"].decrypt().any()


def test_state_dicts_keep_their_versions(path):
    model = mpc.encrypt(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    got = again({"model": model}, path)["model"]
    assert type(got) is OrderedDict and got._metadata == model.state_dict()._metadata
    assert_same(got, model.state_dict())


def test_loaded_shares_take_masks_of_their_own(path):
    x = mpc.encrypt(torch.ones(3))
    (x * x).decrypt()
    assert unwrap(x).facts.mask is not None
    facts = unwrap(again(x, path)).facts
    assert (facts.mask, facts.opened, facts.known, facts.public) == (None, None, False, None)


def test_files(path, monkeypatch):
    folder = path.parent
    x = mpc.encrypt(torch.ones(3))
    monkeypatch.chdir(folder)
    mpc.save(x, "run.ckpt")
    assert os.listdir(folder) == ["run.ckpt"]
    mpc.save(x, str(path))
    assert sorted(os.listdir(folder)) == ["run.ckpt", "run.ckpt.previous"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    assert mpc.load(folder / "run.ckpt.previous").shape == (3,)


def test_pickle_is_not_used(path, monkeypatch):
    model = net()
    nest = {"model": model, "optimizer": OPTIMIZERS["adam"](model.parameters()), "x": [X, {}]}

    def refuse(*_args, **_kwargs):
        raise AssertionError("pickle was used")

    with monkeypatch.context() as patched:
        for name in ("load", "loads", "dump", "dumps", "Pickler", "Unpickler"):
            patched.setattr(pickle, name, refuse)
        patched.setattr(torch, "save", refuse)
        patched.setattr(torch, "load", refuse)
        again(nest, path)


def test_cost(path):
    with mpc.cost() as c:
        mpc.save(mpc.encrypt(torch.ones(3)), path)
    assert c.rounds == 2 and c.bytes_sent < 200
    with mpc.cost() as c:
        mpc.load(path)
    assert c.rounds == 1 and c.bytes_sent < 100 and c.ops[0].name == "load"


# What cannot be saved


@pytest.mark.parametrize(
    "thing, name",
    [
        ({1, 2}, "set"),
        (object(), "object"),
        (len, "builtin_function_or_method"),
        (defaultdict(list), "collections.defaultdict"),
        (namedtuple("Pair", "x y")(1, 2), "Pair"),
        (3 + 4j, "complex"),
        (torch.ones(2).to_sparse(), "sparse"),
        (torch.ones(2, device="meta"), "meta"),
        (nn.UninitializedParameter(), "Uninitialized"),
        (torch.Generator(), "Generator"),
    ],
)
def test_other_types(path, thing, name):
    with pytest.raises(TypeError, match=name) as caught:
        mpc.save({"model": [1, {"x": thing}]}, path)
    assert '`obj["model"][1]["x"]`' in str(caught.value).replace("'", '"')
    assert not path.exists()


def test_other_keys(path):
    for key in (None, 1.5, True, (1, 2)):
        with pytest.raises(TypeError, match=r"`obj\['a'\]` has the key"):
            mpc.save({"a": {key: 1}}, path)


def test_a_nest_in_itself(path):
    nest = []
    nest.append(nest)
    with pytest.raises(TypeError, match="contains itself"):
        mpc.save(nest, path)


def test_tensors_of_another_session(path):
    with mpc.init(("c", "d"), "e"):
        x = mpc.encrypt(torch.ones(2))
        with mpc.init(("a", "b")), pytest.raises(mpc.SessionError, match="c, d"):
            mpc.save({"x": x}, path)


def test_closed_session(path):
    with mpc.init() as session:
        x = mpc.encrypt(torch.ones(2))
        mpc.save(x, path)
    with pytest.raises(mpc.SessionError, match="closed"):
        session.check_open()
    with mpc.init():
        assert torch.equal(mpc.load(path).decrypt(), torch.ones(2))


# Training


def plain_net():
    torch.manual_seed(3)
    first = nn.Linear(4, 6, bias=False)  # a bias before a norm has no gradient, only its noise
    return nn.Sequential(first, nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))


def net():
    return mpc.encrypt(plain_net())


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02),
    # Where gradients are a few ulp, its steps are noise of the size of the rate.
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.0005, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
}


def train(model, optimizer, steps):
    x, y = mpc.encrypt(on_grid(8, 4)), mpc.encrypt(on_grid(8, 1, seed=1))
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(path, name):
    with mpc.init(seed=1):
        model = net()
        optimizer = OPTIMIZERS[name](model.parameters())
        train(model, optimizer, 4)
        mpc.save({"model": model, "optimizer": optimizer, "epoch": 4}, path)
        saved = copy.deepcopy(optimizer.state_dict())
        weights = copy.deepcopy(model.state_dict())
        train(model, optimizer, 4)
        expected = mpc.decrypt(dict(model.state_dict()))
    with mpc.init(seed=2):
        model = net()
        optimizer = OPTIMIZERS[name](model.parameters())
        state = mpc.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        assert_same(model.state_dict(), weights)  # not a digit is lost on the way
        assert_same(optimizer.state_dict(), saved)
        train(model, optimizer, 4)
        got = mpc.decrypt(dict(model.state_dict()))
    for key, value in expected.items():
        assert torch.allclose(got[key].float(), value.float(), atol=64 * ULP), key


def test_other_ways_to_load_a_state(path):
    state = again(net(), path)
    plain = plain_net()
    with pytest.raises(RuntimeError, match="encrypt"):
        plain.load_state_dict(state)
    plain.load_state_dict(mpc.decrypt(dict(state)))
    twin = net()
    twin.load_state_dict(state, assign=True)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
    assert_same(twin.state_dict(), mpc.load(path))


def test_schedulers(path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    train(model, optimizer, 1)
    scheduler.step()
    state = again({"optimizer": optimizer, "scheduler": scheduler.state_dict()}, path)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    assert scheduler.get_last_lr() == state["scheduler"]["_last_lr"]
