"""The _foreach_ operations that torch's optimizers use, and the rounds that joining saves."""

import pytest
import torch
from torch import nn

import mpctensor
from tests.plaintext import ULP, on_grid

SIZES = [(3, 4), (2,), (1, 5), ()]


def lists(hide, positive=False):
    made = [on_grid(*size, seed=i + 1) for i, size in enumerate(SIZES)]
    return [hide(t.abs() + 0.5 if positive else t) for t in made]


OPERATIONS = {
    "add": lambda x, y, p: torch._foreach_add(x, y, alpha=0.5),
    "add_scalars": lambda x, y, p: torch._foreach_add(x, [1.0, 2.0, 1.0, -3.0]),
    "mul": lambda x, y, p: torch._foreach_mul(x, y),
    "square": lambda x, y, p: torch._foreach_mul(x, x),
    "div": lambda x, y, p: torch._foreach_div(x, p),
    "sqrt": lambda x, y, p: torch._foreach_sqrt(p),
    "rsqrt": lambda x, y, p: torch._foreach_rsqrt(p),
    "reciprocal": lambda x, y, p: torch._foreach_reciprocal(p),
    "abs": lambda x, y, p: torch._foreach_abs(x),
    "sign": lambda x, y, p: torch._foreach_sign(x),
    "exp": lambda x, y, p: torch._foreach_exp(x),
    "maximum": lambda x, y, p: torch._foreach_maximum(x, y),
    "clamp_min": lambda x, y, p: torch._foreach_clamp_min(x, 0.25),
    "lerp": lambda x, y, p: torch._foreach_lerp(x, y, 0.1),
    "addcmul": lambda x, y, p: torch._foreach_addcmul(x, y, p, 0.5),
    "addcmul_square": lambda x, y, p: torch._foreach_addcmul(x, y, y, 0.01),
    "addcdiv": lambda x, y, p: torch._foreach_addcdiv(x, y, p, [0.5, 0.5, -1.0, 0.5]),
    "norm": lambda x, y, p: torch._foreach_norm(x),
}


def operands(hide):
    x = lists(hide)
    return x, lists(lambda t: hide(t.flip(0) if t.dim() else -t)), lists(hide, positive=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_as_torch(name):
    got = OPERATIONS[name](*operands(mpctensor.encrypt))
    for one, other in zip(got, OPERATIONS[name](*operands(lambda t: t)), strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one.decrypt(), other, atol=3 * ULP, rtol=2e-4)


def test_in_place_with_a_twin_that_torch_lacks():
    x, y, _ = operands(mpctensor.encrypt)
    expected, other, _ = operands(lambda t: t)
    views = [t.view(-1) if t.dim() else t for t in x]
    torch._foreach_maximum_(x, y)
    torch._foreach_maximum_(expected, other)
    for view, value in zip(views, expected, strict=True):
        assert torch.allclose(view.decrypt(), value.reshape(view.shape), atol=2 * ULP)


def test_results_have_memory_of_their_own():
    first, second = torch._foreach_sqrt([mpctensor.encrypt(torch.full((2,), 4.0)) for _ in "ab"])
    first.mul_(3)
    assert torch.allclose(second.decrypt(), torch.tensor(2.0), atol=ULP)


def test_mixed_scales_broadcasts_and_plain_tensors_go_alone():
    x = lists(mpctensor.encrypt)
    x[1] = x[1] * x[1]
    y = [torch.ones(3, 4), *lists(mpctensor.encrypt)[1:]]
    y[2] = mpctensor.encrypt(torch.tensor(2.0))
    got = torch._foreach_mul(x, y)
    plain = [mpctensor.decrypt(a) * mpctensor.decrypt(b) for a, b in zip(x, y, strict=True)]
    for one, other in zip(got, plain, strict=True):
        assert torch.allclose(one.decrypt(), other, atol=4 * ULP)


def test_refused_before_anything_is_written():
    plain, secret = torch.ones(2), mpctensor.encrypt(torch.ones(2))
    targets = [mpctensor.encrypt(torch.ones(2)), plain]
    with pytest.raises(mpctensor.SecretLeakError, match="plain tensor"):
        torch._foreach_add_(targets, [secret, secret])
    assert targets[0].decrypt().tolist() == [1.0, 1.0] and plain.tolist() == [1.0, 1.0]


ROUNDS = {  # of the seventh step
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 2),
    "adam": (lambda p: torch.optim.Adam(p), 19),
    "adamw": (lambda p: torch.optim.AdamW(p), 20),
    "nadam": (lambda p: torch.optim.NAdam(p), 27),
    "radam": (lambda p: torch.optim.RAdam(p), 25),
    "adamax": (lambda p: torch.optim.Adamax(p), 23),
    "adagrad": (lambda p: torch.optim.Adagrad(p), 17),
    "adadelta": (lambda p: torch.optim.Adadelta(p), 31),
    "rmsprop": (lambda p: torch.optim.RMSprop(p), 18),
}


@pytest.mark.simulated
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", ROUNDS)
def test_a_step_takes_the_rounds_of_one_parameter(name, count):
    make, rounds = ROUNDS[name]
    with mpctensor.init(seed=1):
        weights = [mpctensor.encrypt(nn.Parameter(torch.ones(2, i + 1))) for i in range(count)]
        optimizer = make(weights)
        for _ in range(7):
            for w in weights:
                w.grad = mpctensor.encrypt(on_grid(*w.shape))
            with mpctensor.cost() as cost:
                optimizer.step()
    assert cost.rounds == rounds


def trained(optimizer_of, steps=3):
    """(rounds of the last step, rounds of the products after it, model, optimizer)."""
    torch.manual_seed(0)
    model = mpctensor.encrypt(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)))
    optimizer = optimizer_of(model.parameters())
    x = mpctensor.encrypt(on_grid(5, 3))
    for _ in range(steps):
        optimizer.zero_grad()
        with mpctensor.cost() as products:
            loss = model(x).square().sum()
        loss.backward()
        with mpctensor.cost() as step:
            optimizer.step()
    return step.rounds, products.rounds, model, optimizer


@pytest.mark.simulated
def test_weights_are_made_ready_for_their_next_product_in_one_round():
    with mpctensor.init():
        joined, products, _, _ = trained(lambda p: torch.optim.SGD(p, lr=0.1))
        single, same, _, _ = trained(lambda p: torch.optim.SGD(p, lr=0.1, foreach=False))
        assert joined == 2 + 1 and single == 6 + 1  # gradients of biases have another scale
        assert products == same == 3 + 2 + 2  # products, what they truncate of x, the square


def test_the_setting_is_what_it_was():
    with mpctensor.init():
        *_, optimizer = trained(lambda p: torch.optim.Adam(p))
        assert optimizer.state_dict()["param_groups"][0]["foreach"] is None
        optimizer.param_groups[0]["lr"] = "fast"
        with pytest.raises(TypeError):
            optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.1
        optimizer.step()
        assert optimizer.param_groups[0]["foreach"] is None


def test_plain_parameters_beside_secret_ones_are_left_to_torch():
    with mpctensor.init():
        plain = nn.Parameter(torch.ones(2))
        secret = mpctensor.encrypt(nn.Parameter(torch.ones(2)))
        seen = []
        optimizer = torch.optim.SGD([plain, secret], lr=0.5)
        optimizer.register_step_pre_hook(
            lambda *_: seen.append(optimizer.param_groups[0]["foreach"])
        )
        plain.grad, secret.grad = torch.ones(2), mpctensor.encrypt(torch.ones(2))
        optimizer.step()
        assert seen == [None]
        assert plain.tolist() == secret.decrypt().tolist() == [0.5, 0.5]


@pytest.mark.simulated
def test_parameters_of_two_sessions():
    models = []
    with mpctensor.init():
        models.append(mpctensor.encrypt(nn.Linear(2, 2)))
        with mpctensor.init():
            models.append(mpctensor.encrypt(nn.Linear(2, 2)))
            optimizer = torch.optim.SGD([{"params": m.parameters()} for m in models], lr=0.1)
            for _ in range(3):
                for model in models:
                    model(torch.ones(3, 2)).square().sum().backward()
                optimizer.step()
            assert all(torch.isfinite(p.decrypt()).all() for m in models for p in m.parameters())


def test_settings_are_the_users_own_at_every_time():
    """In a closure, after a step that failed and in a state that is saved meanwhile."""
    with mpctensor.init():
        w = mpctensor.encrypt(nn.Parameter(torch.ones(3)))
        optimizer = torch.optim.SGD([w], lr=0.5, momentum=0.5)
        seen = []

        def closure():
            w.grad = mpctensor.encrypt(torch.ones(3))
            seen.append(optimizer.state_dict()["param_groups"][0]["foreach"])
            seen.append(optimizer.param_groups[0]["foreach"])
            optimizer.param_groups[0]["lr"] = 0.25
            return w.sum()

        assert optimizer.step(closure) is not None
        assert seen == [None, None]
        assert w.decrypt().tolist() == [0.75] * 3  # by the closure's rate
        optimizer.state[w]["momentum_buffer"] = torch.ones(3)  # plain
        with pytest.raises(mpctensor.SecretLeakError):
            optimizer.step()
        assert optimizer.param_groups[0]["foreach"] is None
        assert type(optimizer) is torch.optim.SGD


def test_optimizers_that_are_subclasses():
    class Counting(torch.optim.Adam):
        steps = 0

        def step(self, closure=None):
            self.steps += 1
            return super().step(closure)

    def trained(hide):
        w = hide(nn.Parameter(torch.ones(3)))
        optimizer = Counting([w], lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        for _ in range(3):
            w.grad = hide(torch.tensor([1.0, -2.0, 0.5]))
            optimizer.step()
            scheduler.step()
        assert optimizer.steps == 3
        return mpctensor.decrypt(w.detach())

    with mpctensor.init():
        assert torch.allclose(trained(mpctensor.encrypt), trained(lambda v: v), atol=1e-3)
