"""Steps of scale-free optimizers for gradients down to 1e-5, beside those of plain torch."""

import pytest
import torch
from torch import nn

import mpctensor
from mpctensor.api import SECOND_MOMENTS

pytestmark = pytest.mark.lengthy

SCALE_FREE = {
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "amsgrad": (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0}),
    "nadam": (torch.optim.NAdam, {"lr": 0.01}),
    "radam": (torch.optim.RAdam, {"lr": 0.01}),
    "adamax": (torch.optim.Adamax, {"lr": 0.01}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "centered": (torch.optim.RMSprop, {"lr": 0.01, "centered": True}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.01}),
}
DIRECTION = torch.tensor([1.0, -1.0, 0.7, 0.0])


def moved(name, gradient, foreach, hide):
    """Where a parameter goes from 0 in 10 steps."""
    kind, options = SCALE_FREE[name]
    parameter, ones = hide(nn.Parameter(torch.zeros(4))), hide(torch.ones(4))
    optimizer = kind([parameter], foreach=foreach, **options)
    for _ in range(10):
        optimizer.zero_grad()
        (parameter * (ones * (gradient * DIRECTION))).sum().backward()
        optimizer.step()
    return mpctensor.decrypt(parameter.detach())


@pytest.mark.simulated
@pytest.mark.parametrize("foreach", [False, True], ids=["single", "foreach"])
@pytest.mark.parametrize("gradient", [1.0, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("name", SCALE_FREE)
def test_small_gradients_take_full_steps(name, gradient, foreach):
    """A gradient of 1e-4 is squared at 18 fractional bits, where it has 26 units."""
    with mpctensor.init(seed=1):
        got = moved(name, gradient, foreach, mpctensor.encrypt)
    expected = moved(name, gradient, foreach, lambda tensor: tensor)
    share = {1.0: 0.01, 1e-3: 0.02, 1e-4: 0.07, 1e-5: 1.0}[gradient]  # of the way
    assert bool(((got - expected).abs() <= share * (expected.abs() + 0.01)).all()), got / expected
    assert abs(got[3]) < 1e-5


@pytest.mark.parametrize("name", [name for name in SCALE_FREE if name != "radam"])
def test_without_gradient_nothing_moves(name):
    kind, options = SCALE_FREE[name]
    parameter = mpctensor.encrypt(nn.Parameter(torch.ones(8)))
    optimizer = kind([parameter], **options)
    for _ in range(5):
        parameter.grad = mpctensor.encrypt(torch.zeros(8))
        optimizer.step()
    moved_by = (parameter.decrypt().double() - 1).abs().max()
    assert moved_by <= 2**-20  # one unit of a quotient times the rate, in one run of hundreds


@pytest.mark.parametrize("gradient", [100.0, 1000.0])
@pytest.mark.parametrize("name", SCALE_FREE)
def test_large_gradients_still_fit(name, gradient):
    kind, options = SCALE_FREE[name]
    ways = []
    for hide in (mpctensor.encrypt, lambda tensor: tensor):
        w = hide(nn.Parameter(torch.zeros(4)))
        optimizer = kind([w], **options)
        for _ in range(5):
            w.grad = hide(gradient * DIRECTION)
            optimizer.step()
        ways.append(mpctensor.decrypt(w.detach()))
    assert torch.allclose(*ways, rtol=0.01, atol=1e-3)


def test_a_gradient_of_thousands_is_squared_within_the_ring():
    w = mpctensor.encrypt(nn.Parameter(torch.zeros(4)))
    optimizer = torch.optim.Adam([w], lr=0.01)
    w.grad = mpctensor.encrypt(8000.0 * DIRECTION)
    optimizer.step()
    assert torch.allclose(w.decrypt(), -0.01 * DIRECTION.sign(), atol=1e-3)


def test_a_stale_state_is_encrypted_as_finely():
    w = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([w], lr=0.01)
    w.grad = 1e-4 * DIRECTION
    optimizer.step()
    kept = optimizer.state[w]["exp_avg_sq"].clone()
    (optimizer,) = mpctensor.encrypt([optimizer])
    state = optimizer.state[w]
    assert isinstance(state["exp_avg_sq"], mpctensor.SharedTensor)
    assert {"exp_avg_sq"} == SECOND_MOMENTS & set(state)
    mpctensor.decrypt(optimizer)
    assert torch.allclose(state["exp_avg_sq"], kept, atol=2.0**-42, rtol=0)
    assert not isinstance(state["step"], mpctensor.SharedTensor)
