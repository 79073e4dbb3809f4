"""Where torch takes a size, a position, a number or a condition, a secret one raises and is named.

Functions that read a number before they ask anybody cannot be named: torch gives no occasion.
"""

import math
import operator

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mpctensor
from mpctensor import SecretLeakError

ones = torch.ones


def two():
    return mpctensor.encrypt(torch.tensor(2))


def half():
    return mpctensor.encrypt(torch.tensor(0.5))


def hidden(*size):
    return mpctensor.encrypt(torch.ones(*size))


NAMED = {  # (function, argument): a call that reaches the front door
    ("zeros", "size"): lambda: torch.zeros(2, two()),
    ("ones", "size"): lambda: torch.ones((two(),)),
    ("empty", "size"): lambda: torch.empty(two()),
    ("full", "size"): lambda: torch.full((two(),), 1.0),
    ("randn", "size"): lambda: torch.randn(two()),
    ("new_zeros", "size"): lambda: ones(2).new_zeros(two()),
    ("new_full", "fill_value"): lambda: hidden(2).new_full((2,), half()),
    ("split", "split_size"): lambda: hidden(4).split(two()),
    ("split_with_sizes", "split_sizes"): lambda: ones(4).split([two(), 2]),
    ("tensor_split", "indices_or_sections"): lambda: ones(4).tensor_split(two().reshape(1)),
    ("chunk", "chunks"): lambda: hidden(4).chunk(two()),
    ("narrow", "start"): lambda: ones(4).narrow(0, two(), 1),
    ("narrow", "length"): lambda: hidden(4).narrow(0, 0, two()),
    ("select", "index"): lambda: hidden(4).select(0, two()),
    ("unfold", "size"): lambda: hidden(4).unfold(0, two(), 1),
    ("roll", "shifts"): lambda: hidden(4).roll(two()),
    ("repeat_interleave", "repeats"): lambda: ones(4).repeat_interleave(two()),
    ("topk", "k"): lambda: hidden(4).topk(two()),
    ("kthvalue", "k"): lambda: hidden(4).kthvalue(two()),
    ("one_hot", "num_classes"): lambda: F.one_hot(two(), two()),
    ("triu", "diagonal"): lambda: hidden(4, 4).triu(two()),
    ("diagonal", "offset"): lambda: hidden(4, 4).diagonal(two()),
    ("reshape", "shape"): lambda: ones(4, 4).reshape(two(), 8),
    ("view", "size"): lambda: hidden(4, 4).view((two(), 8)),
    ("as_strided", "size"): lambda: ones(4).as_strided((two(),), (1,)),
    ("expand", "size"): lambda: ones(4, 1).expand(4, two()),
    ("broadcast_to", "size"): lambda: ones(1).broadcast_to((two(),)),
    ("repeat", "repeats"): lambda: hidden(4).repeat(two()),
    ("tile", "dims"): lambda: ones(4).tile(two()),
    ("permute", "dims"): lambda: ones(4, 4, 4).permute(two(), 0, 1),
    ("unflatten", "sizes"): lambda: ones(4).unflatten(0, (two(), 2)),
    ("pad", "pad"): lambda: F.pad(ones(4), (0, two())),
    ("interpolate", "size"): lambda: F.interpolate(hidden(1, 1, 4), two()),
    ("max_pool2d", "kernel_size"): lambda: F.max_pool2d(hidden(1, 1, 4, 4), two()),
    ("avg_pool2d", "kernel_size"): lambda: F.avg_pool2d(hidden(1, 1, 4, 4), two()),
    ("adaptive_avg_pool1d", "output_size"): lambda: nn.AdaptiveAvgPool1d(two())(hidden(1, 1, 4)),
    ("dropout", "p"): lambda: F.dropout(hidden(4), half()),
    ("sum", "dim"): lambda: hidden(4).sum(two()),
    ("softmax", "dim"): lambda: F.softmax(hidden(4), two()),
    ("amax", "dim"): lambda: torch.amax(hidden(4, 4, 4), two()),
    ("x[index]", "index"): lambda: hidden(4)[: two()],
    ("nonzero", "input"): lambda: torch.nonzero(hidden(4)),
    ("masked_select", "mask"): lambda: torch.masked_select(ones(4), hidden(4) > 0),
    ("unique", "input"): lambda: torch.unique(hidden(4), dim=0),
    ("bincount", "input"): lambda: torch.bincount(two().reshape(1)),
    ("histogram", "input"): lambda: torch.histogram(hidden(4), 3),
    ("where", "condition"): lambda: torch.where(hidden(4) > 0),
}


@pytest.mark.parametrize(("function", "argument"), NAMED)
def test_the_function_and_its_argument_are_named(function, argument):
    with pytest.raises(SecretLeakError) as caught:
        NAMED[function, argument]()
    said = str(caught.value)
    assert said.startswith(f"`{function}`: `{argument}` is secret")
    assert "decrypt()" in said or "comparison bits" in said


NUMBERS = {  # a number is read before the function asks anybody
    "arange": lambda: torch.arange(0, two()),
    "full": lambda: torch.full((2,), two()),
    "eye": lambda: torch.eye(two()),
    "randint": lambda: torch.randint(0, two(), (2,)),
    "randperm": lambda: torch.randperm(two()),
    "narrow": lambda: ones(4).narrow(0, 0, two()),
    "select": lambda: ones(4).select(0, two()),
    "roll": lambda: ones(4).roll(two()),
    "topk": lambda: ones(4).topk(two()),
    "kthvalue": lambda: ones(4).kthvalue(two()),
    "tril": lambda: ones(4, 4).tril(two()),
    "alpha": lambda: torch.add(ones(4), ones(4), alpha=half()),
    "conv1d": lambda: F.conv1d(ones(1, 1, 4), ones(1, 1, 1), stride=two()),
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(two())(ones(1, 1, 4)),
}
INDICES = {
    "linspace": lambda: torch.linspace(0, 1, two()),
    "chunk": lambda: ones(4).chunk(two()),
    "unfold": lambda: ones(4).unfold(0, two(), 1),
    "one_hot": lambda: F.one_hot(torch.tensor([1]), two()),
    "cumsum": lambda: ones(4).cumsum(two()),
    "slice": lambda: ones(4)[two() :],
    "list": lambda: [1, 2, 3][two()],
    "list slice": lambda: [1, 2, 3][: two()],
    "repeated list": lambda: [1] * two(),
    "range": lambda: range(two()),
    "index": lambda: operator.index(two()),
}
FLOATS = {
    "split": lambda: ones(4).split(two()),
    "torch.split": lambda: torch.split(ones(4), two()),
    "manual_seed": lambda: torch.manual_seed(two()),
    "math.sqrt": lambda: math.sqrt(half()),
    "math.floor": lambda: math.floor(half()),
    "per cent": lambda: operator.mod("%.2f", half()),
    "pad": lambda: F.pad(ones(4), (0, 1), value=half()),
}
CLIPPING = {
    "max_norm": lambda: nn.utils.clip_grad_norm_([nn.Parameter(ones(4))], half()),
}
BRANCHES = {
    "if": lambda: 1 if half() else 0,
    "while": lambda: _while(half()),
    "assert": lambda: _assert(half()),
    "sorted": lambda: sorted(hidden(4)),
    "min": lambda: min(hidden(4)),
    "max": lambda: max(hidden(4)),
    "in a list": lambda: two() in [1, 2],
    "dropout": lambda: F.dropout(ones(4), half()),
    "nn.Dropout": lambda: nn.Dropout(half()),
}
OPTIMIZERS = {
    "lr": lambda: torch.optim.SGD([ones(4).requires_grad_()], lr=half()),
    "Adam": lambda: torch.optim.Adam([ones(4).requires_grad_()], lr=half()),
    "betas": lambda: torch.optim.AdamW([ones(4).requires_grad_()], betas=(half(), 0.9)),
}
PLACES = {
    "index_select": lambda: ones(4).index_select(0, two().reshape(1)),
    "take": lambda: torch.take(ones(4), two()),
    "mask": lambda: ones(4)[hidden(4) > 0],
    "written mask": lambda: hidden(4).__setitem__(hidden(4) > 0, ones(2)),
    "quantile": lambda: torch.quantile(ones(4), half()),
    "one_hot": lambda: F.one_hot(two()),
}
VALUES = {
    "format": lambda: f"{half():.3f}",
    "numpy": lambda: numpy.cumsum(hidden(4)),
    "in": lambda: 2 in hidden(4),
}


def _while(condition):
    while condition:
        pass


def _assert(condition):
    assert condition


WORDS = {
    "a function of torch reads.*size, position.*decrypt.*F.one_hot": NUMBERS,
    r"used as an index, a size or in range\(\).*gather.*decrypt": INDICES,
    "used as a plain number.*torch's functions.*decrypt": FLOATS,
    "a branch would show.*torch.where.*decrypt": BRANCHES,
    "decrypt.*must be public, such as an optimizer's `lr`": OPTIMIZERS,
    "`max_norm` of clip_grad_norm_.*gradients times": CLIPPING,
    "`(index|mask|quantile|num_classes|one_hot)`.*secret": PLACES,
    "decrypt|stays secret": VALUES,
}


@pytest.mark.parametrize(
    ("words", "name"), [(words, name) for words, calls in WORDS.items() for name in calls]
)
def test_what_is_read_before_the_function_asks(words, name):
    with pytest.raises(SecretLeakError, match=words):
        WORDS[words][name]()


def test_a_mask_may_choose_what_is_filled():
    x = hidden(2)
    x[mpctensor.encrypt(torch.tensor([True, False]))] = 0.0
    assert x.decrypt().tolist() == [0.0, 1.0]
