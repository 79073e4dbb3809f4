"""The relay that makes a link slow: bytes come through whole, late, and at its rate."""

import asyncio
import time

from benchmarks.link import Link


def echoed(data: bytes, delay: float, rate: float) -> tuple[bytes, float]:
    """What comes back through the link from a server that echoes, and after how many seconds."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
        writer.close()

    async def call() -> tuple[bytes, float]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        link = Link(0, server.sockets[0].getsockname(), delay, rate)
        relay = await link.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        start = time.perf_counter()
        writer.write(data)
        writer.write_eof()
        back = await reader.read(-1)
        taken = time.perf_counter() - start
        for end in (writer, relay, server):
            end.close()
        return back, taken

    return asyncio.run(asyncio.wait_for(call(), 30))


def test_delay() -> None:
    back, taken = echoed(b"x", 0.05, 1e9)
    assert back == b"x" and taken >= 0.1


def test_rate() -> None:
    data = bytes(range(256)) * 1024
    back, taken = echoed(data, 0.0, 10e6)
    assert back == data and taken >= 8 * len(data) / 10e6


def test_nobody_behind_it() -> None:
    async def call() -> bytes:
        link = Link(0, ("127.0.0.1", 1), 0.0, 1e9)
        relay = await link.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        got = await reader.read(-1)
        writer.close()
        relay.close()
        return got

    assert asyncio.run(asyncio.wait_for(call(), 10)) == b""
