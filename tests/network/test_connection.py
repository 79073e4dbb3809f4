"""Waiting to connect and to receive, while something else may happen."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic

import pytest

from mpctensor.errors import PeerError
from mpctensor.network.connection import Connection, reach
from tests.transport.test_network import connections

GONE = PeerError("alice is gone")


class Looks:
    """Counts looks; `last` happens at the third."""

    def __init__(self, last: Callable[[], object]) -> None:
        self.count, self._last = 0, last

    def __call__(self) -> None:
        self.count += 1
        if self.count == 3:
            self._last()


def fail() -> None:
    raise GONE


@pytest.fixture
def deaf():
    """The address of a server that takes no more connections for the moment, and that server."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = server.getsockname()[:2]
        stack.enter_context(socket.create_connection(address))
        yield address, server


@pytest.mark.parametrize("how", ["recv", "recv_into"])
def test_what_comes_late_is_received(how):
    here, there = connections()
    with Connection.of(here) as waiting, there:
        looks = Looks(lambda: there.sendall(b"late"))
        waiting.wait_for(20, looks)
        room = bytearray(10)
        got = waiting.recv(10) if how == "recv" else bytes(room[: waiting.recv_into(room)])
        assert got == b"late" and looks.count == 3
        there.sendall(b"soon")
        assert waiting.recv(10) == b"soon" and looks.count == 3


def test_what_a_look_finds_ends_the_wait():
    """It is raised as it is, not as a consequence of the wait."""
    here, there = connections()
    with Connection.of(here) as waiting, there:
        waiting.wait_for(20, Looks(fail))
        with pytest.raises(PeerError) as caught:
            waiting.recv(1)
        assert caught.value is GONE and caught.value.__context__ is None


@pytest.mark.parametrize(("patience", "least"), [(0.05, 0), (0.7, 2)])
def test_patience_ends_in_time(patience, least):
    here, there = connections()
    with Connection.of(here) as waiting, there:
        looks = Looks(lambda: None)
        waiting.wait_for(patience, looks)
        begun = monotonic()
        with pytest.raises(TimeoutError):
            waiting.recv_into(bytearray(1))
        assert monotonic() - begun >= 0.9 * patience and looks.count >= least
        waiting.wait_for(patience)
        seen = looks.count
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert looks.count == seen


def test_the_end_of_the_connection_is_noticed():
    here, there = connections()
    with Connection.of(here) as waiting, there:
        waiting.wait_for(None, Looks(lambda: there.shutdown(socket.SHUT_WR)))
        assert waiting.recv(1) == b""


def test_a_connection_keeps_how_it_waits():
    here, there = connections()
    with there:
        here.settimeout(7)
        waiting = Connection.of(here)
        assert (
            here.fileno() == -1 and waiting.gettimeout() == 7 and Connection.of(waiting) is waiting
        )
        other = Connection.of(connections()[0])
        other.waits_like(waiting)
        assert other.gettimeout() == 7
        waiting.close(), other.close()


def test_connecting_is_watched(deaf):
    address, _ = deaf
    with pytest.raises(PeerError, match="alice is gone"):
        reach(address, monotonic() + 20, Looks(fail))


def test_connecting_to_one_that_takes_its_time(deaf):
    address, server = deaf
    looks = Looks(lambda: server.accept()[0].close())
    with reach(address, monotonic() + 20, looks) as made, server.accept()[0] as there:
        there.sendall(b"welcome")
        assert made.recv(10) == b"welcome" and looks.count >= 3


def test_connecting_in_vain(deaf):
    address, server = deaf
    with pytest.raises(TimeoutError):
        reach(address, monotonic() + 0.5, Looks(lambda: None))
    with pytest.raises(TimeoutError):
        reach(address, monotonic() + 0.3, None)
    threading.Timer(0.5, server.close).start()
    with pytest.raises(OSError):  # it is refused while it waits, or at the next attempt
        reach(address, monotonic() + 20, Looks(lambda: None))
        reach(address, monotonic() + 20, None)
