"""What stands around an optimizer: clipping, schedulers, averages, parametrizations, its state."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim import lr_scheduler, swa_utils

import mpctensor
from tests.plaintext import ULP, on_grid

pytestmark = pytest.mark.lengthy

X, Y = on_grid(16, 5, seed=1), on_grid(16, 2, seed=2)


def network() -> nn.Module:
    """A seed for which no ReLU comes within 10 ulp of its corner, where rounding would decide."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def gradients(model, hide):
    F.mse_loss(model(hide(X)), hide(Y)).backward()
    return [p.grad for p in model.parameters()]


def compare(fn, atol=24 * ULP, rtol=2e-4):
    """fn(hide) gives tensors; they agree where `hide` encrypts and where it does nothing."""
    for one, other in zip(fn(mpctensor.encrypt), fn(lambda value: value), strict=True):
        one = mpctensor.decrypt(one.detach())
        assert torch.allclose(one, other.detach(), atol=atol, rtol=rtol)


@pytest.mark.parametrize("foreach", [None, True], ids=["single", "foreach"])
@pytest.mark.parametrize("norm", [1, 2, 3, 0.5, 0, float("inf"), float("-inf")])
def test_clip_grad_norm(norm, foreach):
    def clipped(hide):
        model = hide(network())
        grads = gradients(model, hide)
        total = nn.utils.clip_grad_norm_(
            *(model.parameters(), 0.3, norm), error_if_nonfinite=True, foreach=foreach
        )
        return [total, *grads]

    # the root of a gradient of few units has few digits: its error is over twice the root
    compare(clipped, atol=64 * ULP, rtol=1e-3 if norm == 0.5 else 2e-4)


@pytest.mark.parametrize("foreach", [None, True], ids=["single", "foreach"])
def test_clip_grad_value(foreach):
    def clipped(hide):
        model = hide(network())
        grads = gradients(model, hide)
        nn.utils.clip_grad_value_(model.parameters(), 0.05, foreach=foreach)
        return grads

    compare(clipped)


SCHEDULERS = {
    "step": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "cosine": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=6),
    "sequence": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.9)], [2]
    ),
    "swa": lambda o: swa_utils.SWALR(o, 0.05, anneal_epochs=2),
}


def train(model, hide, optimizer, steps, after=lambda: None):
    for _ in range(steps):
        optimizer.zero_grad()
        gradients(model, hide)
        optimizer.step()
        after()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers(name):
    def trained(hide):
        model = hide(network())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        train(model, hide, optimizer, 4, SCHEDULERS[name](optimizer).step)
        return list(model.parameters())

    compare(trained)


def test_a_plateau_is_seen_by_a_decrypted_metric_only():
    model = mpctensor.encrypt(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    loss = F.mse_loss(model(mpctensor.encrypt(X)), mpctensor.encrypt(Y)).detach()
    with pytest.raises(mpctensor.SecretLeakError, match="decrypt"):
        scheduler.step(loss)
    for _ in range(2):
        scheduler.step(loss.decrypt())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


AVERAGES = {
    "equal": {},
    "ema": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)},
    "ema_single": {"avg_fn": swa_utils.get_ema_avg_fn(0.9)},
    "buffers": {"use_buffers": True},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_model(name):
    def averaged(hide):
        torch.manual_seed(5)
        model = hide(nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)))
        average = swa_utils.AveragedModel(model, **AVERAGES[name])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, hide, optimizer, 3, lambda: average.update_parameters(model))
        swa_utils.update_bn([hide(X)], average)
        return [*average.module.parameters(), average.eval()(hide(X))]

    compare(averaged, atol=64 * ULP)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def registered(layer):
    return parametrize.register_parametrization(layer, "weight", Doubled())


PARAMETRIZED = {
    "registered": registered,
    "weight_norm": parametrizations.weight_norm,
    "weight_norm_dim": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "weight_norm_hook": nn.utils.weight_norm,
    "spectral_norm_hook": nn.utils.spectral_norm,
    "spectral_norm": lambda layer: parametrizations.spectral_norm(layer, n_power_iterations=15),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", ["encrypt", "parametrize"])
@pytest.mark.parametrize("name", PARAMETRIZED)
def test_parametrizations(name, first):
    if (name, first) == ("spectral_norm_hook", "encrypt"):
        pytest.skip("secret vectors to start from are drawn by another generator")

    def trained(hide):
        torch.manual_seed(3)
        layer = nn.Linear(5, 2)
        make = PARAMETRIZED[name]
        layer = make(hide(layer)) if first == "encrypt" else hide(make(layer))
        train(layer, hide, torch.optim.SGD(layer.parameters(), lr=0.05), 3)
        return [*layer.parameters(), layer(hide(X))]

    compare(trained, atol=64 * ULP)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_what_hooks_compute_is_encrypted_and_decrypted(norm):
    layer = norm(nn.Linear(5, 2))
    layer(X)
    expected = layer.weight.detach().clone()
    mpctensor.encrypt(layer)
    assert torch.allclose(layer.weight.decrypt(), expected, atol=ULP)
    train(layer, mpctensor.encrypt, torch.optim.SGD(layer.parameters(), lr=0.05), 2)
    last = layer.weight.detach().decrypt()
    mpctensor.decrypt(layer)
    assert type(layer.weight) is torch.Tensor and torch.equal(layer.weight, last)


def test_orthogonal_says_that_it_is_missing():
    layer = mpctensor.encrypt(parametrizations.orthogonal(nn.Linear(4, 4)))
    with pytest.raises(mpctensor.UnsupportedOperationError, match="matrix_exp"):
        layer(mpctensor.encrypt(on_grid(2, 4)))


def test_parameters_to_vector_and_back():
    def turned(hide):
        model = hide(network())
        vector = nn.utils.parameters_to_vector(model.parameters())
        nn.utils.vector_to_parameters(vector * 2, model.parameters())
        return [vector, *model.parameters()]

    compare(turned, atol=2 * ULP)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.NAdam])
def test_state_goes_round_through_state_dict(kind):
    """A copy of model and state goes on as the original does."""

    def step(parameter, optimizer):
        parameter.grad = mpctensor.encrypt(1e-3 * on_grid(4, 3))
        optimizer.step()

    first = mpctensor.encrypt(nn.Parameter(on_grid(4, 3)))
    optimizer = kind([first], lr=0.01)
    step(first, optimizer)
    second = copy.deepcopy(first)
    other = kind([second], lr=0.5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(2):
        step(first, optimizer)
        step(second, other)
    assert torch.allclose(first.decrypt(), second.decrypt(), atol=1e-3)
    assert (first.decrypt() - on_grid(4, 3)).abs().min() > 0.01


def test_grad_scaler_says_that_it_has_no_use():
    model = mpctensor.encrypt(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(F.mse_loss(model(mpctensor.encrypt(X)), mpctensor.encrypt(Y))).backward()
    with pytest.raises(mpctensor.UnsupportedOperationError, match="leave it out"):
        scaler.step(optimizer)
