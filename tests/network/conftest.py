"""Connections over TLS, with certificates that are thrown away."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from mpctensor.command.throwaway import deployment
from mpctensor.deployment import load
from mpctensor.network import Channel
from mpctensor.network.tls import TlsSocket
from tests.transport.test_network import channels, connections


@pytest.fixture(scope="session")
def contexts() -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """Of alice, who calls, and of bob, who is called."""
    with deployment(("alice", "bob"), "james") as path:
        config = load(path)
        caller = config.identity("alice").context(server=False)
        called = config.identity("bob").context(server=True)
        assert caller is not None and called is not None
        yield caller, called


@pytest.fixture
def shaken(contexts) -> Callable[[], tuple[socket.socket, socket.socket]]:
    """Makes (alice's end, bob's end) of a connection whose handshake is done."""

    def make() -> tuple[socket.socket, socket.socket]:
        here, there = connections()
        alice, bob = TlsSocket(here, contexts[0]), TlsSocket(there, contexts[1])
        for end in (alice, bob):
            end.settimeout(20)
        shaking = threading.Thread(target=bob.do_handshake)
        shaking.start()
        alice.do_handshake()
        shaking.join()
        return alice, bob

    return make


@pytest.fixture(params=["plain", "TLS"])
def either(request, shaken) -> Iterator[tuple[Channel, Channel]]:
    """As `ends`, over both kinds of connections."""
    connect = shaken if request.param == "TLS" else connections
    (there, arrives), (back, returns) = connect(), connect()
    pair = Channel("party 1", there, returns, 20), Channel("party 0", back, arrives, 20)
    yield pair
    for channel in pair:
        channel.close(patience=0.1)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    here, there = channels(2)
    yield here[1], there[0]
    for channel in (here[1], there[0]):
        channel.close(patience=0.1)
