"""The end of a channel: whoever closes it, whatever else goes on."""

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from mpctensor.errors import PeerError, SessionError
from mpctensor.network import Channel, Kind
from mpctensor.network.channel import HEADER
from mpctensor.network.parting import cut, hung_up
from tests.transport.test_network import channels


def at_once(works: list[Callable[[], Any]]) -> list[BaseException | None]:
    """What each raises, of works that begin together."""
    caught: list[BaseException | None] = [None] * len(works)
    gate = threading.Barrier(len(works))

    def run(i: int) -> None:
        gate.wait()
        try:
            works[i]()
        except BaseException as error:
            caught[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a deadlock"
    return caught


def test_the_words_of_the_first_who_closes_count(ends):
    here, there = ends
    assert (
        at_once([lambda i=i: here.close(Kind.ABORT, f"reason {i}") for i in range(8)]) == [None] * 8
    )
    with pytest.raises(PeerError, match=r"gave up: reason \d$"):
        there.receive()
    with pytest.raises(PeerError, match="reason"):  # and nothing after them
        there.receive()
    here.close(Kind.BYE)


def test_what_was_sent_before_arrives(ends):
    here, there = ends
    data = bytes(range(256)) * (1 << 14)  # more than the connection holds
    here.send(Kind.OPENING, [data])

    def receive() -> None:
        assert there.payload(there.receive(Kind.OPENING), len(data)) == data
        assert there.receive(Kind.BYE).kind is Kind.BYE

    assert at_once([here.close, receive]) == [None, None]


@pytest.mark.parametrize("size", [10, 1 << 16])
def test_closing_while_another_thread_sends(ends, size):
    """The peer reads whole frames to the last, whoever sends meanwhile."""
    here, there = ends
    closed = threading.Event()

    def send() -> None:
        while not closed.is_set():
            here.send(Kind.OPENING, [bytes(size)]).wait(size)
        here.send(Kind.OPENING, [bytes(size)]).wait(size)  # after the end: nothing leaves

    def close() -> None:
        here.close(Kind.ABORT, "enough")
        closed.set()

    def receive() -> None:
        while True:
            there.payload(there.receive(Kind.OPENING), size)

    caught = at_once([send, send, close, receive])
    assert caught[:3] == [None] * 3
    assert isinstance(caught[3], PeerError) and "gave up: enough" in str(caught[3])


def test_closing_wakes_who_sends_to_one_that_does_not_read(ends):
    here, _ = ends
    sent = here.send(Kind.OPENING, [bytes(1 << 26)])
    assert at_once([lambda: sent.wait(1 << 26), lambda: here.close(patience=0.2)]) == [None, None]
    assert sent.failed


def test_receiving_after_the_end(ends):
    here, _ = ends
    here.close()
    for _ in range(2):
        with pytest.raises(SessionError, match="the channel to party 1 is closed"):
            here.receive()


def await_hanging_up(channel: Channel) -> None:
    until = monotonic() + 20
    while not hung_up(channel.outgoing):
        assert monotonic() < until, "nobody hung up"
        sleep(0.01)


DATA = bytes(range(256)) * 100


def test_a_peer_that_is_there_is_left_alone(either):
    here, there = either
    for _ in range(2):
        here.heed()
        there.heed()
        there.send(Kind.OPENING, [DATA], text="round")
        here.heed()
        frame = here.receive(Kind.OPENING)
        here.heed()
        assert (frame.text, here.payload(frame, len(DATA))) == ("round", DATA)
    assert here.received == there.sent


@pytest.mark.parametrize("openings", [0, 1, 2])
def test_heeding_finds_why_a_peer_gave_up(either, openings):
    """Behind openings that nobody has received, too."""
    here, there = either
    for _ in range(openings):
        there.send(Kind.OPENING, [DATA])
    there.close(Kind.ABORT, "it was interrupted")
    await_hanging_up(here)
    with pytest.raises(PeerError, match="party 1 gave up: it was interrupted"):
        here.heed()
    with pytest.raises(PeerError, match="party 1 gave up: it was interrupted"):
        here.receive(Kind.OPENING)


@pytest.mark.parametrize("cut_off", ["between frames", "in a header", "in an opening"])
def test_heeding_finds_a_peer_that_is_gone(either, cut_off):
    here, there = either
    whole = there._packed(Kind.OPENING, "round", len(DATA)) + DATA
    size = {"between frames": 0, "in a header": 10, "in an opening": len(whole) - 1}[cut_off]
    there.outgoing.sendall(whole[:size])
    for connection in (there.outgoing, there.incoming):
        cut(connection)
    await_hanging_up(here)
    with pytest.raises(PeerError, match="party 1 is gone: the connection was closed"):
        here.heed()


def test_heeding_lets_a_peer_that_is_done_go(either):
    """What it says last is kept for the next round, if there is one."""
    here, there = either
    there.close()
    await_hanging_up(here)
    for _ in range(2):
        here.heed()
    assert here.receive(Kind.OPENING, Kind.BYE).kind is Kind.BYE


def test_heeding_keeps_what_came_before_a_goodbye(either):
    """It may be the last round's, which one that waits for somebody else has not received yet."""
    here, there = either
    large = DATA * 40  # a part of it is in buffers of ours, or of the system's
    there.send(Kind.OPENING, [DATA], text="round")
    there.send(Kind.OPENING, [large])
    frame = here.receive(Kind.OPENING)
    assert here.payload(frame, len(DATA)) == DATA
    there.close()
    await_hanging_up(here)
    for _ in range(2):
        here.heed()
    assert here.payload(here.receive(Kind.OPENING), len(large)) == large
    assert here.receive(Kind.BYE).kind is Kind.BYE
    assert here.received == there.sent + HEADER.size


def test_who_has_hung_up_may_not_send_without_end(either, monkeypatch):
    here, there = either
    monkeypatch.setattr("mpctensor.network.channel.MOST_LEFT", 1 << 20)
    cut(there.incoming)
    there.send(Kind.OPENING, [bytes(1 << 22)])
    await_hanging_up(here)
    for _ in range(2):
        with pytest.raises(PeerError, match="party 1 has hung up and goes on sending"):
            here.heed()


def test_who_waits_for_one_hears_of_another(either):
    """Before a frame, and in the middle of one; the wait for a peer is not a look at it."""
    here, there = either
    gone = PeerError("carol gave up: it was interrupted")
    looks = iter([None, gone, None, gone])

    def heed() -> None:
        here.heed()
        if (error := next(looks)) is not None:
            raise error

    here.look_around(heed)
    with pytest.raises(PeerError, match="carol gave up"):
        here.receive(Kind.OPENING)
    there.outgoing.sendall(there._packed(Kind.OPENING, "round", len(DATA)) + DATA[:100])
    frame = here.receive(Kind.OPENING)
    with pytest.raises(PeerError, match="carol gave up"):
        here.payload(frame, len(DATA))


def test_who_waits_for_an_introduction_hears_of_another(either):
    here, _ = either
    looks = iter([None, PeerError("carol is gone")])

    def heed() -> None:
        if (error := next(looks)) is not None:
            raise error

    with pytest.raises(PeerError, match="carol is gone"):
        here.receive_json(monotonic() + 20, heed)


def test_heeding_one_that_introduced_itself(either):
    here, there = either
    there.send_json({"precision": 16})
    there.close(Kind.ABORT, "it was interrupted")
    await_hanging_up(here)
    for _ in range(2):
        with pytest.raises(PeerError, match="party 1 gave up: it was interrupted"):
            here.heed()


def test_the_reason_arrives_although_both_were_sending(either):
    """The peer reads nothing before its own frame has left, and nobody reads that any more."""
    here, there = either
    data = bytes(1 << 25)
    leaving = there.send(Kind.OPENING, [data])
    here.send(Kind.OPENING, [data])
    sleep(0.2)  # all buffers are full

    def receive() -> None:
        leaving.wait_all()
        there.payload(there.receive(Kind.OPENING), len(data))
        there.receive(Kind.OPENING)

    caught = at_once([lambda: here.close(Kind.ABORT, "it was interrupted", 20), receive])
    assert caught[0] is None and "gave up: it was interrupted" in str(caught[1])


def test_introductions_may_take_longer_than_the_timeout():
    here, there = channels(2, timeout=0.2)
    alice, bob = here[1], there[0]
    threading.Timer(0.6, bob.send_json, [{"precision": 16}]).start()
    assert alice.receive_json(monotonic() + 20) == {"precision": 16}
    with pytest.raises(PeerError, match=r"party 1 sent nothing for 0\.2 s; `timeout` sets"):
        alice.receive(Kind.MEETING)
    with pytest.raises(PeerError, match=r"party 0 sent nothing for 0\.\d+ s; `startup` sets"):
        bob.receive_json(monotonic() + 0.5)
    for channel in (alice, bob):
        channel.close(patience=0.1)


def test_closing_where_no_thread_could_be_had(ends, monkeypatch):
    """The frame that needed it is lost, so nothing may follow; closing waits for nobody."""
    here, there = ends

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("mpctensor.network.sending.threading.Thread.start", refuse)
        with pytest.raises(RuntimeError):
            here.send(Kind.OPENING, [bytes(1 << 16)])
    assert at_once([here.close]) == [None]
    with pytest.raises(PeerError, match="is gone"):
        there.receive(Kind.OPENING)


def test_nothing_follows_a_frame_that_was_interrupted(ends, monkeypatch):
    here, there = ends

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mpctensor.network.sending.sealed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            here.send(Kind.OPENING, [bytes(8)])
    assert here.send(Kind.OPENING, [bytes(8)]).failed
    here.close()
    with pytest.raises(PeerError, match="is gone"):
        there.receive(Kind.OPENING)
