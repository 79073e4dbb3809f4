"""One thread that sends and receives: whole frames in order, no deadlock, and what may go wrong."""

import threading

import pytest

from mpctensor.errors import PeerError
from mpctensor.network import Channel, Duplex, Kind
from tests.network.test_channel import at_once

LARGE = bytes(range(251)) * (1 << 16)  # 16 MB: far more than the connections hold


@pytest.fixture(autouse=True)
def by_one_thread(monkeypatch):
    """However large."""
    monkeypatch.setattr("mpctensor.network.channel.LARGE", 1 << 40)


def receive(channel: Channel) -> bytes:
    return channel.payload(channel.receive(Kind.OPENING), 1 << 26)


def test_large_frames_both_ways_and_small_ones_behind_them(either):
    """Each side is one thread, as nobody else sends."""
    threads = threading.active_count()
    got: dict[str, list[bytes]] = {}

    def work(channel: Channel) -> None:
        duplex = Duplex([channel])
        for payload in (LARGE, b"small", LARGE[:-1]):
            duplex.send(channel, Kind.OPENING, [payload[:10], memoryview(payload)[10:]], text="a")
            got.setdefault(channel.peer, []).append(receive(channel))
            duplex.finish()
            assert not channel.leaving
        assert threading.active_count() <= threads + 2  # the two of this test

    assert at_once([lambda c=channel: work(c) for channel in either]) == [None, None]
    assert got == {channel.peer: [LARGE, b"small", LARGE[:-1]] for channel in either}
    assert either[0].sent == either[1].received


def test_the_largest_frames_leave_by_a_thread_in_their_place(either, monkeypatch):
    monkeypatch.setattr("mpctensor.network.channel.LARGE", 1 << 20)
    here, there = either
    duplex = Duplex([here])
    data = [bytes(1 << 20), LARGE, b"small", bytes(1 << 20)]
    received: list[bytes] = []

    def send() -> None:
        for payload in data:
            departure = duplex.send(here, Kind.OPENING, [payload])
            assert here.leaving <= (len(payload) == 1 << 20)
            duplex.wait(departure, len(payload))
            duplex.finish()
            assert departure.left == departure.size

    def read() -> None:
        received.extend(receive(there) for _ in data)

    assert at_once([send, read]) == [None, None] and received == data


def test_a_payload_may_change_once_it_has_left(either):
    here, there = either
    duplex = Duplex([here])
    data = bytearray(LARGE)
    departure = duplex.send(here, Kind.OPENING, [memoryview(data)])

    def overwrite() -> None:
        for end in range(1 << 20, len(data), 1 << 20):
            duplex.wait(departure, end)
            data[end - (1 << 20) : end] = bytes(1 << 20)
        duplex.finish()
        assert departure.left == departure.size and not departure.failed

    received: list[bytes] = []
    assert at_once([overwrite, lambda: received.append(receive(there))]) == [None, None]
    assert received == [LARGE]


def test_a_peer_that_takes_nothing_and_one_that_sends_nothing(ends):
    here, _ = ends
    here.patience = 0.2
    here.incoming.settimeout(0.2)
    duplex = Duplex([here])
    departure = duplex.send(here, Kind.OPENING, [LARGE])
    with pytest.raises(PeerError, match=r"party 1 took nothing for 0\.2 s; `timeout` sets"):
        duplex.wait(departure, len(LARGE))
    with pytest.raises(PeerError, match=r"party 1 sent nothing for 0\.2 s; `timeout` sets"):
        here.receive(Kind.OPENING)


def test_a_peer_that_is_gone_ends_the_sending(ends):
    here, there = ends
    duplex = Duplex([here])
    departure = duplex.send(here, Kind.OPENING, [LARGE])
    there.close(Kind.ABORT, "enough", patience=0.1)
    duplex.finish()
    assert departure.failed and not here.leaving
    with pytest.raises(PeerError, match="party 1 gave up: enough"):
        here.receive(Kind.OPENING)


def test_closing_sends_the_rest_and_then_says_why(either):
    here, there = either
    Duplex([here]).send(here, Kind.OPENING, [LARGE])
    received: list[bytes] = []

    def read() -> None:
        received.append(receive(there))
        receive(there)

    none, error = at_once([lambda: here.close(Kind.ABORT, "it was interrupted"), read])
    assert none is None and received == [LARGE]
    assert isinstance(error, PeerError) and "gave up: it was interrupted" in str(error)


def test_closing_gives_up_on_a_peer_that_takes_nothing(ends):
    here, _ = ends
    departure = Duplex([here]).send(here, Kind.OPENING, [LARGE])
    here.close(patience=0.2)
    assert departure.failed and not here.leaving


def test_closing_does_not_wait_long_for_one_that_fell_silent(ends):
    here, _ = ends
    here.patience = 0.2
    here.incoming.settimeout(0.2)
    here.never_hurry()
    here.send(Kind.OPENING, [LARGE])
    with pytest.raises(PeerError, match=r"party 1 sent nothing for 0\.2 s"):
        here.receive(Kind.OPENING)
    closing = threading.Thread(target=here.close, kwargs={"patience": 600.0}, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def test_what_has_left_is_let_go_of(either):
    here, there = either
    duplex = Duplex([here])
    room = bytearray(LARGE)
    duplex.send(here, Kind.OPENING, [memoryview(room)])
    assert at_once([duplex.finish, lambda: receive(there)]) == [None, None]
    room.clear()  # BufferError where a view of it is left


def test_nothing_follows_a_frame_that_was_interrupted(ends, monkeypatch):
    here, there = ends

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mpctensor.network.sending.os.write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Duplex([here]).send(here, Kind.OPENING, [LARGE])
    assert not here.leaving and here.send(Kind.OPENING, [b"more"]).failed
    here.close()
    with pytest.raises(PeerError, match="is gone"):
        there.receive(Kind.OPENING)


@pytest.mark.parametrize("size", [4, 1 << 20])
def test_what_another_thread_sends_comes_after_what_was_begun(either, size):
    here, there = either
    duplex = Duplex([here])
    duplex.send(here, Kind.OPENING, [LARGE])
    after = here.send(Kind.OPENING, [bytes(size)])
    received: list[bytes] = []

    def read() -> None:
        received.extend(receive(there) for _ in range(2))

    assert at_once([duplex.finish, lambda: after.wait(size), read]) == [None] * 3
    assert received == [LARGE, bytes(size)]
