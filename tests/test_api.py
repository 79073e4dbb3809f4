"""encrypt and decrypt: tensors, modules in place, optimizers, nests; what must be refused."""

import copy
from collections import OrderedDict, namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import (
    EncodingError,
    SecretLeakError,
    SessionError,
    SharedTensor,
    UnsupportedOperationError,
)
from tests.plaintext import ULP, assert_close, on_grid

X = on_grid(3, 4)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 4, bias=False)
        self.out = nn.Linear(4, 4)
        self.out.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("positions", torch.arange(4))
        self.register_buffer("mask", torch.ones(4, dtype=torch.bool))
        self.register_buffer("gain", torch.full((4,), 0.5))

    def forward(self, x):
        return self.out(self.norm(self.embed(x))) * self.gain


# Tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats(dtype):
    x = on_grid(3, 4).to(dtype)
    shared = mpctensor.encrypt(x)
    assert isinstance(shared, SharedTensor) and isinstance(shared, torch.Tensor)
    assert shared.shape == x.shape and shared.dtype == dtype and not shared.requires_grad
    assert_close(shared.decrypt(), x, 1)
    assert_close(mpctensor.decrypt(shared), x, 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_integers_and_bools(dtype):
    x = torch.tensor([0, 1, 1, 0]).to(dtype)
    assert torch.equal(mpctensor.encrypt(x).decrypt(), x)


def test_shapes():
    for x in (torch.tensor(1.5), torch.zeros(0, 3), X.t(), X[:, ::2], X[:1].expand(3, 4)):
        assert torch.equal(mpctensor.encrypt(x).decrypt(), x)


def test_requires_grad_is_kept():
    assert mpctensor.encrypt(X.clone().requires_grad_()).requires_grad
    parameter = mpctensor.encrypt(nn.Parameter(X.clone()))
    assert isinstance(parameter, nn.Parameter) and parameter.requires_grad and parameter.is_leaf


def test_encrypting_twice_changes_nothing():
    x = mpctensor.encrypt(X)
    assert mpctensor.encrypt(x) is x
    assert mpctensor.decrypt(X) is X


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2.0**47])
def test_values_that_do_not_fit(value):
    with pytest.raises(EncodingError, match=r"2\*\*46"):
        mpctensor.encrypt(torch.tensor([1.0, value]))


def test_precision():
    x = torch.tensor([1 / 3])
    assert abs(mpctensor.encrypt(x, precision=20).decrypt() - x) < 2**-20
    assert abs(mpctensor.encrypt(x, precision=4).decrypt() - x) > 2**-8
    assert abs(mpctensor.encrypt(x, precision=3, base=10).decrypt() - 0.333).item() < 1e-6
    for bad in (-1, 60, 1.5):
        with pytest.raises(SessionError, match="precision"):
            mpctensor.encrypt(x, precision=bad)
    with pytest.raises(SessionError, match="base"):
        mpctensor.encrypt(x, precision=2, base=3)


def test_dtype():
    assert mpctensor.encrypt(torch.tensor([1, 2]), dtype=torch.float32).dtype == torch.float32


def test_a_graph_is_not_cut_silently():
    y = X.clone().requires_grad_() * 2
    with pytest.raises(SecretLeakError, match="detach"):
        mpctensor.encrypt(y)
    mpctensor.encrypt(y.detach())
    with torch.no_grad():
        mpctensor.encrypt(y)


def test_source_and_destination():
    x = mpctensor.encrypt(X, src="bob")
    assert torch.equal(x.decrypt(dst="alice"), X)
    assert torch.equal(mpctensor.decrypt(x, dst=["alice", "bob"]), X)
    for call in (lambda: mpctensor.encrypt(X, src="eve"), lambda: x.decrypt(dst="eve")):
        with pytest.raises(SessionError, match="eve"):
            call()
    with pytest.raises(SessionError, match="has to pass the values"):
        mpctensor.encrypt(None, src="alice", shape=(2, 2))


@pytest.mark.parametrize("value", ["text", 3.5, object(), {1, 2}])
def test_what_cannot_be_encrypted(value):
    with pytest.raises(TypeError, match="cannot encrypt"):
        mpctensor.encrypt(value)


@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.complex64), torch.ones(2).to_sparse()])
def test_layouts_that_cannot_be_encrypted(value):
    with pytest.raises(EncodingError):
        mpctensor.encrypt(value)


def test_nests():
    Pair = namedtuple("Pair", ["x", "y"])
    nest = {"a": X, "b": [X, (X, None)], "c": Pair(X, X), "d": OrderedDict(e=X)}
    shared = mpctensor.encrypt(nest)
    assert isinstance(shared["a"], SharedTensor) and isinstance(shared["c"], Pair)
    assert isinstance(shared["d"], OrderedDict) and shared["b"][1][1] is None
    plain = mpctensor.decrypt(shared)
    assert torch.equal(plain["b"][1][0], X) and torch.equal(plain["c"].y, X)


# Modules


def test_module_in_place():
    model = Tied()
    shadow = copy.deepcopy(model)
    before = dict(model.named_parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert mpctensor.encrypt(model) is model
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert all(
        isinstance(p, SharedTensor) and isinstance(p, nn.Parameter) for p in model.parameters()
    )
    assert model.out.weight is model.embed.weight
    assert optimizer.param_groups[0]["params"][0] is model.embed.weight
    assert isinstance(model.gain, SharedTensor)
    for public in (model.positions, model.mask, model.norm.num_batches_tracked):
        assert not isinstance(public, SharedTensor)
    x = mpctensor.encrypt(X)
    assert_close(model.eval()(x).detach().decrypt(), shadow.eval()(X).detach(), 32)
    assert mpctensor.decrypt(model) is model
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())
    for one, other in zip(model.state_dict().values(), shadow.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=ULP)


def test_frozen_parameters_stay_frozen():
    model = nn.Linear(4, 2)
    model.bias.requires_grad_(False)
    mpctensor.encrypt(model)
    assert model.weight.requires_grad and not model.bias.requires_grad


def test_gradients_and_hooks_are_carried_over():
    model = nn.Linear(4, 2)
    seen = []
    handle = model.weight.register_hook(lambda g: seen.append(g))
    model.bias.register_post_accumulate_grad_hook(lambda p: seen.append(p))
    model(X).sum().backward()
    seen.clear()
    expected = model.weight.grad.clone()
    mpctensor.encrypt(model)
    assert_close(model.weight.grad.decrypt(), expected, 1)
    model(mpctensor.encrypt(X)).sum().backward()
    assert len(seen) == 2
    assert_close(model.weight.grad.decrypt(), 2 * expected, 8)
    handle.remove()
    seen.clear()
    model(mpctensor.encrypt(X)).sum().backward()
    assert len(seen) == 1
    mpctensor.decrypt(model)
    assert not isinstance(model.weight.grad, SharedTensor)


def test_nothing_is_swapped_where_a_value_does_not_fit():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad():
        model[1].bias[0] = float("nan")
    with pytest.raises(EncodingError):
        mpctensor.encrypt(model)
    assert not any(isinstance(p, SharedTensor) for p in model.parameters())
    model(X)


def test_a_graph_that_holds_a_parameter_is_named():
    model = nn.Conv1d(1, 2, 3)
    loss = model(X.view(3, 1, 4)).sum()
    with pytest.raises(UnsupportedOperationError, match="weight"):
        mpctensor.encrypt(model)
    assert not isinstance(model.bias, SharedTensor)
    del loss
    mpctensor.encrypt(model)


def test_an_old_graph_cannot_run_into_new_parameters():
    model = nn.Linear(4, 2)
    loss = model(X).sum()
    mpctensor.encrypt(model)
    with pytest.raises(RuntimeError):
        loss.backward()
    assert model.weight.grad is None


def test_lazy_modules_are_refused():
    with pytest.raises(UnsupportedOperationError, match="lazy"):
        mpctensor.encrypt(nn.LazyLinear(3))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_modules_swap_and_come_back(kind):
    model = kind(4, 3)
    shadow = copy.deepcopy(model)
    mpctensor.encrypt(model)
    assert all(isinstance(w, SharedTensor) for w in model._flat_weights)
    assert all(a is b for a, b in zip(model._flat_weights, model.parameters(), strict=True))
    mpctensor.decrypt(model)
    x = X.unsqueeze(0)
    assert torch.allclose(model(x)[0], shadow(x)[0], atol=1e-3)


def test_deepcopy_and_state_dict():
    model = mpctensor.encrypt(Tied()).eval()
    x = mpctensor.encrypt(X)
    expected = model(x).detach().decrypt()
    twin = copy.deepcopy(model)
    assert twin.out.weight is twin.embed.weight and twin.embed.weight is not model.embed.weight
    assert isinstance(twin.embed.weight, nn.Parameter) and twin.embed.weight.requires_grad
    assert_close(twin(x).detach().decrypt(), expected, 16)
    with torch.no_grad():
        twin.embed.weight.zero_()
    assert_close(model(x).detach().decrypt(), expected, 16)
    twin.load_state_dict(model.state_dict())
    assert_close(twin(x).detach().decrypt(), expected, 16)
    twin.load_state_dict(model.state_dict(), assign=True)
    assert_close(twin(x).detach().decrypt(), expected, 16)
    twin.load_state_dict(mpctensor.encrypt(mpctensor.decrypt(model.state_dict())))
    assert_close(twin(x).detach().decrypt(), expected, 16)


def test_a_plain_state_does_not_load_into_an_encrypted_module():
    """All or nothing, at every level of the module; once decrypted it takes plain states again."""
    plain = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    model = mpctensor.encrypt(copy.deepcopy(plain))
    before = mpctensor.decrypt(model.state_dict())
    state = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    state = state.state_dict()
    half = {**mpctensor.encrypt(state), "1.0.bias": state["1.0.bias"]}
    for bad, name in ((state, "0.weight"), (half, "1.0.bias")):
        for target in (model, copy.deepcopy(model)):
            with pytest.raises(SecretLeakError, match=rf"`{name}`.*before mpctensor.encrypt"):
                target.load_state_dict(bad)
            for key, value in mpctensor.decrypt(target.state_dict()).items():
                assert torch.equal(value, before[key])
    with pytest.raises(SecretLeakError, match="`bias`"):
        model[1][0].load_state_dict({"weight": model[1][0].weight, "bias": torch.zeros(4)})
    with pytest.raises(SecretLeakError, match=r"`0\.weight`"):
        model.load_state_dict(state, assign=True)
    mpctensor.decrypt(model)
    model.load_state_dict(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._load_state_dict_pre_hooks for module in model.modules())


def test_secrets_do_not_load_into_a_plain_module():
    with pytest.raises(RuntimeError, match="encrypt"):
        nn.Linear(4, 2).load_state_dict(mpctensor.encrypt(nn.Linear(4, 2)).state_dict())


def test_optimizer_state():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(X).sum().backward()
    optimizer.step()
    shadow, other = copy.deepcopy(model), None
    other = torch.optim.Adam(shadow.parameters(), lr=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    mpctensor.encrypt(model)
    optimizer.zero_grad()
    model(mpctensor.encrypt(X)).sum().backward()
    assert mpctensor.encrypt(optimizer) is optimizer
    state = optimizer.state[model.weight]
    assert isinstance(state["exp_avg"], SharedTensor) and not isinstance(
        state["step"], SharedTensor
    )
    other.zero_grad()
    shadow(X).sum().backward()
    optimizer.step()
    other.step()
    assert torch.allclose(model.weight.detach().decrypt(), shadow.weight, atol=2e-3)
    mpctensor.decrypt(optimizer)
    assert not isinstance(state["exp_avg"], SharedTensor)


def test_a_stale_plain_momentum_buffer_takes_no_secrets():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(X).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    mpctensor.encrypt(model)
    model(mpctensor.encrypt(X)).sum().backward()
    with pytest.raises(SecretLeakError, match="optimizer"):
        optimizer.step()


def test_parametrized_and_functional():
    model = mpctensor.encrypt(nn.Linear(4, 2))
    halves = {name: p * 0.5 for name, p in model.named_parameters()}
    out = torch.func.functional_call(model, halves, (mpctensor.encrypt(X),))
    assert_close((out * 2).detach().decrypt(), model(mpctensor.encrypt(X)).detach().decrypt(), 16)


def test_data_loader():
    dataset = torch.utils.data.TensorDataset(mpctensor.encrypt(X), mpctensor.encrypt(X[:, :1]))
    seen = torch.cat([x.decrypt() for x, _ in torch.utils.data.DataLoader(dataset, batch_size=2)])
    assert torch.equal(seen, X)


# Sessions


def test_closed_session():
    with mpctensor.init():
        x = mpctensor.encrypt(X)
    for call in (x.decrypt, lambda: x + 1, lambda: x.view(-1), lambda: F.relu(x)):
        with pytest.raises(SessionError, match="closed"):
            call()


def test_two_sessions_do_not_mix():
    with mpctensor.init(("a", "b"), "p"):
        x = mpctensor.encrypt(X)
        with mpctensor.init(("c", "d"), "q"):
            y = mpctensor.encrypt(X)
            for fn in (torch.add, torch.mul, torch.maximum, lambda a, b: torch.cat([a, b])):
                with pytest.raises(SessionError, match="two sessions"):
                    fn(x, y)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_any_number_of_parties(n):
    with mpctensor.init([f"p{i}" for i in range(n)]):
        model = mpctensor.encrypt(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)))
        x = mpctensor.encrypt(X)
        assert len(x.shares) == n and all(s.dtype == torch.int64 for s in x.shares)
        model(x).square().mean().backward()
        shadow = copy.deepcopy(model)
        mpctensor.decrypt(shadow)
        shadow.zero_grad()
        shadow(X).square().mean().backward()
        assert torch.allclose(model[0].weight.grad.decrypt(), shadow[0].weight.grad, atol=16 * ULP)


def test_party_is_none_when_simulated():
    assert mpctensor.party() is None


def test_shares_are_copies():
    x = mpctensor.encrypt(X)
    for share in x.shares:
        share.zero_()
    assert torch.equal(x.decrypt(), X)


def test_shares_do_not_follow_torchs_seed():
    torch.manual_seed(1)
    one = mpctensor.encrypt(X).shares[0]
    torch.manual_seed(1)
    assert not torch.equal(one, mpctensor.encrypt(X).shares[0])


# Decimal digits


def test_decimals_are_cut_toward_zero_and_shown_on_their_grid():
    x = torch.tensor([1.2345678, -1.9999, 0.29, -0.0009])
    shared = mpctensor.encrypt(x, base=10, precision=3)
    assert_close(shared.decrypt(), torch.tensor([1.234, -1.999, 0.29, 0.0]), 0.01)
    assert_close((shared / 7).decrypt(), torch.tensor([0.176, -0.286, 0.041, 0.0]), 0.01)
    assert "precision=3 fractional digits" in repr(shared)


def test_decimals_are_carried_with_guard_digits():
    x = mpctensor.encrypt(torch.full((1,), 1.0), base=10, precision=2)
    thirds = x / 3 * x  # a product truncates its operands
    assert_close((thirds * 3).decrypt(), torch.ones(1), 0.01)


def test_default_digits():
    assert mpctensor.encrypt(X, base=10)._share.unit == 10**5
    with mpctensor.init(base=10, precision=4):
        for x in (mpctensor.encrypt(X), mpctensor.encrypt(X, base=10)):
            assert x._share.unit == 10**6 and "4 fractional digits" in repr(x)
        assert mpctensor.encrypt(X, precision=8)._share.unit == 2**8
    with mpctensor.init(base=10):
        assert mpctensor.encrypt(X)._share.unit == 10**5


@pytest.mark.parametrize("options", [{"base": 7}, {"base": 10, "precision": 6}, {"base": "2"}])
def test_bases_that_do_not_exist_and_digits_that_do_not_fit(options):
    with pytest.raises(SessionError, match="base"):
        mpctensor.encrypt(X, **options)


def test_learning_in_decimals():
    """Twenty steps end within a few points of the grid of plaintext training."""
    x, y = on_grid(4, 2), on_grid(4, 1, seed=1)
    plain = nn.Linear(2, 1)
    model = mpctensor.encrypt(copy.deepcopy(plain), base=10)
    hidden = (mpctensor.encrypt(x, base=10), mpctensor.encrypt(y, base=10))
    for net, data, goal in ((plain, x, y), (model, *hidden)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            F.mse_loss(net(data), goal).backward()
            optimizer.step()
    assert torch.allclose(mpctensor.decrypt(model).weight, plain.weight, atol=3e-3)


# Shapes, receivers, state dicts


def test_shape_beside_a_value():
    assert mpctensor.encrypt(X, shape=X.shape).shape == X.shape
    with pytest.raises(SessionError, match=r"\(5,\).*\(3, 4\)"):
        mpctensor.encrypt(X, shape=(5,))
    with pytest.raises(SessionError, match="one tensor, not Linear"):
        mpctensor.encrypt(nn.Linear(2, 2), shape=(2, 2))


def test_decrypting_to_nobody():
    x = mpctensor.encrypt(X)
    for call in (lambda: x.decrypt(dst=[]), lambda: mpctensor.decrypt([x], dst=())):
        with pytest.raises(SessionError, match="names nobody"):
            call()


def test_state_dicts_keep_their_counters_and_versions():
    def trained():
        net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        net(X)
        return net

    source, target = trained(), mpctensor.encrypt(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    state = mpctensor.encrypt(source.state_dict())
    assert type(state) is OrderedDict and state._metadata == source.state_dict()._metadata
    assert not isinstance(state["1.num_batches_tracked"], SharedTensor)
    assert isinstance(state["1.running_mean"], SharedTensor)
    target.load_state_dict(state)
    back = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    plain = mpctensor.decrypt(target.state_dict())
    assert plain._metadata == source.state_dict()._metadata
    back.load_state_dict(plain)
    for name, value in source.state_dict().items():
        assert_close(back.state_dict()[name], value, 1)
    nested = mpctensor.encrypt({"model": source.state_dict(), "epoch": torch.tensor(3)})
    assert not isinstance(nested["model"]["1.num_batches_tracked"], SharedTensor)
    assert isinstance(nested["epoch"], SharedTensor)
