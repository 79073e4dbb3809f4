"""Reading and writing at public positions; secret positions are refused."""

import pytest
import torch
import torch.nn.functional as F

import mpctensor
from mpctensor import SecretLeakError, UnsupportedOperationError
from tests.plaintext import check, on_grid

X = on_grid(4, 5)
ROWS = torch.tensor([3, 0, 0])
WHERE = torch.tensor([[0, 1, 2, 3, 0], [3, 2, 1, 0, 0]])

READ = {
    "index_list": lambda x: x[[2, 0]],
    "index_tensor": lambda x: x[ROWS],
    "index_pair": lambda x: x[ROWS, torch.tensor([1, 1, 4])],
    "index_mixed": lambda x: x[:, ROWS],
    "index_mask": lambda x: x[X > 0],
    "index_mask_rows": lambda x: x[torch.tensor([True, False, True, False])],
    "index_select": lambda x: x.index_select(1, ROWS),
    "gather": lambda x: x.gather(0, WHERE),
    "take": lambda x: x.take(torch.tensor([0, 7, 19])),
    "take_along_dim": lambda x: x.take_along_dim(WHERE, 0),
    "embedding": lambda x: F.embedding(WHERE, x),
    "embedding_padding": lambda x: F.embedding(WHERE, x, padding_idx=0),
    "scatter": lambda x: x.scatter(0, WHERE, x[:2] * 2),
    "scatter_value": lambda x: x.scatter(0, WHERE, 1.5),
    "scatter_add": lambda x: x.scatter_add(0, WHERE, torch.ones(2, 5)),
    "index_add": lambda x: x.index_add(0, ROWS, x[:3]),
    "index_add_alpha": lambda x: x.index_add(0, ROWS, x[:3], alpha=0.5),
    "index_copy": lambda x: x.index_copy(0, torch.tensor([1, 2]), x[:2] * 3),
    "index_fill": lambda x: x.index_fill(1, ROWS, 0.5),
    "index_put": lambda x: x.index_put((ROWS,), torch.ones(5)),
    "index_put_accumulate": lambda x: x.index_put((ROWS,), x[:3], accumulate=True),
    "scatter_reduce": lambda x: x.scatter_reduce(0, WHERE, x[2:], "sum"),
    "scatter_reduce_apart": lambda x: x.scatter_reduce(0, WHERE, x[2:], "sum", include_self=False),
    "masked_scatter": lambda x: x.masked_scatter(X > 0, x.flip(0) * 2),
    "masked_scatter_row": lambda x: x.masked_scatter(X[:1] > 0, x.flip(0) * 2),
    "masked_scatter_free": lambda x: torch.where(X > 0, x, x * 2),
}


@pytest.mark.parametrize("name", READ)
def test_reading_and_writing(name):
    check(READ[name], X, ulps=1)


def test_plain_base_with_secret_values():
    check(lambda v: torch.zeros(4, 5).index_put((ROWS,), v, accumulate=True), on_grid(3, 5), ulps=1)
    check(lambda v: torch.zeros(4, 5).index_add(0, ROWS, v), on_grid(3, 5), ulps=1)
    check(lambda v: torch.zeros(4, 5).scatter(0, WHERE, v), on_grid(2, 5), ulps=1)


SECRET_POSITIONS = {
    "mask": lambda x, i: x[x > 0],
    "index": lambda x, i: x[i],
    "index_select": lambda x, i: x.index_select(0, i),
    "plain_by_secret": lambda x, i: torch.ones(4)[i],
    "index_put": lambda x, i: x.index_put((i,), torch.tensor(1.0)),
    "scatter": lambda x, i: x.scatter(0, i.view(1, -1), 1.0),
    "setitem_mask": lambda x, i: x.__setitem__(x > 0, torch.ones(3)),
    "setitem_mask_beside_a_slice": lambda x, i: x.__setitem__((slice(2), x[0] > 0), 0.0),
    "setitem_mask_of_a_plain_tensor": lambda x, i: torch.ones(4, 5).__setitem__(x > 0, 0.0),
    "masked_select": lambda x, i: x.masked_select(x > 0),
    "one_hot_without_classes": lambda x, i: F.one_hot(i),
}


@pytest.mark.parametrize("name", SECRET_POSITIONS)
def test_secret_positions_are_refused(name):
    x, i = mpctensor.encrypt(X), mpctensor.encrypt(torch.tensor([0, 1]))
    with pytest.raises((SecretLeakError, UnsupportedOperationError, ValueError)) as caught:
        SECRET_POSITIONS[name](x, i)
    assert "secret" in str(caught.value)


def set_where(x, mask, value):
    x = x.clone()
    x[mask] = value
    return x


def test_one_number_goes_where_a_secret_mask_is_true():
    check(lambda x: set_where(x, x > 0, 0.25), X, ulps=1)
    check(lambda x: set_where(x, x[:, 0] > 0, -1), X, ulps=1)
    check(lambda x: set_where(x, x < 0, x[0, 0]), X, ulps=1, gradients=False)


def test_a_mask_without_dimensions():
    number = torch.tensor(1.5)
    check(lambda x: set_where(x, x > 0, 0.25), number, ulps=0)
    check(lambda x: set_where(x, x < 0, 2), number, ulps=0)
    check(lambda x: set_where(x, x > 0, x * 2), number, ulps=1)
    check(lambda x: set_where(x, x[0, 0] > -9, torch.ones(X.shape[1:])), X, ulps=0)
    check(lambda x: set_where(x.long(), x > 0, 3), number, gradients=False)
    with pytest.raises(SecretLeakError, match="encrypt"):
        set_where(torch.ones(()), mpctensor.encrypt(number) > 0, 2.0)
