"""Division with remainder: exactly torch's, by secrets, plain tensors and numbers."""

import math

import pytest
import torch

import mpctensor
from tests.plaintext import ULP, check, grid, on_grid

pytestmark = pytest.mark.lengthy

X = torch.cat(
    [on_grid(200, low=-9, high=9), torch.tensor([-2.0, -1.0, 0.0, 1.0, ULP, -ULP, 3.0 - ULP])]
)
BY_NUMBERS = {
    "floor_divide": lambda x: x // 2,
    "floor_divide_negative": lambda x: x // -4,
    "remainder": lambda x: x % 2,
    "remainder_negative": lambda x: x % -0.5,
    "divide_trunc": lambda x: torch.div(x, 2, rounding_mode="trunc"),
}


@pytest.mark.parametrize("name", BY_NUMBERS)
def test_by_numbers(name):
    check(BY_NUMBERS[name], X, ulps=0, gradients=False)


@pytest.mark.parametrize("d", [1, 2, 3, 7, 10, -3])
def test_integers(d):
    x = torch.arange(-30, 31)
    for fn in (lambda x: x // d, lambda x: x % d, lambda x: torch.div(x, d, rounding_mode="trunc")):
        check(fn, x, gradients=False)


DIVIDED = {
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
}
Y = torch.cat([on_grid(200, low=0.25, high=3, seed=1), torch.tensor([2, 1, 3, -1, -2, -3, 0.5])])
Y[:100] *= -1


@pytest.mark.parametrize("secret", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", DIVIDED)
def test_division_by_tensors(name, secret):
    x = X.clone()
    x[100:150] = Y[100:150] * torch.arange(-25, 25)  # near multiples
    check(DIVIDED[name], grid(x), Y, secret=secret, ulps=0, gradients=False)
    whole, by = torch.arange(-30, 30), torch.tensor([1, 2, 3, -7, 10, -1]).repeat(10)
    check(DIVIDED[name], whole, by, secret=secret, gradients=False)
    check(DIVIDED[name], whole[:, None], by[:6], secret=secret, gradients=False)


def test_numbers_over_secrets():
    check(lambda y: 5 % y, Y, ulps=0, gradients=False)
    check(lambda y: 5 // y, Y, ulps=0, gradients=False)
    check(lambda y: 5.5 % y, torch.tensor([1, 2, -3]), ulps=0, gradients=False)
    check(lambda x: x.div(Y, rounding_mode=None), X, gradients=False)
    check(lambda x: torch.fmod(x, -0.75), X, ulps=0, gradients=False)
    for function in DIVIDED.values():
        with pytest.raises(mpctensor.EncodingError, match="by zero"):
            function(mpctensor.encrypt(torch.ones(2)), torch.tensor([1.0, 0.0]))
    nothing = torch.remainder(mpctensor.encrypt(X), mpctensor.encrypt(X * 0))
    assert not nothing.decrypt().any()


@pytest.mark.parametrize("name", ["remainder", "fmod"])
def test_remainders_have_gradients(name):
    check(DIVIDED[name], X, Y, ulps=0, grad_ulps=4)


SWEPT = {
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "trunc": DIVIDED["trunc"],
}
HIDDEN = {"secret": (True, True), "by plain": (True, False), "of plain": (False, True)}


def drawn(size, unit, low, high, bits, seed=0):
    """(x, y) in units, of both signs: |y| from low to high, spread evenly by size, |x| < 2^bits."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(2, size, generator=generator, dtype=torch.float64)
    y = (low * (high / low) ** share[0] * unit).round().clamp(min=1)
    x = ((2 * share[1] - 1) * 2.0**bits * unit).round()
    y[::3] *= -1
    x[::7] = y[::7] * (x[::7] / y[::7]).round()  # multiples, and their neighbours
    x[::14] += 1
    return x, y


DOMAIN = [(2**-16, 2**-14, 29.9), (0.5, 5, 20), (1e-3, 1e5, 29.9), (1e6, 2**29, 29.9)]


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("name", SWEPT)
def test_exact_wherever_numbers_fit(name, kind):
    """Quotients up to 2^46. In doubles, which hold all of these."""
    fn, hide = SWEPT[name], HIDDEN[kind]
    for low, high, bits in DOMAIN:
        x, y = (v * ULP for v in drawn(300, 2**16, low, high, bits))
        given = [mpctensor.encrypt(v) if h else v for v, h in zip((x, y), hide, strict=True)]
        assert torch.equal(fn(*given).decrypt(), fn(x, y)), (low, high)


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("name", SWEPT)
def test_exact_for_whole_numbers(name, kind):
    fn, hide = SWEPT[name], HIDDEN[kind]
    for low, high, bits in ((1, 10, 45.9), (1, 1000, 30), (1000, 2**29, 45.9)):
        x, y = (v.long() for v in drawn(300, 1, low, high, bits))
        given = [mpctensor.encrypt(v) if h else v for v, h in zip((x, y), hide, strict=True)]
        assert torch.equal(fn(*given).decrypt(), fn(x, y)), (low, high)


@pytest.mark.simulated
@pytest.mark.parametrize("unit", [2**8, 2**12, 2**20, 2**24, 10**2, 10**4])
def test_exact_in_other_units_and_among_three(unit):
    base, digits = (2, unit.bit_length() - 1) if unit % 10 else (10, round(math.log10(unit)))
    bits = min(20, 60 - 2 * unit.bit_length())
    with mpctensor.init(("alice", "bob", "carol"), seed=1):
        x, y = drawn(200, unit, 0.5, 100, bits)
        hidden = [mpctensor.encrypt(v / unit, precision=digits, base=base) for v in (x, y)]
        for name, fn in SWEPT.items():
            for given in (hidden, (hidden[0], y / unit), (x / unit, hidden[1])):
                whole = (
                    fn(*given).decrypt() * (unit if name in ("remainder", "fmod") else 1)
                ).round()
                assert torch.equal(whole, fn(x, y)), name


@pytest.mark.parametrize("number", [math.pi, -math.tau, 12345.678, 0.123456789, 0.1, 700001])
def test_numbers_that_are_no_short_fractions(number):
    """Right to the quotient times 2^-30, to which the number is read."""
    x = on_grid(400, low=-3000, high=3000).double()
    for name in ("remainder", "fmod"):
        got, exact = SWEPT[name](mpctensor.encrypt(x), number).decrypt(), SWEPT[name](x, number)
        assert ((got - exact).abs() <= ULP / 2 + (x / number).abs() * 2.0**-30).all()
    for name in ("floor_divide", "trunc"):
        got = SWEPT[name](mpctensor.encrypt(x), number).decrypt()
        assert torch.equal(got, SWEPT[name](x, number))


def test_beyond_the_domain():
    x = mpctensor.encrypt(torch.tensor([2.5, -1.0, 0.0]))
    zero = mpctensor.encrypt(torch.zeros(3))
    assert (x // zero).decrypt().tolist() == [1, 1, 1]
    assert torch.div(x, zero, rounding_mode="trunc").decrypt().tolist() == [1, 1, 1]
    for fn in (torch.remainder, torch.fmod):
        assert fn(x, zero).decrypt().tolist() == [0, 0, 0]
    for fn in (torch.remainder, torch.floor_divide):
        with pytest.raises(mpctensor.EncodingError, match=r"by 1e-06; .* 2\*\*-16"):
            fn(x, torch.tensor([1.0, 1e-6, 2.0]))


@pytest.mark.parametrize("secret", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", DIVIDED)
def test_nothing_and_broadcast(name, secret):
    check(DIVIDED[name], torch.zeros(0, 3), torch.ones(3), secret=secret, gradients=False)
    check(DIVIDED[name], X[:, None], Y[-7:], secret=secret, ulps=0, gradients=False)
    check(DIVIDED[name], X, torch.tensor(-1.75), secret=secret, ulps=0, gradients=False)
