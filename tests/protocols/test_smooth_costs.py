"""What exponentials, curves and sines cost, on a new argument and on one that is open."""

import pytest
import torch

from mpctensor import protocols as mpc
from mpctensor.protocols.smooth import plaintext
from mpctensor.transport import cost
from tests.sharing import make_session, share_raw

# Per element with two parties: rounds, bits sent, bits dealt.
COSTS = {
    "exp": (mpc.exp, 5, 133, 1601),
    "exp_nonpositive": (mpc.exp_nonpositive, 5, 99, 622),
    "exp_and_relu": (lambda x: mpc.exp_and_relu(x)[0], 5, 133, 974),
    "cosh": (mpc.cosh, 5, 133, 2625),
    "sigmoid": (mpc.sigmoid, 5, 133, 4686),
    "tanh": (mpc.tanh, 5, 133, 4686),
    "erf": (mpc.erf, 5, 133, 3150),
    "gelu": (lambda x: mpc.ramp(x, "gelu"), 5, 133, 3278),
    "silu": (lambda x: mpc.ramp(x, "silu"), 5, 133, 5838),
    "mish": (lambda x: mpc.ramp(x, "mish"), 5, 133, 5838),
    "softplus": (lambda x: mpc.ramp(x, "softplus"), 5, 133, 4302),
    "sin": (mpc.sin, 2, 65, 166),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    verb, rounds, sent, dealt = COSTS[name]
    x = share_raw(make_session(), -torch.arange(640))
    with cost() as spent:
        verb(x)
    assert spent.rounds == rounds
    assert 8 * spent.bytes_sent == 640 * sent
    assert 8 * spent.provider_bytes == pytest.approx(640 * dealt, abs=7 * 8)
    with cost() as again:
        verb(x)
    assert again.rounds == rounds - 1 and 8 * again.bytes_sent == 640 * (sent - 64)


@pytest.mark.parametrize("name", plaintext.RAMPS)
def test_slope_after_its_ramp_compares_nothing(name: str) -> None:
    x = share_raw(make_session(), -torch.arange(640))
    mpc.ramp(x, name, keep=True)
    with cost() as spent:
        mpc.ramp_slope(x, name)
    assert spent.rounds == 1 and 8 * spent.bytes_sent == 640
