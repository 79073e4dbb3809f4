"""Embeddings and bags of them: norms, frequencies, padding, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import SecretLeakError
from tests.plaintext import assert_close, check, on_grid

TABLE = on_grid(5, 3)
PLACES = torch.tensor([[1, 2, 0], [3, 1, 1]])
FLAT, STARTS = torch.tensor([1, 2, 0, 3, 3]), torch.tensor([0, 2, 2])
FORMS = {
    "rows": lambda w, mode: F.embedding_bag(PLACES, w, mode=mode),
    "offsets": lambda w, mode: F.embedding_bag(FLAT, w, STARTS, mode=mode),
    "last_offset": lambda w, mode: F.embedding_bag(
        FLAT, w, torch.tensor([0, 2, 5]), mode=mode, include_last_offset=True
    ),
    "padding": lambda w, mode: F.embedding_bag(PLACES, w, mode=mode, padding_idx=1),
}


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", FORMS)
def test_bags(form, mode):
    check(lambda w: FORMS[form](w, mode), TABLE, ulps=2, grad_ulps=4)


def test_weights_of_samples():
    check(
        lambda w, p: F.embedding_bag(PLACES, w, per_sample_weights=p, mode="sum"),
        *(TABLE, on_grid(2, 3, seed=4)),
        ulps=4,
        grad_ulps=8,
    )


def test_gradients_by_frequency():
    check(lambda w: F.embedding(PLACES, w, scale_grad_by_freq=True), TABLE, ulps=1, grad_ulps=4)


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0])
def test_rows_are_shortened_in_place(norm):
    plain, hidden = TABLE.clone(), mpctensor.encrypt(TABLE)
    for lookup in (F.embedding, F.embedding_bag):
        expected = lookup(PLACES, plain, max_norm=1.5, norm_type=norm)
        assert_close(lookup(PLACES, hidden, max_norm=1.5, norm_type=norm).decrypt(), expected, 16)
    assert_close(hidden.decrypt(), plain, 16)
    unmoved = (plain == TABLE).all(1)
    assert unmoved.any() and not unmoved.all()
    assert torch.equal(hidden.decrypt()[unmoved], TABLE[unmoved])


def test_secret_places_are_refused():
    with pytest.raises(SecretLeakError, match="one-hot"):
        F.embedding_bag(mpctensor.encrypt(PLACES), mpctensor.encrypt(TABLE))


def test_bad_arguments():
    hidden = mpctensor.encrypt(TABLE)
    for arguments in (
        (PLACES, hidden, STARTS),
        (FLAT, hidden),
        (PLACES, hidden, None, None, 2, False, "x"),
    ):
        with pytest.raises(ValueError):
            F.embedding_bag(*arguments)
