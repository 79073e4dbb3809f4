"""Introductions: probes, and callers that are slow, nameless or not what they say."""

import socket
import threading
from collections.abc import Iterator
from time import monotonic, sleep, time

import pytest

from mpctensor.command import keys
from mpctensor.command.certificates import Authority, NameOID, Validity, hashes, x509
from mpctensor.command.throwaway import HOST, deployment
from mpctensor.deployment import Config, load
from mpctensor.errors import PeerError
from mpctensor.network import Identity, Listener, dial, listener, probe
from mpctensor.network.introduction import LENGTH
from mpctensor.release import VERSION


@pytest.fixture
def config() -> Iterator[Config]:
    with deployment(("alice", "bob"), "james") as path:
        yield load(path)


@pytest.fixture
def james(config: Config) -> Iterator[Listener]:
    """A member that listens, and refuses what it is asked."""
    listener = Listener(
        config.identity("james"), (HOST, 0), lambda name, topic: "not now", print, 10
    )
    yield listener
    listener.close()


def two_names(config: Config) -> Identity:
    """alice with a certificate that also names bob."""
    authority = Authority.new(Validity.of_days(9))
    ca = config.path.parent / "ca.pem"
    ca.write_bytes(keys.pem(authority.certificate))
    key = keys.new_key()
    names = x509.SubjectAlternativeName([x509.DNSName("alice"), x509.DNSName("bob")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    request = x509.CertificateBuilder(
        authority.certificate.subject,
        name,
        key.public_key(),
        x509.random_serial_number(),
        authority.certificate.not_valid_before_utc,
        authority.certificate.not_valid_after_utc,
    ).add_extension(names, critical=False)
    files = keys.member_files(config, "alice")
    files.key.write_bytes(keys.key_pem(key))
    files.certificate.write_bytes(keys.pem(request.sign(authority.key, hashes.SHA256())))
    return config.identity("alice")


def wait_for(listener: Listener, words: str, seconds: float = 10) -> None:
    """Until the listener's last failure says so."""
    until = monotonic() + seconds
    while words not in listener.last_failure and monotonic() < until:
        sleep(0.01)
    assert words in listener.last_failure


def test_probe_tells_time_and_release(config: Config, james: Listener) -> None:
    answer = probe(config.identity("alice"), (HOST, james.port), "james")
    assert abs(answer["time"] - time()) < 30
    assert answer["release"] == VERSION
    with pytest.raises(PeerError, match="answers as 'james', not as 'bob'"):
        probe(config.identity("alice"), (HOST, james.port), "bob")
    with socket.create_server((HOST, 0)) as bound:
        port = bound.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):  # at once: a call would be tried again
        probe(config.identity("alice"), (HOST, port), "james")


def test_a_refusal_says_why(config: Config, james: Listener) -> None:
    with pytest.raises(PeerError, match=r"james refused the call of alice: not now"):
        dial(config.identity("alice"), (HOST, james.port), "james", {}, monotonic() + 10, 10)


def test_a_certificate_of_two_names_is_refused(config: Config) -> None:
    alice = two_names(config)
    listener = Listener(
        Identity("bob", alice.certificate, alice.key, alice.ca),
        (HOST, 0),
        lambda name, topic: None,
        print,
        10,
    )
    try:
        with pytest.raises(PeerError, match="exactly one member"):
            probe(alice, (HOST, listener.port), "bob")
        raw = socket.create_connection((HOST, listener.port))
        connection = alice._context(False).wrap_socket(raw)
        wait_for(listener, "exactly one member")
        assert connection.recv(1) == b""
        connection.close()
    finally:
        listener.close()


@pytest.mark.parametrize("handshake", [False, True])
def test_a_slow_caller_is_hung_up_on(
    config: Config, james: Listener, monkeypatch: pytest.MonkeyPatch, handshake: bool
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    connection = socket.create_connection((HOST, james.port))
    if handshake:
        connection = config.identity("alice")._context(False).wrap_socket(connection)
    connection.send(LENGTH.pack(4000) if handshake else b"\x16\x03\x01\x10\x00")
    started = monotonic()
    over = threading.Event()

    def drip() -> None:
        try:
            while not over.wait(0.05):
                connection.send(b"\x01")
        except OSError:
            over.set()

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    dripping.join(10)
    assert over.is_set()
    assert monotonic() - started < 5
    connection.close()
    wait_for(james, "a caller from")
