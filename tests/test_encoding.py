"""Real numbers as ring elements: bounds, rounding, refusals."""

import math

import pytest
import torch

from mpctensor.encoding import check_room, decode, describe_scale, encode
from mpctensor.errors import EncodingError


@pytest.mark.parametrize("scale", [1 << 16, 1 << 24, 10**5, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(scale: int, dtype: torch.dtype) -> None:
    value = torch.tensor([0.0, 1.0, -1.0, 0.3, -4000.99, 1e4, -63.999, 2.0**20 + 0.5], dtype=dtype)
    back = decode(encode(value, scale), scale, dtype)
    assert torch.all((back.double() - value.double()).abs() <= 0.5 / scale + value.abs() * 1e-7)


def test_negative_values_survive() -> None:
    value = -torch.rand(10000) * 64
    assert torch.allclose(decode(encode(value, 1 << 16), 1 << 16, torch.float32), value, atol=1e-5)


def test_rounds_to_nearest() -> None:
    assert encode(torch.tensor([0.75, -0.75]) / 65536, 1 << 16).tolist() == [1, -1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30, 2.0**46, -(2.0**46)])
def test_values_that_do_not_fit(bad: float) -> None:
    with pytest.raises(EncodingError, match=r"`x\[0, 1\]` is out.*16 fractional bits.*2\*\*46"):
        encode(torch.tensor([[1.0, bad]]), 1 << 16)


@pytest.mark.parametrize("bad", [9.87654e15, 987654 << 30])
def test_a_value_that_does_not_fit_is_not_shown(bad: float) -> None:
    with pytest.raises(EncodingError) as caught:
        encode(torch.tensor(bad), 1 << 16)
    assert "`x` is out of range" in str(caught.value) and "98" not in str(caught.value)


def test_a_public_number_that_does_not_fit_is_named() -> None:
    check_room(2.0**45, 1 << 16)
    with pytest.raises(EncodingError, match=r"1e\+300 is out of range; .*2\*\*46"):
        check_room(1e300, 1 << 16)


def test_the_largest_value_fits() -> None:
    largest = torch.tensor([2.0**46 - 2.0**-6], dtype=torch.float64)
    assert decode(encode(largest, 1 << 16), 1 << 16, torch.float64).item() == largest.item()


def test_integers_and_bools() -> None:
    assert encode(torch.tensor([True, False]), 1).tolist() == [1, 0]
    assert encode(torch.tensor([3, -7], dtype=torch.int32), 4).tolist() == [12, -28]
    assert decode(torch.tensor([12, -28]), 4, torch.int32).tolist() == [3, -7]
    with pytest.raises(EncodingError, match="integers"):
        encode(torch.tensor([(1 << 62) + 1]), 1)


def test_encoding_copies() -> None:
    value = torch.tensor([1, 2])
    encode(value, 1)[0] = 9
    assert value.tolist() == [1, 2]


def test_saturation_of_public_values() -> None:
    raw = encode(torch.tensor([math.inf, -math.inf, 1e38, 1e12, 0.5]), 1 << 16, saturate=True)
    assert raw.tolist() == [1 << 45, -(1 << 45), 1 << 45, 1 << 46, 1 << 15]
    raw = encode(torch.tensor([math.inf, -1e30]), 1 << 32, saturate=True)
    assert raw.tolist() == [1 << 61, -(1 << 61)]
    with pytest.raises(EncodingError, match="NaN"):
        encode(torch.tensor([math.nan]), 1 << 16, saturate=True)


def test_complex_is_refused() -> None:
    with pytest.raises(EncodingError, match="complex"):
        encode(torch.zeros(2, dtype=torch.complex64), 1)


def test_empty() -> None:
    assert encode(torch.zeros(0, 3), 1 << 16).shape == (0, 3)


def test_scales_in_words() -> None:
    words = [describe_scale(s) for s in (1, 1 << 16, 1000, 3 << 16)]
    assert words == ["integers", "16 fractional bits", "3 fractional digits", "scale 196608"]
