"""Losses, secret and public targets, every reduction, and their gradients."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import MPCError
from tests.plaintext import assert_close, check, grid, on_grid

X = on_grid(6, 4, seed=1)
Y = on_grid(6, 4, seed=2)
LABELS = torch.tensor([0, 3, 1, 1, 2, 0])
ONE_HOT = F.one_hot(LABELS, 4).float()
REDUCTIONS = ["mean", "sum", "none"]

REGRESSION = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "smooth_l1_beta": lambda x, y, reduction: F.smooth_l1_loss(x, y, beta=0.5, reduction=reduction),
    "huber": lambda x, y, reduction: F.huber_loss(x, y, delta=0.75, reduction=reduction),
}


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_regression(name, reduction):
    fn = REGRESSION[name]
    for secret in ((0, 1), (0,)):
        check(
            lambda x, y: fn(x, y, reduction=reduction), X, Y, secret=secret, ulps=12, grad_ulps=24
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_public_classes(reduction, smoothing):
    check(
        lambda x: F.cross_entropy(x * 3, LABELS, reduction=reduction, label_smoothing=smoothing),
        X,
        ulps=32,
        grad_ulps=96,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("secret", [(0, 1), (0,)])
def test_cross_entropy_with_probabilities(reduction, secret):
    check(
        lambda x, t: F.cross_entropy(x * 3, t.detach(), reduction=reduction),
        X,
        ONE_HOT,
        secret=secret,
        ulps=32,
        grad_ulps=96,
    )
    soft = torch.softmax(Y, 1)
    check(
        lambda x, t: F.cross_entropy(x, t.detach(), reduction=reduction),
        X,
        soft,
        ulps=48,
        grad_ulps=96,
    )


CROSS = {
    "weighted": lambda x: F.cross_entropy(x, LABELS, weight=torch.tensor([1.0, 0.5, 2.0, 0.25])),
    "ignored": lambda x: F.cross_entropy(x, torch.tensor([0, -100, 1, 1, -100, 0])),
    "single": lambda x: F.cross_entropy(x[0], torch.tensor(2)),
    "images": lambda x: F.cross_entropy(x.view(2, 4, 3), LABELS.view(2, 3)),
    "module": lambda x: torch.nn.CrossEntropyLoss()(x, LABELS),
    "nll": lambda x: F.nll_loss(F.log_softmax(x, 1), LABELS),
    "nll_sum": lambda x: F.nll_loss(F.log_softmax(x, 1), LABELS, reduction="sum"),
    "nll_none": lambda x: F.nll_loss(F.log_softmax(x, 1), LABELS, reduction="none"),
    "nll_weighted": lambda x: F.nll_loss(
        F.log_softmax(x, 1), LABELS, torch.tensor([1.0, 0.5, 2.0, 0.25])
    ),
    "nll_images": lambda x: F.nll_loss(F.log_softmax(x.view(2, 4, 3), 1), LABELS.view(2, 3)),
    "by_hand": lambda x: -(F.log_softmax(x, 1) * ONE_HOT).sum(1).mean(),
    "bce_logits": lambda x: F.binary_cross_entropy_with_logits(x, ONE_HOT),
    "kl": lambda x: F.kl_div(F.log_softmax(x, 1), ONE_HOT * 0.9 + 0.025, reduction="batchmean"),
    "hinge_by_hand": lambda x: (1 - x * (ONE_HOT * 2 - 1)).clamp(min=0).mean(),
    "soft_margin": lambda x: F.soft_margin_loss(x, ONE_HOT * 2 - 1),
}


@pytest.mark.parametrize("name", CROSS)
def test_cross_entropy_forms(name):
    check(CROSS[name], X, ulps=64, grad_ulps=128)


def test_bce_with_logits_and_secret_target():
    check(
        lambda x, t: F.binary_cross_entropy_with_logits(x, t.detach()),
        X,
        ONE_HOT,
        ulps=64,
        grad_ulps=128,
    )


def test_loss_value_is_worked_out_on_demand():
    x = mpctensor.encrypt(X.clone().requires_grad_())
    with mpctensor.cost() as forward:
        loss = F.cross_entropy(x, LABELS)
    with mpctensor.cost() as backward:
        loss.backward()
    with mpctensor.cost() as asking:
        value = loss.decrypt()
    with mpctensor.cost() as again:
        (loss.detach() + 1).decrypt()
    assert forward.rounds == 0 and backward.rounds <= 12 and asking.rounds > 1
    assert again.rounds <= 2
    assert abs(value - F.cross_entropy(X, LABELS)) < 1e-3


def test_value_before_gradient_shares_the_exponentials():
    x = mpctensor.encrypt(X.clone().requires_grad_())
    loss = F.cross_entropy(x, LABELS)
    loss.decrypt()
    with mpctensor.cost() as backward:
        loss.backward()
    assert backward.rounds == 0


@pytest.mark.parametrize("changed", ["predictions", "targets"])
def test_changes_after_a_cross_entropy(changed):
    def made():
        x, target = (mpctensor.encrypt(v.clone()) for v in (X, ONE_HOT))
        x.requires_grad_()
        loss = F.cross_entropy(x, target)
        with torch.no_grad():
            (x if changed == "predictions" else target).copy_(torch.zeros_like(X))
        return loss

    assert abs(made().decrypt() - F.cross_entropy(X, ONE_HOT)) < 1e-3, "the value of the call"
    with pytest.raises(RuntimeError, match="in place"):
        made().backward()


def test_the_loss_of_a_parameter_that_took_its_step():
    logits = mpctensor.encrypt(torch.nn.Parameter(X.clone()))
    optimizer = torch.optim.SGD([logits], lr=1.0)
    loss = F.cross_entropy(logits, LABELS)
    loss.backward()
    optimizer.step()
    assert abs(loss.decrypt() - F.cross_entropy(X, LABELS)) < 1e-3


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_target_that_requires_grad(reduction):
    soft = grid(F.softmax(X, 1))
    check(
        lambda x, t: F.cross_entropy(x, t, reduction=reduction),
        X,
        soft,
        ulps=8,
        grad_ulps=16,
    )


def penalised(loss, secret):
    """d/dw of |d loss / dx|^2."""
    hide = mpctensor.encrypt if secret else lambda v: v
    w = hide(grid(torch.linspace(-1, 1, 16).view(4, 4)).requires_grad_())
    x = hide(X.detach().clone().requires_grad_())
    target = hide(grid(F.softmax(X.flip(1), 1)).requires_grad_())
    value = loss(x @ w, target)
    first, second = torch.autograd.grad(value, (x, target), create_graph=True)
    (first.square().sum() + second.square().sum()).backward()
    return [v.grad.decrypt() if secret else v.grad for v in (w, x, target)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_gradients_of_a_cross_entropy(reduction):
    loss = lambda x, t: F.cross_entropy(x, t, reduction=reduction)  # noqa: E731
    for got, expected in zip(penalised(loss, True), penalised(loss, False), strict=True):
        assert_close(got, expected, 256)


def test_secret_classes_are_refused_with_the_way_out():
    x, labels = mpctensor.encrypt(X), mpctensor.encrypt(LABELS)
    for fn in (F.cross_entropy, lambda x, t: F.nll_loss(F.log_softmax(x, 1), t)):
        with pytest.raises(MPCError, match="one_hot"):
            fn(x, labels)


def test_class_out_of_range():
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(mpctensor.encrypt(X), LABELS + 2)


def test_large_logits():
    check(lambda x: F.cross_entropy(x, LABELS), X * 40, ulps=128, grad_ulps=64)


SIGNS = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).expand(3, 4)
FAR = torch.tensor([[-40.0, -30.0, 30.0, 20.0], [0.0, 1.0, -2.0, 15.0], [-18.0, 14.0, 25.0, -1.0]])
LOGISTIC = {
    "soft_margin": F.soft_margin_loss,
    "soft_margin_each": lambda x, t: F.soft_margin_loss(x, t, reduction="none"),
    "bce": lambda x, t: F.binary_cross_entropy_with_logits(x, (t + 1) / 2),
    "bce_pos_weight": lambda x, t: F.binary_cross_entropy_with_logits(
        x, (t + 1) / 2, pos_weight=torch.tensor([0.5, 2.0, 1.0, 3.0])
    ),
    "multilabel": lambda x, t: F.multilabel_soft_margin_loss(x, (t + 1) / 2),
}


@pytest.mark.parametrize("secret", [(0,), (0, 1)], ids=["public", "secret"])
@pytest.mark.parametrize("name", LOGISTIC)
def test_logistic_losses_of_far_predictions(name, secret):
    fn = LOGISTIC[name]
    check(lambda x, t: fn(x, t.detach()), FAR, SIGNS, secret=secret, ulps=32, grad_ulps=64)


EMPTY = torch.zeros(0)
OF_NOTHING = {
    "mse": lambda e: F.mse_loss(e(EMPTY), e(EMPTY)),
    "l1": lambda e: F.l1_loss(e(EMPTY), e(EMPTY)),
    "smooth_l1": lambda e: F.smooth_l1_loss(e(EMPTY), e(EMPTY)),
    "bce": lambda e: F.binary_cross_entropy_with_logits(e(EMPTY), e(EMPTY)),
    "ignored": lambda e: F.cross_entropy(e(X[:2]), torch.tensor([-100, -100])),
    "no_weight": lambda e: F.cross_entropy(e(X), LABELS, weight=torch.zeros(4)),
    "no_batch": lambda e: F.cross_entropy(e(X[:0]), LABELS[:0]),
    "no_probabilities": lambda e: F.cross_entropy(e(X[:0]), X[:0]),
    "nll": lambda e: F.nll_loss(e(X[:2]), torch.tensor([-100, -100])),
}


@pytest.mark.parametrize("name", OF_NOTHING)
def test_mean_loss_of_nothing_is_refused_at_once(name):
    assert OF_NOTHING[name](lambda x: x).isnan()
    with pytest.raises(mpctensor.EncodingError, match="is not a number, which shares cannot hold"):
        OF_NOTHING[name](mpctensor.encrypt)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_secret_class_indices_are_refused_with_the_way_out(loss):
    x, y = mpctensor.encrypt(on_grid(3, 4)), mpctensor.encrypt(torch.tensor([0, 1, 2]))
    with pytest.raises(mpctensor.SecretLeakError, match=r"`target`.*one_hot"):
        loss(x, y)
