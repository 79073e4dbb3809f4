"""The CTC loss: lengths, blanks, reductions, gradients, impossible targets, and its cost."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import EncodingError, SecretLeakError
from tests.plaintext import check, on_grid

X = on_grid(9, 2, 5)  # frames, samples, classes
TARGETS = torch.tensor([[1, 2, 2, 3], [3, 1, 0, 0]])
FLAT = torch.tensor([1, 2, 2, 3, 3, 1])
FRAMES, LENGTHS = (9, 7), (4, 2)


def loss(x, targets=TARGETS, frames=FRAMES, lengths=LENGTHS, **options):
    return F.ctc_loss(x.log_softmax(2), targets, frames, lengths, **options)


FORMS = {
    "mean": lambda x: loss(x),
    "sum": lambda x: loss(x, reduction="sum"),
    "none": lambda x: loss(x, reduction="none"),
    "flat": lambda x: loss(x, FLAT),
    "tensors": lambda x: loss(x, frames=torch.tensor(FRAMES), lengths=torch.tensor(LENGTHS)),
    "int32": lambda x: loss(x, TARGETS.int()),
    "blank": lambda x: loss(x, TARGETS.clamp(max=3), blank=4),
    "no_target": lambda x: loss(x, lengths=(4, 0)),
    "single": lambda x: F.ctc_loss(x[:, 0].log_softmax(1), TARGETS[0], (9,), (4,)),
    "tight": lambda x: loss(x, frames=(5, 2)),
    "zero_infinity": lambda x: loss(x, frames=(4, 7), zero_infinity=True),
    "unlikely": lambda x: loss(x * 8),
}


@pytest.mark.parametrize("form", FORMS)
def test_ctc(form):
    check(FORMS[form], X, ulps=96, grad_ulps=96)


def test_an_impossible_target_is_refused():
    with pytest.raises(EncodingError, match="sample 0 is longer than its input allows"):
        loss(mpctensor.encrypt(X), frames=(4, 7))


def test_secret_targets_are_refused():
    with pytest.raises(SecretLeakError, match="pass public ones"):
        loss(mpctensor.encrypt(X), mpctensor.encrypt(TARGETS))


def test_a_target_that_is_no_class():
    with pytest.raises(RuntimeError):
        loss(mpctensor.encrypt(X), TARGETS + 4)


@pytest.mark.simulated
def test_rounds_a_frame():
    def rounds(frames):
        x = mpctensor.encrypt(X[:frames].log_softmax(2))
        with mpctensor.cost() as cost:
            F.ctc_loss(x, TARGETS, (frames, frames), LENGTHS, reduction="none")
        return cost.rounds

    assert rounds(9) - rounds(8) == 14
