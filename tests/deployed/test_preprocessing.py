"""The provider deals ahead: what is still asked online, what a file takes; bytes on the wire."""

import json

import pytest
import torch

import mpctensor as mpc
from mpctensor.provider import MaskView, Request, Step, foresee
from tests.deployed import ahead
from tests.deployed.processes import run


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead")
    out = run(folder, ahead.__file__, str(folder / "ahead.bin"))
    assert all(code == 0 for code, _, _ in out.values()), out
    return {name: json.loads(text) for name, (_, text, _) in out.items()}


def test_after_two_steps_nothing_is_asked_online(found):
    online = found["bob"]["online"]
    assert online[0] > 10 and online[3:] == [0] * 5, online
    assert found["alice"]["online"] == [0] * 8, "only the last party asks"


def test_what_is_kept_does_not_grow(found):
    kept = found["bob"]["kept"]
    assert max(kept[2:]) == min(kept[2:]), kept


def test_an_offline_phase(found):
    bob = found["bob"]
    assert bob["offline"] == 0 and bob["mode"] == 0o600 and not bob["left"]
    there, folder, nowhere, *impossible = bob["refused"]
    assert "exists: name a new file" in there and "exists: name a new file" in folder
    assert "in a folder that does not exist: make it" in nowhere
    assert len(impossible) == 4 and all("no file can be made" in said for said in impossible)
    assert found["alice"]["loss"] == bob["loss"]


def test_a_path_that_cannot_be_is_refused_before_the_step_and_told_to_the_others(tmp_path):
    out = run(tmp_path, ahead.__file__, "refused")
    said = "`path` is '/proc/ahead.bin', where no file can be made (no such file or directory)"
    assert f"SessionError: {said}" in out["bob"][2] and not out["bob"][1]
    assert f"PeerError: bob gave up: {said}" in out["alice"][2]


def test_bytes_on_the_wire_are_those_counted(tmp_path):
    out = run(tmp_path, ahead.__file__, "wire")
    assert all(code == 0 for code, _, _ in out.values()), out
    for name, (_, text, _) in out.items():
        for op, (sent, counted, dealt, counted_dealt) in json.loads(text).items():
            assert abs(sent - counted) <= 0.02 * counted, (name, op, sent, counted)
            if name == "bob":
                assert abs(dealt - counted_dealt) <= 0.02 * counted_dealt, (op, dealt)


def test_masks_of_a_step_move_on_and_others_stay():
    def square(number, mask):
        return Request("square", number, (MaskView(mask, 4, (4,), (1,), 0),))

    before = Step((square(11, 1), square(12, 6)), (10, 13), (5, 7))
    now = Step((square(14, 1), square(15, 8)), (13, 16), (7, 9))
    assert foresee(now, before, 2) == [
        *(square(17, 1), square(18, 10)),
        *(square(20, 1), square(21, 12)),
    ]


def test_simulated_it_does_nothing():
    with mpc.init():
        x = mpc.encrypt(torch.ones(3))
        with mpc.preprocess(steps=2):
            assert (x * x).decrypt().tolist() == [1.0, 1.0, 1.0]
        for steps in (0, True, 1.5):
            with pytest.raises(mpc.SessionError, match="whole number"), mpc.preprocess(steps):
                pass
