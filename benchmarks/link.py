"""A slow link in user space: a relay that gives every byte a delay and all of them a rate.

    python -m benchmarks.link 7301 127.0.0.1:7101 --delay 0.02 --rate 100e6

listens on port 7301 of the loopback interface and relays to 7101. delay: seconds one way (a round
trip takes twice that). rate: bits a second in each direction, shared by all connections. What is
under way is kept in memory up to what the link holds, then the sender has to wait.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

CHUNK = 1 << 14


class Direction:
    """One direction of the link: when it is free again."""

    def __init__(self, delay: float, rate: float) -> None:
        self.delay, self.rate = delay, rate
        self._free = 0.0

    def arrival(self, now: float, size: int) -> float:
        """When the last of `size` bytes that are handed over now comes out at the other end."""
        self._free = max(now, self._free) + 8 * size / self.rate
        return self._free + self.delay

    @property
    def capacity(self) -> int:
        """Chunks that are under way at a time, with as many again in the sender's buffer."""
        return max(8, int(2 * self.delay * self.rate / 8 / CHUNK))


class Link:
    """Relays connections at a port of this machine to an address. port 0: any free one."""

    def __init__(self, port: int, target: tuple[str, int], delay: float, rate: float) -> None:
        self.port, self.target = port, target
        self._there, self._back = Direction(delay, rate), Direction(delay, rate)

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            _relay(reader, there_writer, self._there), _relay(there_reader, writer, self._back)
        )
        for end in (writer, there_writer):
            end.close()


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Direction
) -> None:
    """Read as bytes come, and hand them on when they are due; the end of the stream too."""
    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(link.capacity)
    pump = asyncio.create_task(_deliver(due, writer))
    clock = asyncio.get_running_loop().time
    data = b"start"
    with suppress(OSError):
        while data and not pump.done():
            data = await reader.read(CHUNK)
            await due.put((link.arrival(clock(), len(data)), data))
    await due.put((0.0, b""))
    await pump


async def _deliver(due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop().time
    with suppress(OSError):
        while True:
            when, data = await due.get()
            await asyncio.sleep(max(0.0, when - clock()))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()
    writer.close()  # the reader is gone


async def _serve(link: Link) -> None:
    server = await link.start()
    print(f"relaying 127.0.0.1:{link.port} to {link.target[0]}:{link.target[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link")
    parser.add_argument("port", type=int, help="port of the loopback interface to listen on")
    parser.add_argument("target", help="host:port to relay to")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds one way")
    parser.add_argument("--rate", type=float, default=100e6, help="bits a second each way")
    options = parser.parse_args()
    host, _, port = options.target.rpartition(":")
    link = Link(options.port, (host, int(port)), options.delay, options.rate)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(link))


if __name__ == "__main__":
    main()
