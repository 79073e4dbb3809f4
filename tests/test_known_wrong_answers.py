"""Inputs that another library of this kind answers wrongly; here they have to come out right."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import mpctensor as mpc

ULP = 2.0**-16


def close(secret: Tensor, expected: Tensor | float, atol: float = 2 * ULP, rtol: float = 0) -> None:
    torch.testing.assert_close(secret.decrypt(), torch.as_tensor(expected), atol=atol, rtol=rtol)


def one(value: float) -> Tensor:
    return mpc.encrypt(torch.tensor(value))


@pytest.mark.parametrize("value", [-4000.99, 4000.99, -0.99, -1.0, -ULP, 0.0, 123456.75])
def test_encoding_and_back(value: float) -> None:
    close(one(value), value, atol=ULP)


def test_no_value_of_a_range_decodes_wrongly() -> None:
    x = -64 * torch.rand(1_000_000)
    assert (mpc.encrypt(x).decrypt() - x).abs().max() <= ULP


def test_no_product_of_a_range_is_wrong() -> None:
    x, y = 128 * torch.rand(500_000) - 64, 128 * torch.rand(500_000) - 64
    error = ((mpc.encrypt(x) * mpc.encrypt(y)).decrypt() - x * y).abs().max()
    assert error <= 64 * 2 * ULP + 4 * ULP  # operands are half an ulp off, times 64


@pytest.mark.parametrize("power", [2, 3, 4, 5, 6])
def test_powers(power: int) -> None:
    x = torch.tensor([1.5, -1.5, 0.5, -0.25])
    close(mpc.encrypt(x) ** power, x**power, atol=1e-3)
    close(mpc.encrypt(x).pow(power), x**power, atol=1e-3)


@pytest.mark.parametrize("unbiased", [True, False])
def test_variance(unbiased: bool) -> None:
    x = torch.randn(4, 5)
    close(mpc.encrypt(x).var(unbiased=unbiased), x.var(unbiased=unbiased), atol=1e-3)
    close(mpc.encrypt(x).var(1, unbiased=unbiased), x.var(1, unbiased=unbiased), atol=1e-3)


@pytest.mark.parametrize("value", [0.01, 1.0, 2.0, 256.0, 1000.0, 10000.0])
def test_square_root(value: float) -> None:
    close(one(value).sqrt(), math.sqrt(value), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("value", [0.05, 1.0, -3.0, 500.0, -500.0, 4000.0])
def test_reciprocal(value: float) -> None:
    close(one(value).reciprocal(), 1 / value, atol=4 * ULP, rtol=2e-3)


@pytest.mark.parametrize("value", [0.01, 0.5, 1.0, 10.0, 1000.0])
def test_logarithm(value: float) -> None:
    close(one(value).log(), math.log(value), atol=5e-3)


@pytest.mark.parametrize("value", [-20.0, -8.0, -1.0, 0.0, 1.0, 5.0, 8.0])
def test_exponential(value: float) -> None:
    close(one(value).exp(), math.exp(value), atol=4 * ULP, rtol=1e-3)


@pytest.mark.parametrize("value", [-100.0, -12.5, -1.0, 0.0, 0.3, 9.0, 100.0])
def test_sigmoid_and_tanh(value: float) -> None:
    close(one(value).sigmoid(), torch.tensor(value).sigmoid(), atol=1e-4)
    close(one(value).tanh(), math.tanh(value), atol=2e-4)


def test_softmax_of_distant_logits() -> None:
    x = torch.tensor([[0.0, 50.0, -50.0], [1.0, 2.0, 3.0]])
    close(mpc.encrypt(x).softmax(1), x.softmax(1), atol=1e-3)


def test_division_by_large_and_small() -> None:
    x, y = torch.tensor([1.0, 1000.0, -3.0]), torch.tensor([250.0, 500.0, 0.125])
    close(mpc.encrypt(x) / mpc.encrypt(y), x / y, atol=2e-3, rtol=1e-3)
