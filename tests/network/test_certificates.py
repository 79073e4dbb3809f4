"""Certificates that do not count, at a party's port and at the provider's: both sides say why."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest

from mpctensor.command import keys
from mpctensor.command.certificates import Authority, Validity
from mpctensor.command.throwaway import HOST
from mpctensor.deployment import Config, load
from mpctensor.errors import PeerError
from mpctensor.network import Identity, Listener, dial
from mpctensor.provider import Service
from tests.deployed.processes import line_up

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
EXPIRED = Validity(NOW - 2 * DAY, NOW - DAY)
FUTURE = Validity(NOW + DAY, NOW + 2 * DAY)
TODAY = Validity.of_days(1)

# what: (name in it, validity, of another authority), what bob hears, what the member called notes
CASES = {
    "another authority": (("bob", TODAY, True), "unknown there.*`mpctensor doctor`", "certificate"),
    "expired": (("bob", EXPIRED, False), "has expired; .*`mpctensor doctor`", "has expired"),
    "not valid yet": (("bob", FUTURE, False), "not valid yet.*`mpctensor doctor`", "not yet valid"),
    "another member": (
        ("alice", TODAY, False),
        "certificate is for 'alice', not for bob",
        "'alice'",
    ),
}


@pytest.fixture
def config(tmp_path) -> Config:
    return load(line_up(tmp_path))


@pytest.fixture(params=["party", "provider"])
def called(request, config: Config) -> Iterator[tuple[str, Listener]]:
    """(name, listener) of the member that bob calls."""
    with ExitStack() as stack:
        if request.param == "party":
            alice = config.identity("alice")
            listener = Listener(alice, (HOST, 0), lambda name, topic: "not now", print, 10)
            stack.enter_context(closing(listener))
            yield "alice", listener
        else:
            service = Service(
                config.identity("james"), (HOST, 0), config.names, timeout=10, startup=10
            )
            stack.enter_context(closing(service))
            yield "james", service._listener


def issue(config: Config, member: str, name: str, validity: Validity, stranger: bool) -> Identity:
    """The member with another certificate."""
    folder = config.path.parent
    authority = Authority.load(folder / "ca.pem", folder / "ca.key")
    if stranger:
        authority = Authority.new(TODAY, "others")
    key = keys.new_key()
    files = keys.member_files(config, member)
    files.key.write_bytes(keys.key_pem(key))
    files.certificate.write_bytes(keys.pem(authority.issue(name, key.public_key(), validity)))
    return config.identity(member)


@pytest.mark.parametrize("case", CASES)
def test_a_caller_with_a_certificate(
    config: Config, called: tuple[str, Listener], case: str
) -> None:
    options, heard, noted = CASES[case]
    peer, listener = called
    bob = issue(config, "bob", *options)
    for _ in range(5):  # whichever side is faster
        with pytest.raises(PeerError, match=heard):
            dial(bob, (HOST, listener.port), peer, {}, monotonic() + 20, 10)
    assert noted in listener.last_failure


@pytest.mark.parametrize("case", ["another authority", "expired", "not valid yet"])
def test_a_member_that_is_called_with_a_certificate(config: Config, case: str) -> None:
    (_, validity, stranger), _, _ = CASES[case]
    alice = issue(config, "alice", "alice", validity, stranger)
    with closing(Listener(alice, (HOST, 0), lambda name, topic: None, print, 10)) as listener:
        for _ in range(5):
            with pytest.raises(PeerError, match="its certificate is not accepted"):
                dial(
                    config.identity("bob"), (HOST, listener.port), "alice", {}, monotonic() + 20, 10
                )
        until = monotonic() + 20
        while "`mpctensor doctor`" not in listener.last_failure:
            assert monotonic() < until, listener.last_failure
            sleep(0.01)


def test_no_certificate_at_all(config: Config, called: tuple[str, Listener]) -> None:
    peer, listener = called
    bob = config.identity("bob")

    class Bare(Identity):
        def _context(self, server: bool) -> ssl.SSLContext:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(cafile=self.ca)
            return context

    nobody = Bare(bob.name, bob.certificate, bob.key, bob.ca)
    with pytest.raises(PeerError, match=r"none was shown.*`mpctensor doctor`"):
        dial(nobody, (HOST, listener.port), peer, {}, monotonic() + 20, 10)
