"""Training between processes that are killed, again and again, and resume."""

import json
import random
import re
import signal
from pathlib import Path
from time import sleep

import pytest
import torch

import mpctensor as mpc
from mpctensor.checkpoint.file import opened
from mpctensor.encoding import encode
from tests.deployed import train
from tests.deployed.processes import ended, line_up, parties, provider
from tests.plaintext import ULP

SCRIPT = Path(train.__file__)
MOMENTS = ("begin", "half", "unsynced", "synced", "written", "barrier", "between", "replaced")
STEPS = 20


@pytest.fixture
def config(tmp_path):
    path = line_up(tmp_path, plain=True)
    with provider(path):
        yield path


def uninterrupted(steps):
    """The weights after a run without faults."""
    with mpc.init():
        model, optimizer, x, y = train.build()
        for _ in range(steps):
            train.step(model, optimizer, x, y)
        return [model.state_dict()[name].decrypt() for name in train.NAMES]


def number(word, output):
    """The last number that the word stands before; 0 where it does not occur."""
    return int((re.findall(rf"^{word} (\d+)$", output, re.MULTILINE) or ["0"])[-1])


def weights(output):
    (text,) = re.findall(r"^weights (.*)$", output, re.MULTILINE)
    return [torch.tensor(value) for value in json.loads(text)]


def interrupted(processes, victim):
    """Let both end: the victim was killed, the other says so. Returns what both wrote."""
    out = ended(processes)
    (survivor,) = set(out) - {victim}
    assert out[victim][0] == -signal.SIGKILL, out
    code, _, errors = out[survivor]
    assert code == 1 and f"PeerError: {victim} is gone" in errors, out
    return [text for _, text, _ in out.values()]


@pytest.mark.timeout(400)
def test_killed_at_every_moment_of_a_save(tmp_path, config):
    saved = 0
    for turn, moment in enumerate(MOMENTS):
        victim = ("alice", "bob")[turn % 2]
        running = parties(config, SCRIPT, tmp_path, str(STEPS), faults={victim: moment})
        written = interrupted(running, victim)
        (resumed,) = {number("resumed", text) for text in written}
        assert saved <= resumed <= saved + 1, (moment, saved, resumed)
        saved = max(resumed, *(number("saved", text) for text in written))
    out = ended(parties(config, SCRIPT, tmp_path, str(STEPS)))
    assert [code for code, _, _ in out.values()] == [0, 0], out
    expected = uninterrupted(STEPS)
    for _, text, _ in out.values():
        assert number("resumed", text) >= saved
        for got, value in zip(weights(text), expected, strict=True):
            assert torch.allclose(got, value, atol=32 * ULP)
    check_secrecy(tmp_path, weights(out["alice"][1]))


@pytest.mark.timeout(200)
def test_killed_at_random(tmp_path, config):
    moments = random.Random(3)
    saved = 0
    for victim in ("alice", "bob"):
        running = parties(config, SCRIPT, tmp_path, "100000")
        first = running[victim].stdout
        for _ in range(moments.randrange(3, 12)):  # "resumed", then some "saved"
            saved = int(first.readline().split()[1])
        sleep(moments.random() / 20)
        running[victim].kill()
        saved = max(saved, *(number("saved", text) for text in interrupted(running, victim)))
    out = ended(parties(config, SCRIPT, tmp_path, "0"))
    (resumed,) = {number("resumed", text) for _, text, _ in out.values()}
    assert saved <= resumed <= saved + 1


def check_secrecy(folder, values):
    """No file holds a weight; both together hold all of them."""
    raw = {}
    for name in ("alice", "bob"):
        for file in (folder / f"{name}.ckpt", folder / f"{name}.ckpt.previous"):
            content = file.read_bytes()
            for value in (v for tensor in values for v in tensor.flatten()):
                for scale in (1 << 16, 1 << 32):
                    assert encode(value, scale).numpy().tobytes() not in content
                assert value.numpy().tobytes() not in content
        with opened(folder / f"{name}.ckpt", check=True) as reader:
            header = reader.header
            pairs = [key for key, _ in header.tree["dict"]]
            assert pairs == ["model", "optimizer", "done"] and header.holds == (name,)
            raw[name] = [reader.tensors(i)[0] for i in range(len(values))]
            scales = [piece.scale for piece in header.data]
    for value, one, other, scale in zip(values, raw["alice"], raw["bob"], scales, strict=False):
        assert torch.allclose((one + other).double() / scale, value.double(), atol=ULP)
