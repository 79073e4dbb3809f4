"""Members that vanish, stop, or are cut off, at any moment."""

import signal
import socket
import struct
import threading
import time

import pytest

from mpctensor.deployment import load
from tests.deployed import faulty
from tests.deployed.faults import (
    LIMIT,
    TIMEOUT,
    await_word,
    check_told,
    deaf,
    last_line,
    started,
    struck,
)
from tests.deployed.processes import ended, line_up, parties, provider, start

THREE = ("alice", "bob", "carol")


def quick(folder, names=("alice", "bob"), **options):
    return line_up(folder, names, timeout=TIMEOUT, startup=20, **options)


def strike(name, number):
    return lambda processes: processes[name].send_signal(number)


@pytest.mark.parametrize("case", ["small", "large", "forked", "busy"])
def test_a_killed_party(tmp_path, case):
    config = quick(tmp_path)
    with provider(config):
        out = struck(started(config, case), strike("bob", signal.SIGKILL))
    check_told(tmp_path, out, {"alice": r"PeerError: bob is gone: "})


def test_one_of_three_is_killed(tmp_path):
    config = quick(tmp_path, THREE)
    with provider(config):
        out = struck(started(config, "small", THREE), strike("bob", signal.SIGKILL))
    for name in ("alice", "carol"):
        check_told(tmp_path, out, {name: r"PeerError: .*bob is gone: "})


def test_a_stopped_party(tmp_path):
    config = quick(tmp_path)
    with provider(config):
        processes = started(config, "small")
        processes["bob"].send_signal(signal.SIGSTOP)
        alice = {"alice": processes["alice"]}
        out = ended(alice, LIMIT)
        processes["bob"].send_signal(signal.SIGCONT)
        out |= ended({"bob": processes["bob"]}, LIMIT)
    check_told(tmp_path, out, {"alice": r"PeerError: bob sent nothing for 3 s; `timeout` sets"})
    check_told(tmp_path, out, {"bob": r"PeerError: alice (gave up: bob sent nothing|is gone)"})


def test_one_of_three_stops_while_they_train(tmp_path):
    config = quick(tmp_path, THREE)
    with provider(config):
        processes = started(config, "training", THREE)
        bob = processes.pop("bob")
        bob.send_signal(signal.SIGSTOP)
        try:
            out = ended(processes, LIMIT)
        finally:
            bob.kill()
            bob.communicate()
    said = r"PeerError: ((alice|carol) gave up: )?bob sent nothing for 3 s"
    check_told(tmp_path, out, {"alice": said, "carol": said})


def test_a_terminated_party(tmp_path):
    """Plain python ends without a word."""
    config = quick(tmp_path)
    with provider(config):
        out = struck(started(config, "busy"), strike("bob", signal.SIGTERM))
    check_told(tmp_path, out, {"alice": "PeerError: bob is gone: "})
    assert out["bob"][0] == -signal.SIGTERM


def test_one_of_three_gives_up_while_others_wait_for_a_stopped_one(tmp_path):
    """carol hears of alice at once, although she waits for bob."""
    config = line_up(tmp_path, THREE, timeout=10 * LIMIT, startup=20)
    with provider(config):
        processes = started(config, "busy", THREE)
        bob = processes.pop("bob")
        bob.send_signal(signal.SIGSTOP)
        try:
            out = struck(processes, strike("alice", signal.SIGINT))
        finally:
            bob.kill()
            bob.communicate()
    check_told(tmp_path, out, {"carol": "PeerError: alice gave up: it was interrupted"})


@pytest.mark.parametrize("case", ["busy", "interrupted_within"])
def test_an_interrupted_party(tmp_path, case):
    """Between rounds: what has left of one that was under way could not be told."""
    config = quick(tmp_path)
    with provider(config):
        out = struck(started(config, case), strike("bob", signal.SIGINT))
    check_told(tmp_path, out, {"alice": "PeerError: bob gave up: it was interrupted"})
    assert "KeyboardInterrupt" in out["bob"][2]


@pytest.mark.parametrize("case", ["small", "large"])
def test_a_party_interrupted_in_the_midst_of_rounds(tmp_path, case):
    """What of a frame has left cannot be told then: alice hears why, or only that bob is gone."""
    config = quick(tmp_path)
    with provider(config):
        out = struck(started(config, case), strike("bob", signal.SIGINT))
    check_told(tmp_path, out, {"alice": "PeerError: bob (gave up: it was interrupted|is gone: )"})
    assert "KeyboardInterrupt" in last_line(out["bob"]), out["bob"]


def test_nobody_else_turns_up(tmp_path):
    config = line_up(tmp_path, timeout=TIMEOUT, startup=2)
    with provider(config):
        out = ended(parties(config, faulty.__file__, "once", names=["alice"]), LIMIT)
        out |= ended(parties(config, faulty.__file__, "once", names=["bob"]), LIMIT)
    check_told(tmp_path, out, {"alice": r"PeerError: bob did not call in time; `startup` \(2 s\)"})
    check_told(tmp_path, out, {"bob": "PeerError: alice cannot be reached at 127.0.0.1:"})


# While the session gathers


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGKILL, "bob is gone: "),
        (signal.SIGTERM, "bob is gone: "),
        (signal.SIGINT, "bob gave up: it was interrupted"),
    ],
)
def test_a_party_ends_while_both_call_the_provider(tmp_path, number, told):
    config = line_up(tmp_path, timeout=10 * LIMIT, startup=10 * LIMIT)
    with deaf(config) as both_call:
        processes = parties(config, faulty.__file__, "once")
        both_call()
        out = struck(processes, strike("bob", number))
    check_told(tmp_path, out, {"alice": f"PeerError: {told}"})


def test_a_party_alone_cannot_reach_the_provider(tmp_path):
    """alice, who can, hears of it before her time is over."""
    config = quick(tmp_path)
    text = config.read_text().replace("startup = 20", "startup = 2")
    bobs = tmp_path / "bob.toml"
    port = load(config).provider.address[1]
    with socket.socket() as nobody, provider(config):
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        bobs.write_text(text.replace(f":{port}", f":{nobody.getsockname()[1]}"))
        files = {"alice": config, "bob": bobs}
        out = ended(
            {
                name: start(file, faulty.__file__, "once", MPCTENSOR_PARTY=name)
                for name, file in files.items()
            },
            LIMIT,
        )
    said = r"james cannot be reached at 127.0.0.1:\d+: connection refused"
    check_told(tmp_path, out, {"alice": f"bob gave up: {said}", "bob": f"PeerError: {said}"})


# The provider


def test_the_provider_is_killed_and_comes_back(tmp_path):
    config = quick(tmp_path)
    with provider(config) as james:
        out = struck(started(config, "small"), lambda _: james.kill())
        james.wait()
    check_told(
        tmp_path,
        out,
        {"alice": "PeerError: bob gave up: james is gone", "bob": "PeerError: james is gone"},
    )
    with provider(config):
        again = ended(parties(config, faulty.__file__, "once"), LIMIT)
    assert [code for code, _, _ in again.values()] == [0, 0], again


def test_the_provider_stops(tmp_path):
    config = quick(tmp_path)
    with provider(config) as james:
        out = struck(started(config, "small"), lambda _: james.send_signal(signal.SIGSTOP))
    check_told(
        tmp_path,
        out,
        {
            "alice": r"PeerError: bob gave up: james dealt nothing for 2.25 s",
            "bob": r"PeerError: james dealt nothing for 2.25 s",
        },
    )


@pytest.mark.parametrize(
    ("case", "said", "names"),
    [
        ("raises_undealt", "alice gave up: it met a ValueError", THREE),
        ("interrupted_undealt", "alice gave up: it was interrupted", ("alice", "bob")),
        ("exits_undealt", "alice is gone: ", ("alice", "bob")),
    ],
)
def test_a_party_ends_while_another_waits_for_the_provider(tmp_path, case, said, names):
    """Told at once, not when the provider's time is over: that is longer than the limit here."""
    config = line_up(tmp_path, names, timeout=2 * LIMIT, startup=20)
    with provider(config) as james:
        processes = started(config, case, names)
        james.send_signal(signal.SIGSTOP)
        out = struck(processes, lambda _: (tmp_path / "stopped").touch())
    check_told(tmp_path, out, dict.fromkeys(names[1:], f"PeerError: {said}"))


def test_there_is_no_provider(tmp_path):
    config = line_up(tmp_path, timeout=TIMEOUT, startup=2)
    out = ended(parties(config, faulty.__file__, "once"), LIMIT)
    for name in out:
        check_told(tmp_path, out, {name: r"PeerError: .*james cannot be reached at 127.0.0.1:"})


# The line between the parties


class Relay:
    """Relays connections to a port until told to reset them, or to swallow what comes."""

    def __init__(self, port):
        self._port, self.fault = port, ""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            here, _ = self._server.accept()
            there = self._reached()
            for ends in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _reached(self):
        """The target, as soon as it listens."""
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                time.sleep(0.05)

    def _pump(self, source, target):
        source.settimeout(0.05)
        with source:
            while self.fault != "reset":
                try:
                    data = source.recv(1 << 16)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if self.fault != "swallow":
                    target.sendall(data)
                if not data:
                    break
            linger = struct.pack("ii", self.fault == "reset", 0)
            source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.parametrize("fault", ["reset", "swallow"])
def test_the_line_breaks(tmp_path, fault):
    config = quick(tmp_path)
    text = config.read_text()
    port = int(text.split("127.0.0.1:")[1].split('"')[0])
    relay = Relay(port)
    bobs = tmp_path / "bob.toml"
    bobs.write_text(text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{relay.port}"))
    with provider(config):
        processes = {
            name: start(file, faulty.__file__, "small", MPCTENSOR_PARTY=name)
            for name, file in (("alice", config), ("bob", bobs))
        }
        for process in processes.values():
            await_word(process)
        out = struck(processes, lambda _: setattr(relay, "fault", fault))
    words = r"is gone: |gave up: .* is gone" if fault == "reset" else r"sent nothing for 3 s"
    check_told(tmp_path, out, {"alice": f"PeerError: bob ({words}|gave up)"})
    check_told(tmp_path, out, {"bob": f"PeerError: alice ({words}|gave up|is gone)"})
