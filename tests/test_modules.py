"""What people do with models beside training: hooks, freezing, fine-tuning, mixing, init."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

import mpctensor
from mpctensor import SecretLeakError, SharedTensor, UnsupportedOperationError
from tests.plaintext import ULP, assert_close, on_grid

X, Y = on_grid(5, 4), on_grid(5, 2, seed=1)


def net():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def pair():
    plain = net()
    return plain, mpctensor.encrypt(copy.deepcopy(plain))


def assert_alike(plain, secret, ulps=32):
    """Parameters and gradients of the plain module and the encrypted one."""
    for (name, one), other in zip(plain.named_parameters(), secret.parameters(), strict=True):
        assert isinstance(other, SharedTensor) and isinstance(other, nn.Parameter), name
        assert_close(other.detach().decrypt(), one.detach(), ulps)
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            assert_close(other.grad.decrypt(), one.grad, ulps)


# Hooks


def test_hooks_fire_in_torchs_order():
    def watched(model, x):
        seen = []
        note = lambda what: lambda *_: seen.append(what)  # noqa: E731
        model[0].register_forward_pre_hook(note("before"))
        model[0].register_forward_hook(note("after"))
        model[0].register_full_backward_pre_hook(note("backward before"))
        model[0].register_full_backward_hook(note("backward after"))
        model[2].register_forward_hook(lambda module, inputs, out: out * 2)
        model[2].weight.register_hook(lambda g: g / 2)
        model[2].bias.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.shape))
        out = model(x)
        out.register_hook(note("tensor"))
        out.square().sum().backward()
        return seen

    plain, secret = pair()
    x = X.clone().requires_grad_()
    hidden = mpctensor.encrypt(x.detach().requires_grad_())
    assert watched(secret, hidden) == watched(plain, x)
    assert_alike(plain, secret)
    assert_close(hidden.grad.decrypt(), x.grad, 32)


def test_hooks_get_secrets_and_may_change_gradients():
    model, gradients = mpctensor.encrypt(net()), []

    def halve(module, into, out):
        gradients.extend([*into, *out])
        return tuple(g / 2 for g in into)

    model[2].register_full_backward_hook(halve)
    handle = model[0].weight.register_hook(lambda g: g.clamp(-0.125, 0.125))
    model(mpctensor.encrypt(X)).square().sum().backward()
    assert all(isinstance(g, SharedTensor) for g in gradients)
    assert model[0].weight.grad.decrypt().abs().max() <= 0.125 + ULP
    handle.remove()


# Freezing and fine-tuning


def test_the_last_layer_of_a_pretrained_model_is_tuned():
    def tuned(model, x, y):
        model.requires_grad_(False)
        model[2].requires_grad_(True)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()

    plain, secret = pair()
    before = secret[0].weight.decrypt()
    tuned(plain, X, Y)
    tuned(secret, mpctensor.encrypt(X), mpctensor.encrypt(Y))
    assert_alike(plain, secret)
    assert torch.equal(secret[0].weight.decrypt(), before) and secret[0].weight.grad is None
    secret[0].requires_grad_(True)
    secret.zero_grad(set_to_none=False)
    assert not secret[2].weight.grad.decrypt().any()
    secret(mpctensor.encrypt(X)).sum().backward()
    assert secret[0].weight.grad is not None


def test_a_new_head_on_a_pretrained_backbone():
    backbone = net()
    secret = mpctensor.encrypt(nn.Sequential(backbone, nn.Linear(2, 3)))
    secret[1] = mpctensor.encrypt(nn.Linear(2, 1))
    assert secret(mpctensor.encrypt(X)).shape == (5, 1)
    secret.append(nn.Linear(1, 1))  # plain: nobody may learn its gradient
    with pytest.raises(SecretLeakError, match=r"plain tensor that requires grad.*encrypt it"):
        secret(mpctensor.encrypt(X)).sum().backward()
    assert secret[2].weight.grad is None


# Plain and encrypted modules in one


def test_a_plain_backbone_and_an_encrypted_head():
    """Frozen, its features are public numbers; the head learns as in plain."""
    backbone, head = net().requires_grad_(False), nn.Linear(2, 1)
    secret = mpctensor.encrypt(copy.deepcopy(head))
    with mpctensor.cost() as cost:
        features = backbone(X)
    assert cost.rounds == 0
    head(features).square().mean().backward()
    secret(features).square().mean().backward()
    assert_alike(head, secret)


def test_a_plain_layer_that_learns_would_get_a_secret_gradient():
    backbone, head = net(), mpctensor.encrypt(nn.Linear(2, 1))
    loss = head(backbone(X)).square().mean()
    with pytest.raises(
        SecretLeakError, match=r"secret gradient: encrypt it.*requires_grad_\(False\)"
    ):
        loss.backward()
    assert all(p.grad is None for p in backbone.parameters())
    with torch.no_grad():
        assert head(backbone(X)).shape == (5, 1)


def test_a_plain_frozen_layer_on_secrets():
    plain, layer = net(), nn.Linear(2, 2).requires_grad_(False)
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    layer(plain(X)).square().sum().backward()
    layer(secret(mpctensor.encrypt(X))).square().sum().backward()
    assert_alike(plain, secret, 64)


# Functional and recomputed


def test_functional_call():
    plain, secret = pair()
    state = {k: v * 0.5 for k, v in plain.named_parameters()}
    hidden = {k: v * 0.5 for k, v in secret.named_parameters()}
    torch.func.functional_call(plain, state, X).square().sum().backward()
    torch.func.functional_call(secret, hidden, (mpctensor.encrypt(X),)).square().sum().backward()
    assert_alike(plain, secret)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant):
    plain, secret = pair()
    x = X.clone().requires_grad_()
    hidden = mpctensor.encrypt(x.detach().requires_grad_())
    plain(x).square().sum().backward()
    checkpoint(secret, hidden, use_reentrant=reentrant).square().sum().backward()
    assert_alike(plain, secret)
    assert_close(hidden.grad.decrypt(), x.grad, 32)
    secret.zero_grad()
    out = checkpoint_sequential(secret, 2, hidden, use_reentrant=reentrant)
    out.square().sum().backward()
    assert_alike(plain, secret)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_repeats_dropout(reentrant):
    """What is computed again drops the same elements: the gradient is 0 where the output is."""

    def twice(x):
        return F.dropout(F.dropout(x, 0.3) * 2, 0.3)

    x = mpctensor.encrypt(torch.ones(200).requires_grad_())
    first, second = (checkpoint(twice, x, use_reentrant=reentrant) for _ in range(2))
    for out in (second, first):
        x.grad = None
        out.sum().backward()
        assert torch.equal(out.detach().decrypt() == 0, x.grad.decrypt() == 0)
    assert not torch.equal(first.detach().decrypt(), second.detach().decrypt())
    torch.manual_seed(0)
    once = F.dropout(x).detach().decrypt()
    torch.manual_seed(0)  # outside of backward a draw is fresh, whatever torch's generator does
    assert not torch.equal(once, F.dropout(x).detach().decrypt())


def test_parameters_as_one_vector():
    plain, secret = pair()
    vector, hidden = (
        parameters_to_vector(plain.parameters()),
        parameters_to_vector(secret.parameters()),
    )
    assert_close(hidden.detach().decrypt(), vector.detach(), 1)
    vector_to_parameters(vector * 2, plain.parameters())
    vector_to_parameters(hidden * 2, secret.parameters())
    assert_alike(plain, secret)
    secret(mpctensor.encrypt(X)).sum().backward()
    assert secret[0].weight.grad is not None
    with pytest.raises(SecretLeakError, match="encrypt"):
        vector_to_parameters(vector.detach(), secret.parameters())


# Modes and copies


def test_modes():
    plain = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    x = mpctensor.encrypt(X)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert_close(secret.eval()(x).decrypt(), plain.eval()(X), 8)
    assert not secret.train()(x).detach().decrypt().equal(secret(x).detach().decrypt())
    assert not secret[0].running_mean.decrypt().equal(torch.zeros(4))


def test_a_copy_of_model_and_optimizer_goes_its_own_way():
    model = mpctensor.encrypt(net())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(mpctensor.encrypt(X)).square().mean().backward()
    optimizer.step()
    twin, its = copy.deepcopy((model, optimizer))
    assert its.param_groups[0]["params"][0] is twin[0].weight
    assert_close(twin[0].weight.grad.decrypt(), model[0].weight.grad.decrypt(), 1)
    before = model[0].weight.detach().decrypt()
    its.step()
    assert torch.equal(model[0].weight.detach().decrypt(), before)
    optimizer.step()
    assert_close(twin[0].weight.detach().decrypt(), model[0].weight.detach().decrypt(), 64)


def test_a_moving_average_of_weights():
    plain, secret = pair()
    for model in (plain, secret):
        averaged = torch.optim.swa_utils.AveragedModel(model)
        for _ in range(2):
            averaged.update_parameters(model)
            with torch.no_grad():
                model[0].weight.add_(1)
        averaged.update_parameters(model)
        if model is plain:
            expected = averaged.module[0].weight.detach()
    assert_close(averaged.module[0].weight.detach().decrypt(), expected, 8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(dtype):
    """The dtype is what the user sees; the shares keep their digits."""
    model = mpctensor.encrypt(net())
    weight, before = model[0].weight, model[0].weight.detach().decrypt()
    model.to(dtype)
    out = model(mpctensor.encrypt(X.to(dtype)))
    out.square().sum().backward()
    assert model[0].weight is weight and out.dtype == weight.dtype == weight.grad.dtype == dtype
    assert_close(model.float()[0].weight.detach().decrypt(), before, 1)


# Initial values


INITS = {
    "uniform_": lambda p: nn.init.uniform_(p, -1, 1),
    "normal_": lambda p: nn.init.normal_(p, 1.0, 0.5),
    "constant_": lambda p: nn.init.constant_(p, 0.25),
    "ones_": nn.init.ones_,
    "zeros_": nn.init.zeros_,
    "eye_": nn.init.eye_,
    "xavier_uniform_": nn.init.xavier_uniform_,
    "xavier_normal_": nn.init.xavier_normal_,
    "kaiming_uniform_": nn.init.kaiming_uniform_,
    "kaiming_normal_": lambda p: nn.init.kaiming_normal_(p, nonlinearity="relu"),
    "sparse_": lambda p: nn.init.sparse_(p, 0.5, std=1.0),
}


@pytest.mark.parametrize("name", INITS)
def test_initial_values(name):
    """Mean, spread and extremes are those of torch."""
    plain = nn.Linear(60, 80).weight
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    assert INITS[name](secret) is secret and secret.requires_grad
    expected, got = INITS[name](plain).detach(), secret.detach().decrypt()
    for moment in (torch.mean, torch.std):
        assert abs(moment(got) - moment(expected)) < 0.05 * max(1e-3, expected.abs().max())
    assert torch.equal((got == 0).sum(0) > 39, (expected == 0).sum(0) > 39)


def test_a_model_is_initialised_again():
    def initialise(module):
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)
            module.bias.data.fill_(0.25)

    plain, secret = pair()
    plain.apply(initialise)
    secret.apply(initialise)
    assert_alike(plain, secret, 1)
    secret.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
    assert secret[0].weight.detach().decrypt().std() > 0.05
    with pytest.raises(UnsupportedOperationError, match="before encrypt"):
        nn.init.orthogonal_(secret[0].weight)


# Reparametrized


def test_pruning_by_a_public_mask():
    plain, secret = pair()
    mask = (torch.arange(12).view(3, 4) % 3 > 0).float()
    for model, x in ((plain, X), (secret, mpctensor.encrypt(X))):
        prune.custom_from_mask(model[0], "weight", mask)
        model(x).square().sum().backward()
    assert_close(secret[0].weight_orig.grad.decrypt(), plain[0].weight_orig.grad, 32)
    for model in (plain, secret):
        prune.remove(model[0], "weight")
    assert isinstance(secret[0].weight, SharedTensor) and isinstance(secret[0].weight, nn.Parameter)
    assert_close(secret[0].weight.detach().decrypt(), plain[0].weight.detach(), 1)


def test_pruned_in_plain_then_encrypted():
    plain = net()
    prune.l1_unstructured(plain[0], "weight", 0.5)
    expected = plain(X).detach()
    secret = mpctensor.encrypt(plain)
    assert_close(secret(mpctensor.encrypt(X)).detach().decrypt(), expected, 8)


def test_weight_norm():
    plain = nn.Linear(4, 3)
    secret = mpctensor.encrypt(copy.deepcopy(plain))
    for layer, x in ((plain, X), (secret, mpctensor.encrypt(X))):
        nn.utils.parametrizations.weight_norm(layer)
        layer(x).square().sum().backward()
    for one, other in zip(plain.parameters(), secret.parameters(), strict=True):
        assert_close(other.grad.decrypt(), one.grad, 128)
