"""Parties that save and load together: one checkpoint for all, whatever happened before."""

import os
import shutil
import threading
import warnings
from pathlib import Path

import pytest
import torch

import mpctensor as mpc
from mpctensor import SessionError
from mpctensor.checkpoint.collective import load_in, save_in
from mpctensor.encoding import encode
from mpctensor.share import ABSENT
from mpctensor.tensor import unwrap, wrap
from tests.checkpoint.table import together
from tests.sharing import UNIT, make_session, share_value

SECRET = torch.tensor([1.25, -3.5, 1000.0])


def name(session):
    return session.names[session.local[0]]


def home(folder, session):
    place = Path(folder) / name(session)
    place.mkdir(exist_ok=True)
    return place / "run.ckpt"


def save_steps(folder, *steps, n=2):
    """Every party saves once for each step, in a session for all."""

    def program(session):
        for step in steps:
            x = wrap(share_value(session, SECRET + step))
            save_in(session, {"step": step, "x": x}, home(folder, session))

    assert together(n, program) == [None] * n


def load_all(folder, n=2):
    return together(n, lambda session: load_in(session, home(folder, session)))


def steps_of(results):
    return [r["step"] if isinstance(r, dict) else r for r in results]


@pytest.mark.parametrize("n", [2, 3])
def test_parties_hold_their_own_shares(tmp_path, n):
    save_steps(tmp_path, 0, n=n)
    total = 0
    for p, got in enumerate(load_all(tmp_path, n)):
        share = unwrap(got["x"])
        assert [part is ABSENT for part in share.parts] == [q != p for q in range(n)]
        total = total + share.parts[p]
        assert (share.scale, share.unit, share.session.local) == (UNIT, UNIT, (p,))
    assert torch.equal(total, encode(SECRET, UNIT))
    for party in tmp_path.iterdir():
        content = (party / "run.ckpt").read_bytes()
        for value in encode(SECRET, UNIT):
            assert value.numpy().tobytes() not in content
        for value in SECRET:
            assert value.numpy().tobytes() not in content


def test_loaded_values_are_used_and_revealed(tmp_path):
    save_steps(tmp_path, 0)

    def program(session):
        x = load_in(session, home(tmp_path, session))["x"]
        return (x + x).decrypt()

    for got in together(2, program):
        assert torch.equal(got, 2 * SECRET)


def test_counters_go_on_over_sessions(tmp_path):
    for step in (1, 2, 3):
        save_steps(tmp_path, step)
        assert steps_of(load_all(tmp_path)) == [step, step]
    with make_session():
        for step in (1, 2):
            mpc.save({"step": step}, tmp_path / "one.ckpt")
    with make_session():
        mpc.save({"step": 3}, tmp_path / "one.ckpt")
        assert mpc.load(tmp_path / "one.ckpt") == {"step": 3}


# What differs between parties


def test_different_structures(tmp_path):
    save_steps(tmp_path, 1)
    differences = [
        lambda p: {"a": 1} if p else {"b": 1},
        lambda p: [1] * (p + 1),
        lambda p: 1.5 if p else None,
        lambda p: torch.ones(p + 1),
        lambda p: torch.ones(1, dtype=[torch.float32, torch.float64][p]),
        lambda p: torch.ones(1, requires_grad=p == 1),
        lambda p: {p: 1},
    ]
    for differing in differences:

        def program(session, differing=differing):
            save_in(session, differing(session.local[0]), home(tmp_path, session))

        for error in together(2, program):
            assert isinstance(error, SessionError) and "different structures" in str(error)
    assert steps_of(load_all(tmp_path)) == [1, 1]


def test_values_of_plain_things_may_differ(tmp_path):
    def program(session):
        path = home(tmp_path, session)
        save_in(session, {"seconds": 1.5 + session.local[0]}, path)
        return load_in(session, path)

    assert together(2, program) == [{"seconds": 1.5}, {"seconds": 2.5}]


def test_one_party_cannot_write(tmp_path):
    save_steps(tmp_path, 1)

    def program(session):
        path = home(tmp_path, session)
        if name(session) == "bob":
            (path.parent / "run.ckpt.new").mkdir()
        try:
            save_in(session, {"step": 2}, path)
        except Exception as error:
            return error, load_in(session, path)

    (first, at_alice), (second, at_bob) = together(2, program)
    assert isinstance(first, SessionError) and "bob could not write" in str(first)
    assert isinstance(second, IsADirectoryError)
    assert at_alice["step"] == at_bob["step"] == 1
    assert not (tmp_path / "alice" / "run.ckpt.new").exists()


def test_one_path_for_two_parties(tmp_path):
    errors = together(2, lambda session: save_in(session, 1, tmp_path / "run.ckpt"))
    texts = sorted(map(str, errors))
    assert all(isinstance(error, SessionError) for error in errors)
    assert "another process writes" in texts[1] or "another process writes" in texts[0]
    assert any("could not write" in text for text in texts)
    assert os.listdir(tmp_path) == []


def test_the_file_of_the_other_party(tmp_path):
    save_steps(tmp_path, 1)
    shutil.copy(tmp_path / "bob" / "run.ckpt", tmp_path / "alice" / "run.ckpt")
    alice, bob = load_all(tmp_path)
    assert isinstance(alice, SessionError) and isinstance(bob, SessionError)
    assert "it has the shares of bob; this process is alice" in str(alice)
    assert "alice has no usable one; bob has number 1" in str(bob)


def test_simulated_and_deployed(tmp_path):
    save_steps(tmp_path, 1)
    with make_session():
        with pytest.raises(SessionError, match=r"shares of alice; this process is all parties"):
            mpc.load(tmp_path / "alice" / "run.ckpt")
        mpc.save(1, tmp_path / "all")
    for place in ("alice", "bob"):
        shutil.copy(tmp_path / "all", tmp_path / place / "run.ckpt")
    for error in load_all(tmp_path):
        assert isinstance(error, SessionError)
        assert "shares of all parties, a simulated session; this process is" in str(error)


def test_a_mix_of_two_checkpoints(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        save_steps(folder, 1)
    shutil.copy(one / "alice" / "run.ckpt", other / "alice" / "run.ckpt")
    for error in load_all(other):
        assert isinstance(error, SessionError)
        assert "no checkpoint in common: alice has number 1 (" in str(error)


def test_one_party_lost_its_last_file(tmp_path):
    save_steps(tmp_path, 1, 2)
    (tmp_path / "bob" / "run.ckpt").unlink()
    with pytest.warns(UserWarning):
        assert steps_of(load_all(tmp_path)) == [1, 1]
    save_steps(tmp_path, 3)
    assert steps_of(load_all(tmp_path)) == [3, 3]
    for file in (tmp_path / "bob").iterdir():
        file.unlink()
    alice, bob = load_all(tmp_path)
    assert not isinstance(alice, FileNotFoundError) and "no such file" in str(bob)
    assert "alice has number" in str(bob) and "bob has no usable one" in str(alice)


def test_no_checkpoint_yet(tmp_path):
    for error in load_all(tmp_path):
        assert isinstance(error, SessionError) and isinstance(error, FileNotFoundError)


# Whoever stops, whenever


class Watch:
    """Copies a party's folder whenever its disk, or what it sent or received, has changed.

    states: by party, (copy, rounds sent, rounds received).
    """

    def __init__(self, folder, patched):
        self.folder, self.states, self.sessions = folder, {}, {}
        for step in ("replace", "fsync"):
            patched.setattr(os, step, self._watched(getattr(os, step)))

    def _watched(self, step):
        def run(*args, **kwargs):
            self.note()
            out = step(*args, **kwargs)
            self.note()
            return out

        return run

    def begin(self, session):
        self.sessions[threading.current_thread()] = session
        session.transport.moved = self.note
        self.note()

    def note(self):
        session = self.sessions[threading.current_thread()]
        states = self.states.setdefault(name(session), [])
        copy = self.folder / f"{name(session)}-{len(states)}"
        shutil.copytree(self.folder / name(session), copy)
        states.append((copy, session.transport.sent, session.transport.got))


@pytest.mark.parametrize("history", [(), (1,), (1, 2)])
def test_every_moment_of_a_save(tmp_path, monkeypatch, history):
    """Any two moments at which both parties could stop leave the same checkpoint at both."""
    save_steps(tmp_path, *history)
    with monkeypatch.context() as patched:
        watch = Watch(tmp_path, patched)

        def program(session):
            path = home(tmp_path, session)
            watch.begin(session)
            save_in(session, {"step": 9}, path)

        assert together(2, program) == [None, None]
    outcomes = []
    for alice, sent, got in watch.states["alice"]:
        for bob, sent_too, got_too in watch.states["bob"]:
            if got > sent_too or got_too > sent:
                continue  # nobody has received what was not sent
            place = tmp_path / f"{alice.name}-{bob.name}"
            shutil.copytree(alice, place / "alice")
            shutil.copytree(bob, place / "bob")
            outcomes.append(recovered(place, history))
    assert len(outcomes) > 40 and set(outcomes) == {"before", "after"}


def recovered(place, history):
    """Which checkpoint both come back to; they can go on from it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = steps_of(load_all(place))
    if got == [9, 9]:
        outcome = "after"
    elif not history:
        assert all(isinstance(error, FileNotFoundError) for error in got), got
        outcome = "before"
    else:
        assert got == [history[-1]] * 2
        outcome = "before"
    save_steps(place, 10)
    assert steps_of(load_all(place)) == [10, 10]
    return outcome
