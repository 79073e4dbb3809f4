"""Multi-class margin losses, class weights that are secret, and the Gaussian likelihood."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import SecretLeakError
from tests.plaintext import assert_close, check, grid, on_grid

X = on_grid(4, 5)
CLASSES = torch.tensor([1, 4, 0, 2])
SETS = torch.tensor([[1, 4, -1, 0, 0], [0, 2, 3, 1, -1], [-1, 0, 0, 0, 0], [0, 1, 2, 3, 4]])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5])
REDUCTIONS = ["mean", "sum", "none"]
MARGINS = {
    "linear": lambda x, r: F.multi_margin_loss(x, CLASSES, reduction=r),
    "squared": lambda x, r: F.multi_margin_loss(x, CLASSES, p=2, margin=0.75, reduction=r),
    "weighted": lambda x, r: F.multi_margin_loss(x, CLASSES, weight=WEIGHT, reduction=r),
    "single": lambda x, r: F.multi_margin_loss(x[0], CLASSES[0], reduction=r),
    "labels": lambda x, r: F.multilabel_margin_loss(x, SETS, reduction=r),
    "labels_of_one": lambda x, r: F.multilabel_margin_loss(x[0], SETS[0], reduction=r),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", MARGINS)
def test_margins(name, reduction):
    check(lambda x: MARGINS[name](x, reduction), X, ulps=8, grad_ulps=16)


@pytest.mark.simulated
def test_hinges_are_compared_once_and_only_between_classes():
    x = mpctensor.encrypt(X.clone().requires_grad_())
    with mpctensor.cost() as forward:
        loss = F.multi_margin_loss(x, CLASSES)
    with mpctensor.cost() as backward:
        loss.backward()
    assert forward.rounds == 4 and backward.rounds <= 1
    assert forward.bytes_sent == 4 * 4 * 98 / 8


def test_bad_targets():
    secret = mpctensor.encrypt(X)
    for fn in (F.multi_margin_loss, F.multilabel_margin_loss):
        with pytest.raises(RuntimeError, match="size"):
            fn(secret, CLASSES[:2])
        with pytest.raises(SecretLeakError, match="one-hot"):
            fn(secret, mpctensor.encrypt(SETS))
    with pytest.raises(RuntimeError):
        F.multi_margin_loss(secret, CLASSES + 3)
    with pytest.raises(RuntimeError):
        F.multilabel_margin_loss(secret, SETS + 1)


CROSS = {
    "cross_entropy": lambda x, w, r: F.cross_entropy(x, CLASSES, w, reduction=r),
    "smoothed": lambda x, w, r: F.cross_entropy(
        x, CLASSES, w, ignore_index=4, label_smoothing=0.25, reduction=r
    ),
    "nll": lambda x, w, r: F.nll_loss(F.log_softmax(x, 1), CLASSES, w, reduction=r),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CROSS)
def test_secret_class_weights(name, reduction):
    plain = X.clone().requires_grad_()
    hidden = mpctensor.encrypt(X.clone().requires_grad_())
    expected = CROSS[name](plain, WEIGHT, reduction)
    got = CROSS[name](hidden, mpctensor.encrypt(WEIGHT), reduction)
    expected.sum().backward()
    got.sum().backward()
    assert_close(got.detach().decrypt(), expected.detach(), 48)
    assert_close(hidden.grad.decrypt(), plain.grad, 48)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("full", [False, True])
def test_gaussian(full, reduction):
    for variance in (on_grid(4, 5, low=0.25, high=2.0), on_grid(4, 1, low=0.25, high=2.0)):
        check(
            lambda x, t, v: F.gaussian_nll_loss(x, t, v, full=full, reduction=reduction),
            *(X, on_grid(4, 5, seed=2), variance),
            ulps=64,
            grad_ulps=128,
        )


def test_gaussian_of_small_variances():
    small = grid(torch.linspace(0.01, 0.05, 20).view(4, 5))
    check(
        lambda x, t, v: F.gaussian_nll_loss(x, t, v, reduction="none"),
        *(grid(X / 8), grid(X.flip(0) / 8), small),
        ulps=128,
        grad_ulps=1024,
    )


def test_gaussian_of_a_number_and_of_bad_variances():
    check(lambda x: F.gaussian_nll_loss(x, X.flip(0), 0.5), X, ulps=32, grad_ulps=64)
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(mpctensor.encrypt(X), X, torch.ones(3))
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(mpctensor.encrypt(X), X, -torch.ones(4, 5))


def test_linear_cross_entropy():
    check(
        lambda x, w, b: F.linear_cross_entropy(x, w, CLASSES.clamp(max=2), linear_bias=b),
        *(X, on_grid(3, 5, seed=5), on_grid(3, seed=6)),
        ulps=48,
        grad_ulps=96,
    )


def test_one_score():
    for fn in (F.multi_margin_loss, F.multilabel_margin_loss):
        for reduction in ("none", "mean"):
            loss = lambda x, fn=fn, how=reduction: fn(x, torch.tensor(0), reduction=how)  # noqa: E731
            check(loss, torch.tensor(1.5))
