"""TLS through memory: the same bytes at the other end, and nothing but records in between."""

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from mpctensor.network.tls import FIRST_ROOM, TlsSocket, reader


@pytest.fixture
def pair(shaken) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    """(alice's end, bob's end) of a connection."""
    alice, bob = shaken()
    with alice, bob:
        yield alice, bob


def test_large_and_small_parts_arrive_in_order(pair):
    alice, bob = pair
    data = bytes(range(256)) * (1 << 13)  # 2 MiB: many records, more than any room

    def send() -> None:
        alice.sendall(data[:1])
        alice.sendall(memoryview(data)[1:])
        alice.sendall(b"")

    sending = threading.Thread(target=send)
    sending.start()
    got = bytearray(len(data))
    view = memoryview(got)
    assert bob.read(3) == data[:3]
    view[:3] = data[:3]
    assert bob.readinto(view[3:100_000]) == 100_000 - 3
    assert bob.readinto(view[100_000:]) == len(data) - 100_000
    sending.join()
    assert got == data


def test_what_is_sent_at_once_is_received_in_parts(pair):
    alice, bob = pair
    alice.sendall(b"header, text")
    assert reader(bob) is bob
    assert (bob.read(6), bob.recv(100)) == (b"header", b", text")


def test_nothing_is_waited_for_where_nothing_is_wanted(pair):
    assert pair[1].read(0) == b"" and pair[1].readinto(memoryview(bytearray())) == 0


def test_a_peer_that_closes_ends_the_stream(pair):
    alice, bob = pair
    alice.sendall(b"last")
    alice.close()
    assert alice.closed
    room = bytearray(10)
    assert bob.readinto(memoryview(room)) == 4
    assert bob.recv(1) == b""
    assert not bob.closed


def test_silence_is_a_timeout(pair):
    _, bob = pair
    bob.settimeout(0.05)
    with pytest.raises(TimeoutError):
        bob.read(1)


@pytest.mark.parametrize(
    "way", ["send", "sendto", "sendmsg", "sendfile", "recv_into", "recvfrom", "recvmsg"]
)
def test_ways_past_tls_are_refused(pair, way):
    with pytest.raises(NotImplementedError, match="pass TLS by"):
        getattr(pair[0], way)(bytearray(4))


def test_nothing_but_records_is_on_the_wire_and_a_changed_one_is_refused(pair):
    alice, bob = pair
    alice.sendall(b"secret" * 1000)
    record = bytearray(FIRST_ROOM)
    size = socket.socket.recv_into(bob, record)
    assert b"secret" not in record and record[0] == 23  # application data, RFC 8446 section 5.1
    record[size // 2] ^= 1
    bob._arrived.write(record[:size])
    with pytest.raises(ssl.SSLError):
        bob.recv(10)
