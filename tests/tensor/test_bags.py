"""Embeddings and bags of them: norms, frequencies, padding, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import SecretLeakError, UnsupportedOperationError
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


SECRET_FORMS = {
    "rows": lambda i, w, mode: F.embedding_bag(i.view(2, 3), w, mode=mode),
    "offsets": lambda i, w, mode: F.embedding_bag(i, w, torch.tensor([0, 2, 2]), mode=mode),
    "late": lambda i, w, mode: F.embedding_bag(
        i, w, torch.tensor([0, 4, 6]), mode=mode, include_last_offset=True
    ),
}


@pytest.mark.parametrize("secret", [(0, 1), (0,)], ids=["table", "plain_table"])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("form", SECRET_FORMS)
def test_secret_places(form, mode, secret):
    check(
        lambda i, w: SECRET_FORMS[form](i, w, mode),
        *(PLACES.flatten(), TABLE),
        **{"secret": secret, "ulps": 2, "grad_ulps": 4, "gradients": secret == (0, 1)},
    )


def test_weights_of_samples_at_secret_places():
    check(
        lambda i, w, p: F.embedding_bag(i, w, per_sample_weights=p, mode="sum"),
        *(PLACES, TABLE, on_grid(2, 3, seed=4)),
        ulps=4,
        grad_ulps=8,
    )


@pytest.mark.simulated
def test_a_bag_of_secret_places_takes_the_rounds_of_a_lookup():
    secret, table = mpctensor.encrypt(PLACES), mpctensor.encrypt(TABLE)
    with mpctensor.cost() as spent:
        F.embedding_bag(secret, table, mode="sum")
    assert spent.rounds == 2


def test_what_secret_places_lack():
    secret, table = mpctensor.encrypt(PLACES), mpctensor.encrypt(TABLE)
    for options in (
        {"padding_idx": 1},
        {"max_norm": 1.0},
        {"scale_grad_by_freq": True, "mode": "sum"},
        {"sparse": True, "mode": "sum"},
    ):
        with pytest.raises(UnsupportedOperationError, match="`embedding_bag`: a secret index with"):
            F.embedding_bag(secret, table, **options)
    with pytest.raises(SecretLeakError, match="`offsets` is secret"):
        F.embedding_bag(FLAT, table, mpctensor.encrypt(STARTS))


def test_bad_arguments():
    hidden = mpctensor.encrypt(TABLE)
    for arguments in (
        (PLACES, hidden, STARTS),
        (FLAT, hidden),
        (PLACES, hidden, None, None, 2, False, "x"),
    ):
        with pytest.raises(ValueError):
            F.embedding_bag(*arguments)
