"""How members come together, and what each of them is told where they do not."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from mpctensor.deployment import Config, Membership, join, joining, load
from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Caller
from mpctensor.provider import Service
from mpctensor.transport import Meter
from tests.deployed.processes import line_up
from tests.transport.test_network import channels

THREE = ("alice", "bob", "carol")
SETTINGS = {"base": 2, "precision": 16}


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


def test_who_is_expected():
    """Only once each, and only those who mean this session."""
    reception = joining._Reception({"replica": 0}, {"bob"})
    assert "not expected here (bob)" in str(reception.judge("eve", {"replica": 0}))
    assert "this session is of {'replica': 0}" in str(reception.judge("bob", {"replica": 1}))
    assert reception.judge("bob", {"replica": 0}) is None and reception.missing == ["bob"]
    (one, _), (two, other) = channels(2), channels(2)
    for channel in (one[1], two[1]):
        reception.arrived(Caller("bob", {}, channel))  # both were judged before either came
    assert reception.channels == {"bob": one[1]} and reception.complete(0)
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
