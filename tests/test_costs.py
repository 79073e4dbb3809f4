"""Every operation does what the tables of tests/costs promise: error, rounds, and where no cost."""

import pytest
import torch

import mpctensor
from tests.costs import elements, layers
from tests.costs.call import Call, run, tensors
from tests.costs.free import FREE, TABLE
from tests.plaintext import assert_close, plain_of

pytestmark = pytest.mark.simulated
CALLS = [call for family in elements.FAMILIES + layers.FAMILIES for call in family.calls]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_call(call: Call) -> None:
    got, expected = run(call), call.function(*[x.clone() for x in call.secrets])
    assert got.rounds == call.rounds
    if call.ulps is None:
        assert got.result.shape == expected.shape and got.result.dtype == expected.dtype
    else:
        assert_close(plain_of(got.result), expected, call.ulps)


@pytest.mark.parametrize("name", FREE)
def test_free(name: str) -> None:
    x = mpctensor.encrypt(TABLE)
    with mpctensor.cost() as spent:
        got = FREE[name](x)
        assert all(isinstance(value, mpctensor.SharedTensor) for value in tensors(got))
    assert spent.rounds == spent.bytes_sent == spent.provider_bytes == 0
    assert_close(plain_of(got), FREE[name](TABLE.clone()), ulps=0)


def test_rows_differ() -> None:
    names = [call.name for call in CALLS] + list(FREE)
    assert len(set(names)) == len(names)


def test_a_wrong_promise_fails() -> None:
    square = Call("square", 1, 0, torch.square, (elements.X,))
    with pytest.raises(AssertionError, match="off by"):
        test_call(square)
    with pytest.raises(AssertionError):
        test_call(square._replace(ulps=1, rounds=0))
