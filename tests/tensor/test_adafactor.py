"""Adafactor of secret parameters beside that of plain ones."""

import pytest
import torch
from torch import nn

import mpctensor

pytestmark = pytest.mark.lengthy

OPTIONS = {
    "default": {},
    "decay": {"weight_decay": 0.1},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "clipped": {"d": 1.5, "beta2_decay": -0.5},
    "floor": {"eps": (1e-2, 0.5)},
}
SHAPES = [(6, 5), (5,), (2, 3, 4)]


def randoms(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def stepped(hide, gradient, options, steps=3):
    """Where parameters of several shapes go, and their state."""
    parameters = [hide(nn.Parameter(value)) for value in randoms(0)]
    optimizer = torch.optim.Adafactor(parameters, lr=0.05, **options)
    for step in range(1, steps + 1):
        for parameter, value in zip(parameters, randoms(step), strict=True):
            parameter.grad = hide(gradient * value)
        optimizer.step()
        assert all(parameter.grad is not None for parameter in parameters)
    if hide is mpctensor.encrypt:
        mpctensor.decrypt(optimizer)
    return [mpctensor.decrypt(p.detach()) for p in parameters], optimizer.state_dict()["state"]


CASES = [*((name, 1e-2) for name in OPTIONS), ("default", 1.0), ("default", 1e-3)]
CLOSE = {1.0: 2e-4, 1e-2: 4e-4, 1e-3: 4e-3}  # by the size of gradients, which have 16 bits


@pytest.mark.parametrize(("name", "gradient"), CASES)
def test_steps_and_state_are_those_of_torch(name, gradient):
    got, state = stepped(mpctensor.encrypt, gradient, OPTIONS[name])
    expected, known = stepped(lambda value: value, gradient, OPTIONS[name])
    for one, other in zip(got, expected, strict=True):
        assert torch.allclose(one, other, atol=CLOSE[gradient])
    for place, values in known.items():
        assert state[place].keys() == values.keys() and state[place]["step"] == values["step"]
        for key in values.keys() - {"step"}:
            assert torch.allclose(state[place][key], values[key], rtol=0.02, atol=1e-8), key


def test_a_closure_is_called_once_and_its_loss_is_given_back():
    w = mpctensor.encrypt(nn.Parameter(torch.full((3, 2), 2.0)))
    optimizer = torch.optim.Adafactor([w], lr=0.1)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        calls.append(loss)
        return loss

    loss = optimizer.step(closure)
    assert loss is calls[0] and len(calls) == 1
    assert bool((w.decrypt() < 2).all())


def test_plain_and_secret_parameters_in_one_optimizer():
    secret, plain = (
        mpctensor.encrypt(nn.Parameter(torch.ones(2, 2))),
        nn.Parameter(torch.ones(2, 2)),
    )
    optimizer = torch.optim.Adafactor([secret, plain], lr=0.1)
    secret.grad, plain.grad = mpctensor.encrypt(torch.ones(2, 2)), torch.ones(2, 2)
    optimizer.step()
    assert torch.allclose(secret.decrypt(), plain.detach(), atol=1e-4)
    assert not torch.equal(plain.detach(), torch.ones(2, 2))


def test_without_gradient_nothing_moves():
    w = mpctensor.encrypt(nn.Parameter(torch.ones(3, 2)))
    optimizer = torch.optim.Adafactor([w])
    w.grad = mpctensor.encrypt(torch.zeros(3, 2))
    optimizer.step()
    assert torch.equal(w.decrypt(), torch.ones(3, 2))
