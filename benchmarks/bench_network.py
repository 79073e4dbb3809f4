"""Rounds between two processes over TLS, beside bare sockets: latency of small ones, throughput of
large ones, and of frames that are received but not added up, as bare sockets do not add either.
Certificates are throw-away; needs the extra [deploy]."""

from __future__ import annotations

import multiprocessing
import queue
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import torch

from mpctensor.command.certificates import Authority, Validity, key_pem, new_key, pem
from mpctensor.network import Caller, Identity, Kind, Listener, dial
from mpctensor.transport import Meter, NetworkTransport, Opening

Report = Callable[[str, float, str], None]
Figures = tuple[float, float, float, float, float]
HOST = "127.0.0.1"
SMALL, LARGE, REPEATS = 1000, 10, 9  # rounds of a repetition
ELEMENTS = 1 << 21  # of a large round: 16 MiB each way at once


def certificates(folder: Path) -> None:
    """ca.pem, and a certificate and key for alice and for bob."""
    validity = Validity.of_days(1)
    authority = Authority.new(validity)
    (folder / "ca.pem").write_bytes(pem(authority.certificate))
    for name in ("alice", "bob"):
        key = new_key()
        (folder / f"{name}.key").write_bytes(key_pem(key))
        issued = authority.issue(name, key.public_key(), validity)
        (folder / f"{name}.pem").write_bytes(pem(issued))


def identity(folder: Path, name: str) -> Identity:
    return Identity(name, folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


# Both sides of a line run the same, ours and bare in turn, so that a busy machine slows both


@dataclass
class Line:
    """Ways between two processes: a transport, an echo over TCP, TLS both ways (out, in)."""

    transport: NetworkTransport
    echo: socket.socket
    bare: tuple[ssl.SSLSocket, ssl.SSLSocket]

    def measured(self) -> list[Figures]:
        """Of each repetition: seconds of a small round and of an echo; bytes a second each way of
        large rounds, of large frames and of bare sockets."""
        self._rounds(1, 100), self._rounds(ELEMENTS, 1)
        return [
            (self._rounds(1, SMALL), self._echoes(), *self._large(), self._both_ways())
            for _ in range(REPEATS)
        ]

    def _large(self) -> tuple[float, float]:
        self._rounds(1, 1)  # both begin at once
        rounds = 8 * ELEMENTS / self._rounds(ELEMENTS, LARGE)
        self._rounds(1, 1)
        return rounds, self._frames()

    def _frames(self) -> float:
        (channel,) = self.transport.channels.values()
        duplex = self.transport.duplex
        data, room = memoryview(bytearray(8 * ELEMENTS)), memoryview(bytearray(8 * ELEMENTS))
        start = perf_counter()
        for _ in range(LARGE):
            duplex.send(channel, Kind.OPENING, [data])
            channel.receive(Kind.OPENING)
            channel.receive_into(room)
            duplex.finish()
        return LARGE * len(data) / (perf_counter() - start)

    def _rounds(self, count: int, times: int) -> float:
        me = self.transport.me
        messages: list[Any] = [None, None]
        messages[me] = torch.ones(count, dtype=torch.int64)  # in memory, as a kernel leaves it
        start = perf_counter()
        for _ in range(times):
            self.transport.open([Opening(tuple(messages), "add", 64 * count)])
        return (perf_counter() - start) / times

    def _echoes(self) -> float:
        asks = self.transport.me == 0
        start = perf_counter()
        for _ in range(SMALL):
            if asks:
                self.echo.sendall(bytes(8))
            self.echo.recv(8)
            if not asks:
                self.echo.sendall(bytes(8))
        return (perf_counter() - start) / SMALL

    def _both_ways(self) -> float:
        outgoing, incoming = self.bare
        data, room = memoryview(bytearray(8 * ELEMENTS)), memoryview(bytearray(8 * ELEMENTS))
        self._rounds(1, 1)

        def send() -> None:
            for _ in range(LARGE):
                outgoing.sendall(data)

        sender = threading.Thread(target=send)
        start = perf_counter()
        sender.start()
        for _ in range(LARGE):
            got = 0
            while got < len(room):
                got += incoming.recv_into(room[got:])
        sender.join()
        return LARGE * len(data) / (perf_counter() - start)


def at_bob(folder: Path, port: int, bare_port: int) -> None:
    me = identity(folder, "bob")
    channel = dial(me, (HOST, port), "alice", {}, monotonic() + 20, 60)
    echo, out, back = (socket.create_connection((HOST, bare_port)) for _ in range(3))
    context = me.context(server=False)
    assert context is not None
    bare = context.wrap_socket(out), context.wrap_socket(back)
    Line(NetworkTransport(1, {0: channel}, Meter(), b""), prompt(echo), bare).measured()
    channel.close()


def at_alice(folder: Path) -> list[Figures]:
    arrived: queue.Queue[Caller] = queue.Queue()
    me = identity(folder, "alice")
    context = me.context(server=True)
    assert context is not None
    listener = Listener(me, (HOST, 0), lambda name, topic: None, arrived.put, 60)
    with socket.create_server((HOST, 0)) as server:
        start = multiprocessing.get_context("spawn").Process
        bob = start(target=at_bob, args=(folder, listener.port, server.getsockname()[1]))
        bob.start()
        channel = arrived.get(timeout=20).channel
        echo = prompt(server.accept()[0])
        back, out = (context.wrap_socket(server.accept()[0], server_side=True) for _ in range(2))
        line = Line(NetworkTransport(0, {1: channel}, Meter(), b""), echo, (out, back))
        result = line.measured()
    bob.join()
    listener.close()
    channel.close()
    return result


def prompt(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificates(folder)
        repeats = at_alice(folder)
    small, echo, large, frames, bare = (median(some) for some in zip(*repeats, strict=True))
    report("a round of one element", 1e6 * small, "us")
    report("a round trip of 8 bytes over a bare TCP socket", 1e6 * echo, "us")
    report("a round, times the bare round trip", median(r[0] / r[1] for r in repeats), "x")
    report("a round of 16 MiB, each way at once", large / 1e6, "MB/s")
    report("a frame of 16 MiB, each way at once", frames / 1e6, "MB/s")
    report("bare TLS sockets, each way at once", bare / 1e6, "MB/s")
    report("a large round, times bare TLS sockets", median(r[2] / r[4] for r in repeats), "x")
    report("a large frame, times bare TLS sockets", median(r[3] / r[4] for r in repeats), "x")
