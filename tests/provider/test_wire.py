"""Requests survive the wire bit for bit; nothing but requests comes out of it."""

import json
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mpctensor.errors import MPCError, RequestError
from mpctensor.provider import Limits, MaskView, Request, wire
from mpctensor.provider.dealer import DEALERS
from tests.provider.recorded import one_of_each, recorded

LIMITS = Limits()
SMALL = Limits(
    mask_elements=1 << 16, request_dealt=1 << 22, request_memory=1 << 25, request_work=1 << 22
)
MASK = MaskView(3, 12, (3, 4), (4, 1), 0)
SQUARE = Request("square", 7, (MASK,))


def fuzzed(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def accepted_is_dealt(data: bytes) -> bool:
    """Decode; whatever is accepted must be dealt as its layout says. True where it was accepted."""
    try:
        requests = wire.decode(data, SMALL)
    except RequestError:
        return False
    for request in requests:
        sizes = [item.size for item in request.layout]
        assert [tuple(value.shape) for value in recorded(2).deal(request)] == sizes
    return True


# Real requests


@pytest.mark.parametrize("n", [2, 3])
def test_round_trip_of_real_requests(n: int) -> None:
    provider = recorded(n)
    sent = [request for request, _ in provider.dealt]
    assert {request.op for request in sent} == set(DEALERS) - ({"wrap"} if n > 2 else set())
    received = wire.decode(wire.encode(sent), LIMITS)
    assert len(received) == len(sent)
    for (request, corrections), copy in zip(provider.dealt, received, strict=True):
        assert copy.text == request.text and copy.digest == request.digest
        assert copy.layout == request.layout
        dealt = super(type(provider), provider).deal(copy)
        assert all(map(torch.equal, dealt, corrections))


def test_lists_and_tuples_are_one() -> None:
    listed = Request("square", 7, (MaskView(3, 12, [3, 4], [4, 1], 0),), [])  # type: ignore[arg-type]
    assert listed.digest == SQUARE.digest and wire.encode([listed]) == wire.encode([SQUARE])


def test_an_empty_list() -> None:
    assert wire.decode(wire.encode([]), LIMITS) == []


# Frames that are no lists of requests

TEXT = wire.encode([SQUARE]).decode()
FRAMES = {
    "": "not a list of requests",
    "[": "not a list of requests",
    "7": "`requests` is 7",
    '"square"': "`requests` is 'square'",
    TEXT + "[]": "Extra data",
    TEXT[:-1]: "not a list of requests",
    " " + TEXT: "byte 0 is b' '",
    TEXT.replace("7", "7.0"): "byte 12 is b'.'",
    TEXT.replace("7", "7e1"): "`number` is 70.0; it must be an integer",
    TEXT.replace("7", "true"): "`number` is True; it must be an integer",
    TEXT.replace("7", "null"): "`number` is None; it must be an integer",
    TEXT.replace("7", "NaN"): "byte 11 is b'N'",
    TEXT.replace("7", '"7"'): "`number` is '7'; it must be an integer",
    TEXT.replace("7", "-7"): "`number` is -7; it must be an integer of at least 1",
    TEXT.replace("7", "0"): "`number` is 0; it must be an integer of at least 1",
    TEXT.replace("7", str(1 << 63)): "below 9223372036854775808",
    TEXT.replace("7", "9" * 21): "more than 20 digits begins at byte 11",
    TEXT.replace("7", "9" * 1_000_000): "more than 20 digits",
    TEXT.replace("7", "-0"): "`number` is 0",
    TEXT.replace(",0]", ",-0]"): "not in its canonical form",
    TEXT.replace('"square"', "5"): "`op` is 5; it must be a word",
    TEXT.replace("square", "cube"): "`op` is 'cube'; the provider deals product",
    TEXT.replace("square", "\\u0073quare"): "is b'\\\\'",
    TEXT.replace("square", "x" * 500): "`op` is 'xxxx",
    TEXT.replace("mask", "masks"): "it must be a view of a mask or of bits",
    '{"op":1,"op":2}': "byte 0 is b'{'",
    "[7]": "request 0 of the list: `request` is 7; it must be a list of op, number",
    '[["square",7]]': "it must be a list of op, number, operands, params",
    '[["square",7,7,[]]]': "`operands` is 7; it must be a list",
    '[["square",7,[[]],[]]]': "`operand` is []",
    '[["square",7,[["mask",3]],[]]]': "a list of kind, id, numel, size, stride, offset",
    '[["square",7,[],"mul"]]': "`params` is 'mul'; it must be a list",
    f'[["square",7,[{",".join("1" * 9)}],[]]]': "`operands` has 9 entries; it may have 4",
    f'[["square",7,[],[{",".join("1" * 9)}]]]': "`params` has 9 entries; it may have 8",
    "[" * 1_000_000: "nested more than 8 deep",
    "[" * 500_000 + "]" * 500_000: "nested more than 8 deep",
    "[" + ",".join(["[]"] * 5000) + "]": "`requests` has 5000 entries; it may have 4096",
    "1" * (1 << 20) + "1": "has 1048577 bytes, more than the 1048576 of `frame_bytes`",
}


@pytest.mark.parametrize("text", FRAMES, ids=lambda text: text[:40])
def test_bad_frames(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        wire.decode(text.encode(), LIMITS)
    message = str(caught.value)
    assert FRAMES[text] in message and len(message) < 300


def test_the_error_is_ours_and_a_value_error() -> None:
    assert issubclass(RequestError, MPCError) and issubclass(RequestError, ValueError)


def test_deep_bits_are_refused_before_they_are_parsed() -> None:
    source = one_of_each()[0].text.decode()
    for _ in range(2000):
        source = f'["less_than",3,[["bits",{source},0,1,[1],[1],0]],["bit",0,1]]'
    with pytest.raises(RequestError, match="nested more than 8 deep"):
        wire.decode(f"[{source}]".encode(), LIMITS)


# Fuzzing


@fuzzed(300)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    accepted_is_dealt(data)


SCALARS = (
    st.integers(-(1 << 70), 1 << 70)
    | st.integers(-2, 20)
    | st.booleans()
    | st.none()
    | st.floats()
    | st.sampled_from(["mask", "bits", "mul", "bit", *DEALERS])
    | st.text(max_size=5)
)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=6), max_leaves=20)


@fuzzed(200)
@given(TREES)
def test_random_json(tree: Any) -> None:
    for text in (json.dumps(tree), json.dumps([tree]), json.dumps([["square", 7, tree, []]])):
        accepted_is_dealt(text.replace(" ", "").encode())


EDGES = [0, 1, 2, 3, 4, 7, 62, 63, 64, 1 << 16, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64]
WORDS = ["none", "bit", "select", "select_shift", "mul", "matmul", "conv", "conv_input", *DEALERS]
ODD = [[], [[]], "mask", "bits", True, False, None, 1.5, "", "x"]


def paths(tree: Any, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    below = [p for i, t in enumerate(tree) for p in paths(t, (*path, i))] if is_list(tree) else []
    return [path, *below]


def is_list(tree: Any) -> bool:
    return isinstance(tree, list)


def mutated(tree: Any, draw: Any) -> None:
    """Change one entry somewhere below: another value, one less, one more, one twice."""
    path = draw(st.sampled_from(paths(tree)[1:]))
    for index in path[:-1]:
        tree = tree[index]
    index, old = path[-1], tree[path[-1]]
    how = draw(st.sampled_from(["value", "value", "value", "near", "drop", "twice", "odd"]))
    if how == "drop":
        del tree[index]
    elif how == "twice":
        tree.insert(index, deepcopy(old))
    elif how == "odd" or is_list(old):
        choices = [*ODD, [*old, 1] if is_list(old) else [old]]
        tree[index] = deepcopy(draw(st.sampled_from(choices)))
    elif isinstance(old, str):
        tree[index] = draw(st.sampled_from(WORDS))
    elif how == "near" and type(old) is int:
        tree[index] = old + draw(st.sampled_from([-1, 1, 64, -64]))
    else:
        tree[index] = draw(st.sampled_from([1, -1])) * draw(st.sampled_from(EDGES))


@fuzzed(1500)
@given(st.data())
def test_mutated_requests(data: st.DataObject) -> None:
    tree = json.loads(wire.encode([data.draw(st.sampled_from(one_of_each()))]))
    for _ in range(data.draw(st.integers(1, 3))):
        if len(paths(tree)) > 1:
            mutated(tree, data.draw)
    accepted_is_dealt(json.dumps(tree, separators=(",", ":")).encode())
