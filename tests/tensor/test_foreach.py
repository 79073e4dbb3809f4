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
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True), 2),
    "adam": (lambda p: torch.optim.Adam(p, foreach=True), 19),
    "adamw": (lambda p: torch.optim.AdamW(p, foreach=True), 20),
    "nadam": (lambda p: torch.optim.NAdam(p, foreach=True), 27),
    "radam": (lambda p: torch.optim.RAdam(p, foreach=True), 25),
    "adamax": (lambda p: torch.optim.Adamax(p, foreach=True), 23),
    "adagrad": (lambda p: torch.optim.Adagrad(p, foreach=True), 17),
    "adadelta": (lambda p: torch.optim.Adadelta(p, foreach=True), 31),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, foreach=True), 18),
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
