"""Every file that is not a checkpoint of this session is recognised, and nothing is loaded."""

import json
import os
import resource
from hashlib import blake2b

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mpctensor as mpc
from mpctensor import SessionError
from mpctensor.checkpoint.file import CHECKSUM, MAGIC, MOST_HEADER, PRELUDE, VERSION
from tests.sharing import make_session

NEST = {
    "model": {"weight": torch.ones(3), "steps": torch.arange(4)},
    "flags": torch.tensor([True, False, True]),
    "list": [1, 1.5, (None, "word", b"bytes", torch.float32)],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("good") / "run.ckpt"
    with make_session():
        mpc.save({**NEST, "x": mpc.encrypt(torch.ones(5))}, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def spot(tmp_path_factory):
    return tmp_path_factory.mktemp("bad") / "run.ckpt"


def refused(path, content, match="there is no usable checkpoint"):
    path.write_bytes(content)
    with make_session(), pytest.raises(SessionError, match=match) as caught:
        mpc.load(path)
    assert not isinstance(caught.value, FileNotFoundError)


def forged(whole, change):
    """A file with another header, whose lengths and checksum fit."""
    length = PRELUDE.unpack_from(whole)[2]
    header = json.loads(whole[PRELUDE.size : PRELUDE.size + length])
    changed = change(header)
    header = header if changed is None else changed
    text = json.dumps(header).encode()
    text += b" " * (-(PRELUDE.size + len(text)) % 64)
    return sealed(text, whole[PRELUDE.size + length : -CHECKSUM])


def sealed(text, data):
    size = PRELUDE.size + len(text) + len(data) + CHECKSUM
    content = PRELUDE.pack(MAGIC, VERSION, len(text), size) + text + data
    return content + blake2b(content, digest_size=CHECKSUM).digest()


def test_the_good_file(whole, spot):
    spot.write_bytes(whole)
    with make_session():
        assert torch.equal(mpc.load(spot)["x"].decrypt(), torch.ones(5))
    spot.write_bytes(forged(whole, lambda header: None))
    with make_session():
        assert torch.equal(mpc.load(spot)["flags"], NEST["flags"])


# Accidents


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_a_flipped_bit(whole, spot, data):
    place = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    content = bytearray(whole)
    content[place] ^= 1 << bit
    refused(spot, content)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_a_file_cut_off(whole, spot, data):
    refused(spot, whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_edges_of_a_file(whole, spot):
    for length in (0, 1, 7, 8, PRELUDE.size - 1, PRELUDE.size, len(whole) - 1):
        refused(spot, whole[:length])
    refused(spot, whole + b"\0", "appended")
    refused(spot, whole + whole, "appended")
    refused(spot, whole[:-10] + bytes(10), "damaged")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(content=st.binary(max_size=300))
def test_garbage(spot, content):
    refused(spot, content, "no checkpoint")
    refused(spot, MAGIC + content)
    refused(spot, sealed(content, b""))


def test_other_things_at_the_path(tmp_path):
    torch.save({"x": torch.ones(3)}, tmp_path / "torch")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, match in (("torch", "no checkpoint"), ("pipe", "no file"), ("folder", "directory")):
        with make_session(), pytest.raises(SessionError, match=match):
            mpc.load(tmp_path / name)
    with make_session(), pytest.raises(FileNotFoundError, match="nothing"):
        mpc.load(tmp_path / "nothing")
    with make_session(), pytest.raises(OSError, match="missing"):
        mpc.save(1, tmp_path / "missing" / "run.ckpt")


# Forgeries


def test_other_formats(whole, spot):
    version = PRELUDE.pack(MAGIC, 2, 8, len(whole)) + whole[PRELUDE.size :]
    refused(spot, version, "format 2; this release reads format 1")


def test_claims_of_sizes(whole, spot):
    for length in (len(whole), MOST_HEADER + 1, 2**32 - 1):
        refused(spot, PRELUDE.pack(MAGIC, VERSION, length, len(whole)) + whole[PRELUDE.size :])
    for size in (0, 2**63, 2**64 - 1):
        refused(spot, PRELUDE.pack(MAGIC, VERSION, 8, size) + whole[PRELUDE.size :], "cut off")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for shape in ([1 << 40], [1 << 20] * 3, [1 << 61], [0, 1 << 61, 1 << 61], [5] * 65):
        refused(spot, forged(whole, lambda h: h["data"].__setitem__(0, ["float32", shape, 4, 4])))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18  # KiB


def data(index, place, value):
    return lambda header: header["data"][index].__setitem__(place, value)


def entry(place, value):
    return lambda header: header["tensors"][0].__setitem__(place, value)


def field(key, value):
    return lambda header: header.__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        *(field(key, bad) for key in ("tensors", "data") for bad in (None, 3, {}, "x", [3], [[]])),
        *(field(key, bad) for key in ("parties", "holds") for bad in (None, [], [3], ["a", "a"])),
        *(field("counter", bad) for bad in (0, -1, 1.5, True, "1", None, 1 << 62)),
        *(field("id", bad) for bad in (None, 3, "", "zz" * 16, "00" * 15, ["00"])),
        *(data(0, 0, bad) for bad in (None, "float33", 3, [], "qint8")),
        *(data(0, 1, bad) for bad in (None, 3, [-1], [1.0], [True], ["3"], [40], [[3]], [3, 0])),
        *(data(0, 2, bad) for bad in (0, -1, 1 << 62, 1.5, True, "1", 65536)),
        *(data(-1, 2, bad) for bad in (None, 0, -1, 1 << 62, 1.5, True, "1")),
        *(data(-1, 3, bad) for bad in (None, 0, -1, 1 << 62, 1.5, True, "1")),
        data(-1, 0, "complex64"),
        *(entry(0, bad) for bad in (-1, 99, None, True, 1.0)),
        *(entry(place, bad) for place in (1, 2) for bad in (0, None, "true")),
        lambda header: header["tensors"][1].__setitem__(1, True),  # a gradient of integers
        lambda header: header.pop("id") and None,
        field("more", 1),
        *(lambda header: [], lambda header: 3, lambda header: "header"),
    ],
)
def test_forged_headers(whole, spot, change):
    refused(spot, forged(whole, change))


def nested(depth):
    node = None
    for _ in range(depth):
        node = {"list": [node]}
    return node


@pytest.mark.parametrize(
    "tree",
    [
        *([], {}, 1.5, {"x": 1}, {"list": 3}, {"list": None}, {"list": {}}, {"tuple": [[]]}),
        *({"tensor": -1}, {"tensor": 99}, {"tensor": True}, {"tensor": "0"}, {"tensor": None}),
        *({"float": "x"}, {"float": 3}, {"float": None}, {"float": "0x1p99999"}, {"bytes": "0"}),
        *({"bytes": [1]}, {"dtype": "float"}, {"dtype": []}, {"dtype": "__class__"}),
        *({"dict": [1]}, {"dict": [["a"]]}, {"dict": [["a", 1, 2]]}, {"dict": [[1.5, 1]]}),
        *({"dict": [[None, 1]]}, {"dict": [[True, 1]]}, {"dict": [[["a"], 1]]}),
        *({"ordered": []}, {"ordered": [["a"], None]}, {"ordered": [["a", 1], []]}),
        *({"list": [], "tuple": []}, nested(102), nested(400)),
    ],
)
def test_forged_trees(whole, spot, tree):
    refused(spot, forged(whole, field("tree", tree)))


def test_headers_that_python_cannot_parse(spot):
    for text in (b"[" * 100_000, b"1" * 10_000, b'{"a":', b"\xff\xfe", b"NaN"):
        refused(spot, sealed(text, b""))


def test_truth_values(whole, spot):
    with make_session():
        mpc.save(torch.tensor([True]), spot)
    content = bytearray(spot.read_bytes())
    content[-CHECKSUM - 64] = 2
    content[-CHECKSUM:] = blake2b(content[:-CHECKSUM], digest_size=CHECKSUM).digest()
    refused(spot, content, "neither true nor false")


# Files of others


def test_files_of_other_parties(whole, spot):
    spot.write_bytes(whole)
    for names in (("bob", "alice"), ("alice", "bob", "carol"), ("alice", "eve")):
        with (
            mpc.init(names, "james"),
            pytest.raises(SessionError, match=f"of alice, bob; this one is of {', '.join(names)}"),
        ):
            mpc.load(spot)


def test_the_checkpoint_before_a_damaged_one(tmp_path):
    path = tmp_path / "run.ckpt"
    with make_session():
        for step in (1, 2, 3):
            mpc.save({"step": step}, path)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.warns(UserWarning, match=r"passed over .*cut off"):
            assert mpc.load(path) == {"step": 2}
        mpc.save({"step": 4}, path)
        assert mpc.load(path) == {"step": 4}
        path.unlink()
        with pytest.warns(UserWarning, match="gone"):
            assert mpc.load(path) == {"step": 2}
