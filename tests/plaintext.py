"""Compares a function on encrypted tensors with the same function on plain ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import mpctensor
from mpctensor import SharedTensor

ULP = 2.0**-16


def on_grid(*size: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Tensor:
    """Random float32 numbers that 16 fractional bits hold exactly."""
    generator = torch.Generator().manual_seed(seed + 1000 * len(size))
    return grid(torch.rand(size, generator=generator) * (high - low) + low)


def grid(value: Tensor) -> Tensor:
    return torch.round(value / ULP) * ULP


def plain_of(value: Any) -> Any:
    """The nest with everything decrypted."""
    if isinstance(value, SharedTensor):
        return value.detach().decrypt()
    if isinstance(value, (list, tuple)):
        return [plain_of(v) for v in value]
    return value


def assert_close(got: Any, expected: Any, ulps: float) -> None:
    """Same shapes, dtypes and values within ulps * 2^-16 (relative to large values)."""
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_close(one, other, ulps)
        return
    if not isinstance(expected, Tensor):
        assert got == expected
        return
    assert got.shape == expected.shape, f"shape {tuple(got.shape)}, not {tuple(expected.shape)}"
    assert got.dtype == expected.dtype, f"{got.dtype}, not {expected.dtype}"
    if not expected.is_floating_point():
        assert torch.equal(got, expected), f"{got}\nnot\n{expected}"
        return
    error = (got.double() - expected.double()).abs()
    allowed = ulps * ULP * expected.double().abs().clamp(min=1.0)
    if error.numel():
        worst = (error / ULP).max().item()
        assert bool((error <= allowed).all()), f"off by {worst:.1f} ulp, {ulps} allowed"


def check(
    fn: Callable[..., Any],
    *inputs: Any,
    secret: Sequence[int] | None = None,
    ulps: float = 2.0,
    grad_ulps: float | None = None,
    gradients: bool = True,
) -> None:
    """fn on encrypted inputs equals fn on plain ones: under grad, no_grad and inference_mode.

    secret: positions of the inputs that are encrypted (default: every tensor). ulps: allowed error
    of the result. grad_ulps: of the gradients (default: twice that).
    """
    positions = (
        [i for i, v in enumerate(inputs) if isinstance(v, Tensor)] if secret is None else secret
    )
    expected = fn(*[_fresh(v) for v in inputs])
    for mode in (torch.no_grad, torch.inference_mode):
        hidden = [mpctensor.encrypt(v) if i in positions else v for i, v in enumerate(inputs)]
        with mode():
            assert_close(plain_of(fn(*hidden)), expected, ulps)
    plain = [_leaf(v) if i in positions and gradients else v for i, v in enumerate(inputs)]
    hidden = [
        mpctensor.encrypt(_leaf(v, gradients)) if i in positions else v
        for i, v in enumerate(inputs)
    ]
    out, shadow = fn(*plain), fn(*hidden)
    assert_close(plain_of(shadow), _detached(out), ulps)
    if gradients:
        _check_gradients(
            out, shadow, plain, hidden, positions, 2 * ulps if grad_ulps is None else grad_ulps
        )


def _check_gradients(
    out: Any,
    shadow: Any,
    plain: list[Any],
    hidden: list[Any],
    positions: Sequence[int],
    ulps: float,
) -> None:
    weights = [_eighths(t.shape, i) for i, t in enumerate(_results(out))]
    if not weights:
        return  # nothing that has a gradient
    _weighed(out, weights).backward()
    _weighed(shadow, weights).backward()
    for i in positions:
        if not plain[i].requires_grad:
            continue
        if plain[i].grad is None:
            assert hidden[i].grad is None, "a gradient where torch has none"
            continue
        assert hidden[i].grad is not None, f"no gradient for input {i}"
        assert_close(hidden[i].grad.decrypt(), plain[i].grad, ulps)


def _weighed(out: Any, weights: list[Tensor]) -> Any:
    return sum((t * w).sum() for t, w in zip(_results(out), weights, strict=True))


def _results(out: Any) -> list[Any]:
    every = list(out) if isinstance(out, (list, tuple)) else [out]
    return [t for t in every if isinstance(t, Tensor) and t.requires_grad]


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    return [_detached(v) for v in value] if isinstance(value, (list, tuple)) else value


def _fresh(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _leaf(value: Any, gradients: bool = True) -> Any:
    if not isinstance(value, Tensor):
        return value
    copy = value.detach().clone()
    return copy.requires_grad_(gradients and copy.is_floating_point())


def _eighths(size: Sequence[int], seed: int) -> Tensor:
    """Public weights that a product takes exactly."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-16, 17, tuple(size), generator=generator) / 8
