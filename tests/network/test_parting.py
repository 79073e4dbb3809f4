"""How connections end: with unread bytes the system would reset them."""

import socket
import threading

from mpctensor.network import parting
from mpctensor.network.parting import cut, part, spill
from tests.transport.test_network import connections


def test_last_words_arrive_although_bytes_are_unread(monkeypatch):
    monkeypatch.setattr(parting, "LINGER", 20)
    here, there = connections()
    with there:
        there.sendall(bytes(1000))
        here.sendall(b"why")
        leaving = threading.Thread(target=part, args=(here,))
        leaving.start()
        there.settimeout(20)
        assert there.recv(100) == b"why"
        assert there.recv(100) == b""
        leaving.join(0.2)
        there.sendall(b"more")  # it is not reset
        there.shutdown(socket.SHUT_WR)
        leaving.join(20)
        assert here.fileno() == -1


def test_spilling_makes_room_and_waits_for_nothing():
    here, there = connections()
    with here, there:
        there.settimeout(0.2)
        sent = 0
        try:
            while True:
                sent += there.send(bytes(1 << 16))
        except TimeoutError:
            assert sent
        there.settimeout(20)
        for _ in range(20):
            spill(here)
            there.send(bytes(1 << 16))
        there.close()
        here.settimeout(None)
        spill(here)


def test_cutting_wakes_who_reads():
    here, there = connections()
    with here, there:
        got: list[bytes] = []
        reading = threading.Thread(target=lambda: got.append(here.recv(1)))
        reading.start()
        cut(here)
        reading.join(20)
        assert got == [b""]
