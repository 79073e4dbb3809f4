"""Wrong requests are refused with the value at fault; what is odd but right is dealt."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mpctensor.errors import RequestError
from mpctensor.provider import (
    BitView,
    Dealer,
    Limits,
    MaskView,
    Operand,
    Request,
    check,
    product_size,
    wire,
)
from mpctensor.provider.checks import CHECKS
from mpctensor.provider.dealer import DEALERS
from mpctensor.provider.requests import LAYOUTS
from tests.provider.test_wire import SMALL, accepted_is_dealt, fuzzed

LIMITS = Limits()
DEALER = Dealer([b"a" * 32, b"b" * 32], b"nonce")


def mask(*size: int, **changes: Any) -> MaskView:
    """A dense view of all of mask 1."""
    stride = torch.empty(size, device="meta").stride()
    dense = MaskView(1, torch.Size(size).numel(), size, tuple(stride), 0)
    return replace(dense, **changes)


LESS = Request("less_than", 5, (mask(6),), ("bit", 0, 2))
BITS = BitView(LESS, 1, 6, (6,), (1,), 0)


def asked(op: str, operands: tuple[Operand, ...], *params: Any, number: int = 9) -> Request:
    return Request(op, number, operands, params)


def square(view: Operand) -> Request:
    return asked("square", (view,))


def timed_by(bits: Operand) -> Request:
    return asked("product", (bits, mask(6)), "mul", (6,))


def exponentials(*term: Any, multiplier: Any = 1, start: Any = 0, origin: Any = 0) -> Request:
    return asked("exponentials", (mask(6),), multiplier, start, origin, (term,))


def conv(*options: Any, x: Any = (2, 4, 6, 6), w: Any = (6, 2, 3, 3), size: Any = None) -> Request:
    size = (2, 6, 4, 4) if size is None else size
    return asked("product", (mask(*x), mask(*w)), "conv", *options, size)


PAIR, TERM = (1, 1), (1, 3, 1, 0)
OPTIONS = (PAIR, (0, 0), PAIR, 2)
GRADIENT, KERNEL = mask(2, 6, 4, 4), mask(6, 2, 3, 3)
X_SIZE = (2, 4, 6, 6)

BAD: list[tuple[Request, str]] = [
    # views
    (square(mask(6, numel=5)), "a view reaches element 5 of a mask of 5"),
    (square(mask(6, offset=1)), "a view reaches element 6 of a mask of 6"),
    (square(mask(3, 2, stride=(1 << 62, 1))), "a view reaches element 9223372036854775809"),
    (square(mask(6, offset=-1)), "`offset` is -1"),
    (square(mask(6, stride=(-1,))), "`stride` is -1"),
    (square(mask(6, size=(-6,))), "`size` is -6"),
    (square(mask(6, size=(1 << 63,))), "`size` is 9223372036854775808"),
    (square(mask(6, size=(6, 1))), "`stride` has 1 entries, but `size` has 2"),
    (square(mask(6, size=(1,) * 65, stride=(1,) * 65)), "`size` has 65 entries; it may have 64"),
    (square(mask(6, size=6)), "`size` is 6; it must be a list"),
    (square(mask(6, size=(True,))), "`size` is True"),
    (square(mask(6, size=("6",))), "`size` is '6'"),
    (square(mask(6, id=-1)), "`id` is -1"),
    (square(mask(6, id=0)), "`id` is 0, which only a view of nothing may have"),
    (square(mask(6, id=1 << 63)), "`id` is 9223372036854775808"),
    (square(mask(1, numel=1 << 62)), "more than the 2147483648 of `mask_elements`"),
    (square(mask(1, size=(1 << 39,), stride=(0,))), "a view shows 549755813888 elements"),
    (square(mask(1, size=(0, 1 << 39), stride=(0, 0))), "a view shows 549755813888 elements"),
    # numbers and operands
    (asked("square", (mask(6),), number=0), "square, number 0: `number` is 0"),
    (asked("square", (mask(6),), number=1 << 63), "`number` is 9223372036854775808"),
    (asked("square", ()), "it has 0 operands; it takes 1"),
    (asked("square", (mask(6), mask(6))), "it has 2 operands; it takes 1"),
    (square(BITS), "an operand is bits where the operation takes a mask"),
    (asked("square", (mask(6),), 1), "`params` is (1,); it must be a list of nothing"),
    (asked("harmonics", (mask(6), mask(6)), 1, 1, 1), "is a mask where the operation takes bits"),
    (asked("harmonics", (mask(6), *[BITS] * 3), 1, 1, 1), "it has 4 operands; it takes 1 to 3"),
    (asked("wrap", (mask(6),), 6, 16), "it has 1 operands; it takes 0"),
    # bits
    (timed_by(replace(BITS, source=square(mask(6)))), "bits come from 'square'; only comparisons"),
    (timed_by(replace(BITS, source=replace(LESS, number=9))), "`source number` is 9"),
    (timed_by(replace(BITS, source=replace(LESS, operands=(BITS,)))), "takes a mask"),
    (timed_by(replace(BITS, source=replace(LESS, params=("bit", 0)))), "a list of kind, shift"),
    (timed_by(replace(BITS, threshold=2)), "`threshold` is 2; it must be an integer of at least 0"),
    (timed_by(replace(BITS, numel=7)), "`numel` is 7, but the comparison has 6 bits"),
    (timed_by(replace(BITS, offset=1)), "a view reaches element 6"),
    (asked("product", (BITS, mask(6, 1)), "matmul", (1, 1)), "takes a mask"),
    (asked("harmonics", (mask(7), BITS), 1, 1, 1), "bits of size (6,) do not fit a mask of size"),
    # products
    (asked("product", (mask(6), mask(6))), "`map` is None; it must be one of mul, matmul"),
    (asked("product", (mask(6), mask(6)), "div", (6,)), "`map` is 'div'"),
    (asked("product", (mask(6), mask(6)), 7, (6,)), "`map` is 7"),
    (asked("product", (mask(6), mask(6)), "mul", 2, (6,)), "mul has 2 parameters, not 3"),
    (asked("product", (mask(6), mask(6)), "mul", (7,)), "`size` is (7,), but the operands give"),
    (asked("product", (mask(6), mask(6)), "mul", 6), "`size` is 6; it must be a list"),
    (asked("product", (mask(6), mask(1)), "mul", (6,)), "(6,) and (1,) have no mul"),
    (asked("product", (mask(6), mask(6)), "matmul", ()), "have no matmul"),
    (asked("product", (mask(2, 3), mask(2, 3)), "matmul", (2, 3)), "have no matmul"),
    (asked("product", (mask(2, 2, 3), mask(3, 2)), "matmul", (2, 2, 2)), "have no matmul"),
    (conv(*OPTIONS, size=(2, 6, 4, 5)), "`size` is (2, 6, 4, 5), but the operands give"),
    (conv((0, 1), *OPTIONS[1:]), "`stride` is 0"),
    (conv((1 << 24, 1), *OPTIONS[1:]), "`stride` is 16777216"),
    (conv((1,), *OPTIONS[1:]), "`stride` is (1,); it must be 2 integers"),
    (conv(1, *OPTIONS[1:]), "`stride` is 1; it must be a list"),
    (conv(PAIR, (-1, 0), PAIR, 2), "`padding` is -1"),
    (conv(PAIR, (1 << 40, 0), PAIR, 2, size=(2, 6, (1 << 41) + 4, 4)), "bytes dealt"),
    (conv((1 << 23, 1), (1 << 40, 0), PAIR, 2, size=(2, 6, (1 << 18) + 1, 4)), "bytes of memory"),
    (conv(PAIR, (0, 0), (0, 1), 2), "`dilation` is 0"),
    (conv(PAIR, (0, 0), (6, 1), 2), "does not fit in `size`"),
    (conv(PAIR, (0, 0), PAIR, 0), "`groups` is 0"),
    (conv(PAIR, (0, 0), PAIR, 4), "`groups` = 4 does not fit"),
    (conv(*OPTIONS, w=(6, 2, 0, 3)), "the kernel (6, 2, 0, 3) does not fit"),
    (conv(*OPTIONS, w=(6, 2, 3)), "differ in dimensions"),
    (conv((), (), (), 1, x=(2, 4), w=(6, 4), size=(2, 6)), "(2, 4) and (6, 4) have no conv"),
    (conv((), (), (), 1, x=(2,), w=(6,), size=(2,)), "have no conv"),
    (asked("product", (GRADIENT, KERNEL), "conv_input", *OPTIONS, X_SIZE), "has 7 parameters"),
    (
        asked("product", (GRADIENT, KERNEL), "conv_input", *OPTIONS, (2, 4, 7, 6), (2, 4, 7, 6)),
        "the gradient has size (2, 6, 4, 4), the convolution (2, 6, 5, 4)",
    ),
    (
        asked("product", (GRADIENT, KERNEL), "conv_input", *OPTIONS, (6, 6), X_SIZE),
        "`size` is (6, 6); it must be 4 integers",
    ),
    (
        asked("product", (mask(*X_SIZE), GRADIENT), "conv_weight", *OPTIONS, (3, 4), (6, 2, 3, 4)),
        "the gradient has size (2, 6, 4, 4), the convolution (2, 6, 4, 3)",
    ),
    # truncations
    (asked("wrap", (), 6), "`params` is (6,); it must be a list of n, bits"),
    (asked("wrap", (), -1, 16), "`n` is -1"),
    (asked("wrap", (), (1 << 31) + 1, 16), "`n` is 2147483649"),
    (asked("wrap", (), 6, 65), "`bits` is 65"),
    (asked("open_shift", (mask(6),), 0), "`shift` is 0; it must be an integer of at least 1"),
    (asked("open_shift", (mask(6),), 63), "`shift` is 63"),
    (asked("open_divide", (mask(6),), 1), "`divisor` is 1"),
    (asked("open_divide", (mask(6),), 1 << 62), "`divisor` is 4611686018427387904"),
    (asked("shifted_product", (mask(6), mask(6)), 63), "`shift` is 63"),
    (
        asked("shifted_product", (mask(2), mask(6)), 9),
        "(2,) does not broadcast to one of size (6,)",
    ),
    (asked("shifted_product", (mask(6), mask(1, 6)), 9), "does not broadcast"),
    (asked("shifted_product", (mask(6), mask(1)), 9), "does not broadcast"),
    # comparisons
    (replace(LESS, params=("bits", 0, 1)), "`kind` is 'bits'; it must be one of none, bit, select"),
    (replace(LESS, params=(["bit"], 0, 1)), "`kind` is ['bit']"),
    (replace(LESS, params=("bit", 16, 1)), "`shift` is 16; it must be an integer of at least 0"),
    (replace(LESS, params=("select_shift", 0, 1)), "`shift` is 0"),
    (replace(LESS, params=("select_shift", 63, 1)), "`shift` is 63"),
    (replace(LESS, params=("bit", 0, 0)), "`thresholds` is 0"),
    (replace(LESS, params=("bit", 0, 65)), "`thresholds` is 65"),
    (replace(LESS, op="equal", params=("bit", 0, True)), "`thresholds` is True"),
    # functions
    (exponentials(*TERM, multiplier=-1), "`multiplier` is -1"),
    (exponentials(*TERM, start=1 << 64), "`start` is 18446744073709551616"),
    (exponentials(*TERM, origin=-(1 << 64)), "`origin` is -18446744073709551616"),
    (exponentials(257 << 32, 3, 1, 0), "`rate` is 1103806595072"),
    (exponentials(1, 0, 1, 0), "`segment_bits` is 0"),
    (exponentials(1, 7, 1, 0), "`segment_bits` is 7"),
    (exponentials(1, 3, 1 << 63, 0), "`mantissa` is 9223372036854775808"),
    (exponentials(1, 3, 1, 129), "`exponent` is 129"),
    (exponentials(256 << 32, 3, 1, 0), "a term reaches 2^325; it may reach 2^256"),
    (exponentials(1, 3, 1), "`terms` is (1, 3, 1); it must be a list of rate, segment_bits"),
    (asked("exponentials", (mask(6),), 1, 0, 0, ()), "`terms` is empty"),
    (asked("exponentials", (mask(6),), 1, 0, 0, (TERM,) * 17), "`terms` has 17 entries"),
    (asked("exponentials", (mask(6),), 1, 0, 0, 7), "`terms` is 7; it must be a list"),
    (asked("harmonics", (mask(6),), 1 << 64, 1, 1), "`multiplier` is 18446744073709551616"),
    (asked("harmonics", (mask(6),), 1, 65, 1), "`count` is 65"),
    (asked("harmonics", (mask(6),), 1, 1, 53), "`bits` is 53"),
    (asked("one_hot", (mask(6),), 0), "`bits` is 0"),
    (asked("one_hot", (mask(6),), 33), "`bits` is 33"),
    (asked("one_hot", (mask(6),), 32), "bytes dealt, more than"),
    (asked("one_hot", (mask(6), mask(6)), 3), "it has 2 operands; it takes 1"),
]


def test_every_operation_has_a_check() -> None:
    assert set(CHECKS) == set(DEALERS) == set(LAYOUTS)


@pytest.mark.parametrize("request_, message", BAD, ids=[message[:50] for _, message in BAD])
def test_bad_requests(request_: Request, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(request_, LIMITS)
    assert message in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(RequestError):
        wire.decode(wire.encode([request_]), LIMITS)


def test_bits_of_bits_of_bits_do_not_recurse() -> None:
    bits = BITS
    for _ in range(100_000):
        bits = replace(bits, source=replace(LESS, operands=(bits,)))
    with pytest.raises(RequestError, match="takes a mask"):
        check(timed_by(bits), LIMITS)


# Odd, but right

NOTHING = MaskView(0, 0, (0, 3), (3, 1), 0)
MANY_DIMS = mask(*[1] * 63, 6)
ODD: dict[str, Request] = {
    "nothing": square(NOTHING),
    "nothing of a mask": square(mask(6, size=(0,), offset=6)),
    "nothing, strided": square(replace(NOTHING, stride=((1 << 63) - 1, (1 << 63) - 1))),
    "one number": square(mask()),
    "64 dimensions": square(MANY_DIMS),
    "64 dimensions of two": asked("shifted_product", (MANY_DIMS, MANY_DIMS), 5),
    "repeated": square(mask(3, size=(4, 3), stride=(0, 1))),
    "overlapping": asked("open_shift", (mask(6, size=(4, 3), stride=(1, 1)),), 62),
    "huge stride": asked("open_divide", (mask(1, 6, stride=((1 << 63) - 1, 1)),), (1 << 62) - 1),
    "sparse": replace(LESS, operands=(mask(7001, size=(8,), stride=(1000,)),)),
    "end of a mask": square(mask(1, numel=1 << 31, offset=(1 << 31) - 1)),
    "largest id": square(mask(6, id=(1 << 63) - 1)),
    "inner size 0": asked("product", (mask(2, 0), mask(0, 3)), "matmul", (2, 3)),
    "batch of 0": asked("product", (mask(0, 2, 3), mask(0, 3, 2)), "matmul", (0, 2, 2)),
    "image of size 0": conv(
        PAIR, (2, 0), PAIR, 2, x=(2, 4, 0, 6), w=(6, 2, 3, 3), size=(2, 6, 2, 4)
    ),
    "step beyond the image": conv((1 << 23,) * 2, *OPTIONS[1:], size=(2, 6, 1, 1)),
    "gradient of an image of size 0": asked(
        "product",
        (mask(1, 1, 2), mask(1, 1, 1)),
        "conv_input",
        (1,),
        (1,),
        (1,),
        1,
        (1, 1, 0),
        (1, 1, 0),
    ),
    "wrap of nothing": asked("wrap", (), 0, 1),
    "64 thresholds": replace(LESS, params=("select", 0, 64)),
    "comparison of nothing": replace(LESS, operands=(NOTHING,)),
    "bits of nothing": asked(
        "product",
        (BitView(replace(LESS, operands=(NOTHING,)), 0, 0, (0,), (1,), 0), mask(0, id=0)),
        "mul",
        (0,),
    ),
    "bits of an equality": asked(
        "harmonics",
        (mask(6), replace(BITS, source=replace(LESS, op="equal"))),
        (1 << 64) - 1,
        64,
        52,
    ),
    "bits twice": asked("product", (BITS, replace(BITS, stride=(0,))), "mul", (6,)),
    "scaled bits of two": exponentials(*TERM),
    "steep": exponentials(-(1 << 40), 6, (1 << 63) - 1, -128, start=-(1 << 63)),
    "steeper": exponentials(1 << 40, 1, 1, -128, start=1 - (1 << 64), origin=(1 << 64) - 1),
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD)
def test_odd_requests_are_dealt(request_: Request) -> None:
    limits = replace(SMALL, mask_elements=1 << 31)
    (received,) = wire.decode(wire.encode([request_]), limits)
    dealt = DEALER.deal(received)
    assert [tuple(value.shape) for value in dealt] == [item.size for item in request_.layout]


SIZES = st.lists(st.sampled_from([1, 2, 3, 5, 0]), max_size=4)
STRIDES = st.sampled_from([0, 1, 2, 7, 60, 1 << 40])
IDS = st.sampled_from([1, 2, 0])


@st.composite
def views(draw: Any, dims: Any = SIZES) -> MaskView:
    size = draw(dims)
    stride = [draw(STRIDES) for _ in size]
    reach = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True) if n)
    offset = draw(st.sampled_from([0, 3]))
    numel = max(0, reach + offset + draw(st.sampled_from([0, 0, 5, -1])))
    return MaskView(draw(IDS), numel, tuple(size), tuple(stride), offset)


@fuzzed(400)
@given(views(), views(), st.data())
def test_odd_views(a: MaskView, b: MaskView, data: st.DataObject) -> None:
    op = data.draw(st.sampled_from(["square", "open_shift", "less_than", "mul", "matmul"]))
    small = data.draw(st.integers(-1, 64))
    plain = {"square": (), "open_shift": (small,), "less_than": ("select", 0, 2)}
    if op in plain:
        accepted_is_dealt(wire.encode([Request(op, 1, (a,), plain[op])]))
        return
    b = replace(b, size=a.size, stride=a.stride, numel=a.numel, offset=a.offset)
    if op == "matmul" and len(a.size) >= 2:
        swap = lambda t: (*t[:-2], t[-1], t[-2])  # noqa: E731
        b = replace(b, size=swap(a.size), stride=swap(a.stride))
    size = (*a.size[:-1], a.size[-2]) if op == "matmul" and len(a.size) >= 2 else a.size
    accepted_is_dealt(wire.encode([Request("product", 1, (a, b), (op, size))]))


STEPS = st.integers(1, 3) | st.sampled_from([50, 1 << 20])


@fuzzed(400)
@given(st.sampled_from(["conv", "conv_input", "conv_weight"]), st.integers(1, 2), st.data())
def test_odd_convolutions(name: str, rank: int, data: st.DataObject) -> None:
    def many(entry: Any) -> tuple[int, ...]:
        return tuple(data.draw(entry) for _ in range(rank))

    groups, size = data.draw(st.integers(1, 2)), st.integers(0, 5)
    channels, filters, batch = (data.draw(st.integers(0, 2)) for _ in range(3))
    x = (batch, channels * groups, *many(size))
    w = (filters * groups, channels, *many(st.integers(1, 3)))
    padding = st.integers(0, 3) | st.sampled_from([40])
    options: tuple[Any, ...] = (many(STEPS), many(padding), many(STEPS), groups)
    try:
        out = product_size("conv", options, x, w)
    except ValueError:
        return
    a, b, rest = {
        "conv": (x, w, ()),
        "conv_input": (out, w, (x,)),
        "conv_weight": (x, out, (w[2:],)),
    }[name]
    size_of = {"conv": out, "conv_input": x, "conv_weight": w}[name]
    assert product_size(name, (*options, *rest), a, b) == size_of
    masks = tuple(mask(*s, id=0 if 0 in s else 1) for s in (a, b))
    accepted_is_dealt(wire.encode([Request("product", 1, masks, (name, *options, *rest, size_of))]))
