"""Rounds between two processes over TLS, beside bare sockets: latency of small ones, throughput of
large ones. Certificates are throw-away; needs the extra [deploy]."""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import torch

from mpctensor.command.certificates import Authority, Validity, key_pem, new_key, pem
from mpctensor.network import Channel, Identity, Listener, dial
from mpctensor.transport import Meter, NetworkTransport, Opening

Report = Callable[[str, float, str], None]
SMALL, LARGE = 2000, 30  # rounds
ELEMENTS = 1 << 21  # of a large round: 16 MiB each way at once
BLOCK = 1 << 24


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


# Ours: both sides run the same rounds


def rounds(transport: NetworkTransport, me: int) -> dict[str, float]:
    """Seconds of a small round, and bytes a second each way of large ones."""

    def opened(count: int, times: int) -> float:
        messages: list[Any] = [None, None]
        messages[me] = torch.ones(count, dtype=torch.int64)  # in memory, as a kernel leaves it
        start = perf_counter()
        for _ in range(times):
            transport.open([Opening(tuple(messages), "add", 64 * count)])
        return (perf_counter() - start) / times

    opened(1, 100)
    small = opened(1, SMALL)
    opened(ELEMENTS, 1)
    return {"small": small, "large": 8 * ELEMENTS / opened(ELEMENTS, LARGE)}


def ours_at_bob(folder: Path, port: int) -> None:
    me = identity(folder, "bob")
    channel = dial(me, ("127.0.0.1", port), "alice", {}, monotonic() + 20, 60)
    rounds(NetworkTransport(1, {0: channel}, Meter(), b""), 1)
    channel.close()


def ours(folder: Path) -> dict[str, float]:
    arrived: list[Channel] = []
    here = threading.Event()

    def welcome(caller: Any) -> None:
        arrived.append(caller.channel)
        here.set()

    me = identity(folder, "alice")
    listener = Listener(me, ("127.0.0.1", 0), lambda name, topic: None, welcome, 60)
    bob = start(ours_at_bob, folder, listener.port)
    here.wait(20)
    result = rounds(NetworkTransport(0, {1: arrived[0]}, Meter(), b""), 0)
    bob.join()
    listener.close()
    arrived[0].close()
    return result


# Bare sockets: an echo of 8 bytes over TCP, and TLS both ways at once, one connection a direction


def bare_at_bob(folder: Path, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(SMALL):
            plain.recv(8)
            plain.sendall(bytes(8))
    pair = [
        over_tls(identity(folder, "bob"), socket.create_connection(("127.0.0.1", port)), False)
        for _ in range(2)
    ]
    both_ways(pair[0], pair[1])


def over_tls(me: Identity, raw: socket.socket, server: bool) -> socket.socket:
    context = me.context(server)
    assert context is not None
    return context.wrap_socket(raw, server_side=server)


def both_ways(outgoing: socket.socket, incoming: socket.socket) -> float:
    """Bytes a second each way at once."""
    data, room = memoryview(bytearray(BLOCK)), memoryview(bytearray(BLOCK))
    times = LARGE * 8 * ELEMENTS // BLOCK

    def send() -> None:
        for _ in range(times):
            outgoing.sendall(data)

    sender = threading.Thread(target=send)
    start = perf_counter()
    sender.start()
    for _ in range(times):
        got = 0
        while got < BLOCK:
            got += incoming.recv_into(room[got:])
    sender.join()
    return times * BLOCK / (perf_counter() - start)


def bare(folder: Path) -> dict[str, float]:
    server = socket.create_server(("127.0.0.1", 0))
    bob = start(bare_at_bob, folder, server.getsockname()[1])
    with server.accept()[0] as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = perf_counter()
        for _ in range(SMALL):
            plain.sendall(bytes(8))
            plain.recv(8)
        small = (perf_counter() - begin) / SMALL
    pair = [over_tls(identity(folder, "alice"), server.accept()[0], True) for _ in range(2)]
    result = {"small": small, "large": both_ways(pair[1], pair[0])}
    bob.join()
    server.close()
    return result


def start(work: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    return process


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificates(folder)
        mine, theirs = ours(folder), bare(folder)
    report("a round of one element", 1e6 * mine["small"], "us")
    report("a round trip of 8 bytes over a bare TCP socket", 1e6 * theirs["small"], "us")
    report("a round, times the bare round trip", mine["small"] / theirs["small"], "x")
    report("a round of 16 MiB, each way at once", mine["large"] / 1e6, "MB/s")
    report("bare TLS sockets, each way at once", theirs["large"] / 1e6, "MB/s")
    report("a large round, times bare TLS sockets", mine["large"] / theirs["large"], "x")
