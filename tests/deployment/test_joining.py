"""How members come together, and what each of them is told where they do not."""

import queue
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest

from mpctensor.deployment import Config, Membership, join, joining, load
from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Caller, Channel, Kind, Listener, dial, probe
from mpctensor.network.parting import cut
from mpctensor.provider import Service
from mpctensor.transport import Meter
from tests.deployed.processes import line_up
from tests.transport.test_network import channels

THREE = ("alice", "bob", "carol")
SETTINGS = {"base": 2, "precision": 16}
LONG = dict.fromkeys(THREE, 1000.0)  # `startup`, so that nobody waits it out


@pytest.fixture
def config(tmp_path) -> Config:
    return load(line_up(tmp_path, THREE, timeout=20, startup=20, plain=True))


@pytest.fixture
def james(config: Config) -> Iterator[None]:
    service = Service(
        *(config.identity("james"), config.provider.address, config.names), timeout=20, startup=20
    )
    with closing(service):
        yield


def joined(
    config: Config,
    names: Sequence[str] = THREE,
    settings: Mapping[str, dict[str, Any]] | None = None,
    startup: Mapping[str, float] | None = None,
) -> dict[str, Membership | BaseException]:
    """What each of the parties gets from `join`, or what it raises; all in this process."""
    results: dict[str, Membership | BaseException] = {}

    def run(name: str) -> None:
        own = replace(config, startup=(startup or {}).get(name, config.startup))
        try:
            results[name] = join(own, name, Meter(), (settings or {}).get(name, SETTINGS))
        except BaseException as error:
            results[name] = error

    threads = [threading.Thread(target=run, args=(name,), name=name) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def test_all_are_there(config, james):
    found = joined(config)
    assert {type(member) for member in found.values()} == {Membership}, found
    assert len({member.public_seed for member in found.values()}) == 1
    assert [found[name].provider is not None for name in THREE] == [False, False, True]
    for member in found.values():
        member.transport.close()
    found["carol"].provider.close()


def test_one_does_not_come(config):
    found = joined(config, ["alice", "bob"], startup={"alice": 1, "bob": 1})
    said = "carol did not call in time; `startup` (1 s) in parties.toml sets how long to wait"
    for name in ("alice", "bob"):
        assert isinstance(found[name], PeerError) and str(found[name]) == said


@pytest.mark.parametrize("error", [ValueError("the secret is 5"), KeyboardInterrupt()])
def test_who_gives_up_says_why_to_all(config, monkeypatch, error):
    fresh = joining._fresh

    def broken() -> bytes:
        if threading.current_thread().name == "alice":
            raise error
        return fresh()

    monkeypatch.setattr(joining, "_fresh", broken)
    found = joined(config)
    assert found["alice"] is error
    why = "it was interrupted" if isinstance(error, KeyboardInterrupt) else "it met a ValueError"
    for name in ("bob", "carol"):
        assert isinstance(found[name], PeerError)
        assert f"alice gave up: {why}" in str(found[name]) and "secret" not in str(found[name])


# Those that are there already


def dialled(config: Config, name: str, to: str) -> Channel:
    """The channel of one that has called another, and says no more."""
    topic = {"parties": list(THREE), "replica": 0}
    member = config.member(to)
    return dial(config.identity(name), member.address, to, topic, monotonic() + 20, 20)


def vanish(channel: Channel) -> None:
    for connection in (channel.outgoing, channel.incoming):
        cut(connection)


def interrupt(channel: Channel) -> None:
    channel.close(Kind.ABORT, "it was interrupted")


ENDS = {vanish: "bob is gone: ", interrupt: "bob gave up: it was interrupted"}


@pytest.mark.parametrize("end", ENDS)
def test_who_awaits_a_call_hears_of_one_that_is_there(config, end):
    found: dict[str, Any] = {}
    alice = threading.Thread(target=lambda: found.update(joined(config, ["alice"], startup=LONG)))
    alice.start()
    end(dialled(config, "bob", "alice"))
    alice.join(60)
    assert isinstance(found["alice"], PeerError) and ENDS[end] in str(found["alice"])


@pytest.mark.parametrize("end", ENDS)
def test_who_calls_hears_of_one_that_is_there(config, end):
    """carol has met bob, and calls alice, who does not answer."""
    order = replace(config, parties=(config.parties[1], config.parties[0], config.parties[2]))
    met: queue.Queue[Caller] = queue.Queue()
    bob = config.member("bob")
    listener = Listener(config.identity("bob"), bob.address, lambda *_: None, met.put, 20)
    with closing(listener), closing(socket.create_server(config.member("alice").address)):
        found: dict[str, Any] = {}
        carol = threading.Thread(
            target=lambda: found.update(joined(order, ["carol"], startup=LONG))
        )
        carol.start()
        end(met.get(timeout=20).channel)
        carol.join(60)
    assert isinstance(found["carol"], PeerError) and ENDS[end] in str(found["carol"])


@pytest.mark.parametrize("end", ENDS)
def test_who_awaits_an_introduction_hears_of_another(config, end):
    """alice has met both, and carol says nothing."""
    found: dict[str, Any] = {}
    alice = threading.Thread(target=lambda: found.update(joined(config, ["alice"], startup=LONG)))
    alice.start()
    bob, carol = (dialled(config, name, "alice") for name in ("bob", "carol"))
    bob.receive_json()  # alice introduces herself to all before she listens
    said = {"settings": SETTINGS, "nonce": "ab" * 32, "public": "cd" * 32, "pair": "ef" * 32}
    bob.send_json(said)
    end(bob)
    alice.join(60)
    vanish(carol)
    assert isinstance(found["alice"], PeerError) and ENDS[end] in str(found["alice"])


# Another process with one's name


@pytest.fixture
def twin(config, james, monkeypatch) -> Iterator[dict[str, Membership | BaseException]]:
    """A session that runs, which this process knows nothing of."""
    found = joined(config)
    monkeypatch.setattr(joining, "_ours", set())
    yield found
    for member in found.values():
        member.transport.close()
    found["carol"].provider.close()


SERVES = "james serves a session of alice, bob, carol already, in which another process is "


@pytest.mark.parametrize("name", ["bob", "carol"])
def test_who_calls_in_vain_hears_of_its_double(config, twin, name):
    error = joined(config, [name], startup=LONG)[name]
    assert isinstance(error, PeerError)
    assert str(error) == (
        f"alice takes no calls; {SERVES}{name}; end that one first, or, for a session beside it,"
        f" start alice before {name}"
    )


def test_who_is_not_called_hears_of_its_double_in_the_end(config, twin):
    error = joined(config, ["alice"], startup={"alice": 1})["alice"]
    assert isinstance(error, PeerError)
    assert str(error).startswith("bob, carol did not call in time; `startup` (1 s)")
    assert str(error).endswith(f"; {SERVES}alice")


def test_a_session_of_ones_own_or_of_another_replica_is_no_double(config, twin, monkeypatch):
    identity = config.identity("bob")
    doubles = [joining._Double(config, identity, replica, lambda: None) for replica in (0, 1)]
    assert [double.hint() for double in doubles] == [f"; {SERVES}bob", ""]
    nonce = probe(identity, config.provider.address, "james")["sessions"]
    monkeypatch.setattr(joining, "_ours", set(nonce))
    assert doubles[0].hint() == ""
    end = doubles[0].watched("alice")
    monkeypatch.setattr(joining, "DOUBT", 0)
    end()


@pytest.mark.parametrize("answer", [{}, {"sessions": [1]}, {"sessions": None}])
def test_a_provider_that_knows_of_no_sessions(config, monkeypatch, answer):
    monkeypatch.setattr(joining, "probe", lambda *_: answer)
    assert joining._Double(config, config.identity("bob"), 0, lambda: None).hint() == ""


def test_a_provider_that_is_not_there_knows_of_none(config):
    assert joining._Double(config, config.identity("bob"), 0, lambda: None).hint() == ""


def test_who_is_expected():
    """Only once each, and only those who mean this session."""
    reception = joining._Reception({"replica": 0}, {"bob"})
    assert "not expected here (bob)" in str(reception.judge("eve", {"replica": 0}))
    assert "this session is of {'replica': 0}" in str(reception.judge("bob", {"replica": 1}))
    assert reception.judge("bob", {"replica": 0}) is None and reception.missing == ["bob"]
    (one, _), (two, other) = channels(2), channels(2)
    for channel in (one[1], two[1]):
        reception.arrived(Caller("bob", {}, channel))  # both were judged before either came
    assert reception.channels == {"bob": one[1]} and reception.complete(0, lambda: None)
    assert "is here already" in str(reception.judge("bob", {"replica": 0}))
    with pytest.raises(PeerError):
        other[0].receive()


def test_settings_that_differ(config, james):
    settings = {"alice": SETTINGS, "bob": SETTINGS, "carol": {"base": 2, "precision": 12}}
    found = joined(config, settings=settings)
    told = "`precision` is 16 at alice and 12 at carol: every party must use the same"
    assert str(found["alice"]) == told
    assert all(isinstance(found[name], SessionError) for name in THREE)
    assert "`precision`" in str(found["bob"]) and "`precision`" in str(found["carol"])


def test_there_is_no_provider(config):
    found = joined(config, startup={"alice": 3, "bob": 3, "carol": 1})
    for error in found.values():
        assert isinstance(error, PeerError) and "james cannot be reached at" in str(error)
