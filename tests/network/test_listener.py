"""Who calls a member: strangers who stall, halves of calls, and files that do not fit."""

import queue
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from time import monotonic

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from mpctensor.command import keys
from mpctensor.command.certificates import load_key
from mpctensor.command.throwaway import HOST, deployment
from mpctensor.deployment import Config, load
from mpctensor.errors import SessionError
from mpctensor.network import Caller, Identity, Kind, Listener, dial, listener, probe
from mpctensor.network.identity import CredentialsError
from mpctensor.network.introduction import read, write
from mpctensor.network.meeting import PROTOCOL

PLAIN = Identity("bob")


@pytest.fixture
def arrived() -> "queue.Queue[Caller]":
    return queue.Queue()


@pytest.fixture
def alice(arrived: "queue.Queue[Caller]") -> Iterator[Listener]:
    """A member over plain TCP, who welcomes everybody."""
    made = Listener(Identity("alice"), (HOST, 0), lambda name, topic: None, arrived.put, 10)
    yield made
    made.close()


@pytest.fixture
def config() -> Iterator[Config]:
    with deployment(("alice", "bob"), "james") as path:
        yield load(path)


def half(to: Listener, direction: str, ticket: str = "t") -> socket.socket:
    """One of a call's two connections, welcomed."""
    connection = socket.create_connection((HOST, to.port), timeout=20)
    said = {"protocol": PROTOCOL, "from": "bob", "to": "alice", "topic": {}}
    write(connection, {**said, "ticket": ticket, "direction": direction})
    assert read(connection) == {"name": "alice", "welcome": True}
    return connection


@pytest.mark.parametrize("tls", [False, True])
def test_strangers_who_stall_keep_no_member_out(
    config: Config, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 60)
    identity = config.identity if tls else Identity
    arrived: queue.Queue[Caller] = queue.Queue()
    alice = Listener(identity("alice"), (HOST, 0), lambda name, topic: None, arrived.put, 10)
    try:
        with ExitStack() as stack:
            for _ in range(100):
                stranger = socket.create_connection((HOST, alice.port), timeout=20)
                stack.enter_context(stranger).sendall(b"\x16\x03\x01")  # a hello that never ends
            channel = dial(identity("bob"), (HOST, alice.port), "alice", {}, monotonic() + 20, 10)
            caller = arrived.get(timeout=20)
            caller.channel.send(Kind.OPENING, text="come in")
            assert channel.receive(Kind.OPENING).text == "come in"
            assert len(alice._guests) <= listener.MOST_GUESTS
            channel.close()
            caller.channel.close()
    finally:
        alice.close()


def test_who_has_proved_a_name_does_not_make_room(config: Config) -> None:
    made = Listener(config.identity("alice"), (HOST, 0), lambda name, topic: None, print, 10)
    try:
        with ExitStack() as stack:
            raw = socket.create_connection((HOST, made.port), timeout=20)
            context = config.identity("bob").context(server=False)
            assert context is not None
            bob = stack.enter_context(context.wrap_socket(raw))
            said = {"protocol": PROTOCOL, "from": "bob", "to": "alice", "topic": {}}
            write(bob, {**said, "ticket": "t", "direction": "out"})
            assert read(bob)["welcome"]
            for _ in range(100):
                stack.enter_context(socket.create_connection((HOST, made.port), timeout=20))
            probe(config.identity("bob"), (HOST, made.port), "alice")  # after all of them
            assert [key[0] for key in made._halves] == ["bob"]
    finally:
        made.close()


def test_half_a_call_is_hung_up_on(
    alice: Listener, arrived: "queue.Queue[Caller]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.3)
    with half(alice, "out") as connection:
        assert connection.recv(1) == b""
    assert not alice._halves and not alice._guests
    monkeypatch.setattr(listener, "PATIENCE", 20)
    with half(alice, "out"), half(alice, "in"):  # the same ticket begins anew
        caller = arrived.get(timeout=20)
        assert caller.name == "bob"
        caller.channel.close()


def test_the_same_half_twice(alice: Listener, arrived: "queue.Queue[Caller]") -> None:
    with half(alice, "out"), half(alice, "out") as again:
        assert again.recv(1) == b""
        with half(alice, "in"):
            arrived.get(timeout=20).channel.close()


@pytest.mark.parametrize("wrong", [{"direction": []}, {"direction": {}}, {"ticket": 1}])
def test_a_malformed_introduction_is_answered(alice: Listener, wrong: dict[str, object]) -> None:
    """Also where what it says has no hash."""
    said = {"protocol": PROTOCOL, "from": "bob", "to": "alice", "topic": {}}
    with socket.create_connection((HOST, alice.port), timeout=20) as connection:
        write(connection, {**said, "ticket": "t", "direction": "out", **wrong})
        assert read(connection)["refused"] == "the introduction is malformed"
        assert connection.recv(1) == b""


def test_a_listener_that_closes_hangs_up_on_those_who_wait(alice: Listener) -> None:
    with half(alice, "in") as connection:
        alice.close()
        assert connection.recv(1) == b""
    with pytest.raises(OSError):
        socket.create_connection((HOST, alice.port), timeout=1)


@pytest.mark.parametrize("role", ["called", "caller"])
def test_a_key_of_another_certificate(config: Config, role: str) -> None:
    files = keys.member_files(config, "alice")
    files.key.write_bytes(keys.key_pem(keys.new_key()))
    alice = config.identity("alice")
    with pytest.raises(SessionError, match="the key is not the certificate's") as caught:
        if role == "called":
            Listener(alice, (HOST, 0), lambda name, topic: None, print, 10)
        else:
            dial(alice, (HOST, 1), "bob", {}, monotonic(), 10)
    assert str(files.key) in str(caught.value) and str(files.certificate) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "holds", "said"),
    [
        ("ca", "key", "holds no certificate of an authority; put the authority's"),
        ("certificate", "key", "holds no certificate; put alice's there"),
        ("key", "ca", "holds no private key that can be used; put the key there"),
        ("key", "folder", "cannot be read: is a directory; let the user"),
        ("ca", "nothing", "cannot be read: no such file or directory; put it there"),
    ],
)
def test_files_that_hold_something_else(config: Config, file: str, holds: str, said: str) -> None:
    alice = config.identity("alice")
    folder = config.path.parent
    others = {"key": alice.key, "ca": alice.ca, "folder": folder, "nothing": folder / "none"}
    wrong = replace(alice, **{file: others[holds]})
    with pytest.raises(CredentialsError) as caught:
        Listener(wrong, (HOST, 0), lambda name, topic: None, print, 10)
    assert str(caught.value).startswith(f"{others[holds]} {said}")


def test_a_key_with_a_password(config: Config) -> None:
    alice = config.identity("alice")
    assert alice.key is not None
    locked = BestAvailableEncryption(b"secret")
    key = load_key(alice.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    alice.key.write_bytes(key)
    with pytest.raises(
        CredentialsError, match=r"encrypted with a password\); .*without a password"
    ):
        Listener(alice, (HOST, 0), lambda name, topic: None, print, 10)


@pytest.mark.parametrize(
    ("host", "said", "unsaid"),
    [
        (HOST, "is another process already alice here", "none of this machine's"),
        ("127.0.0.1.2", "cannot listen", "is another process"),
        ("192.0.2.1", "none of this machine's addresses", "is another process"),
    ],
)
def test_an_address_that_cannot_be_had(
    alice: Listener, config: Config, host: str, said: str, unsaid: str
) -> None:
    with pytest.raises(SessionError, match=said) as caught:
        Listener(config.identity("alice"), (host, alice.port), lambda *_: None, print, 10)
    assert unsaid not in str(caught.value)


def test_an_address_of_ipv6() -> None:
    arrived: queue.Queue[Caller] = queue.Queue()
    alice = Listener(Identity("alice"), ("::1", 0), lambda name, topic: None, arrived.put, 10)
    try:
        channel = dial(PLAIN, ("::1", alice.port), "alice", {}, monotonic() + 10, 10)
        with pytest.raises(SessionError, match=rf"\[::1\]:{alice.port}"):
            Listener(Identity("alice"), ("::1", alice.port), lambda name, topic: None, print, 10)
        channel.close()
        arrived.get(timeout=10).channel.close()
    finally:
        alice.close()
