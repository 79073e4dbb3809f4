"""How the output of several processes is shown on one terminal."""

import io
import os

import pytest

from mpctensor.command.output import CLEAR, Reader, Screen, label, last_state


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *pieces: bytes) -> str:
    """What a process's writes become."""
    out, into = os.pipe()
    with open(out, "rb") as pipe:
        reader = Reader(pipe, Screen(), stream, "bob | ")
        reader.start()
        for piece in pieces:
            os.write(into, piece)
        os.close(into)
        reader.join(10)
    return stream.getvalue()


def test_every_line_has_its_label() -> None:
    assert shown(io.StringIO(), b"one\ntwo", b" halves\n\nend") == (
        "bob | one\nbob | two halves\nbob | \nbob | end\n"
    )


def test_a_letter_may_come_in_two_pieces() -> None:
    whole = "é\n".encode()
    assert shown(io.StringIO(), whole[:1], whole[1:]) == "bob | é\n"
    assert shown(io.StringIO(), b"\xff\r\n") == "bob | \ufffd\n"


def test_a_file_gets_a_progress_bar_once_and_a_terminal_sees_it_move() -> None:
    bar = (b"\r 10%", b"\r 20%", b"\r100%\n", b"done\n")
    assert shown(io.StringIO(), *bar) == "bob | 100%\nbob | done\n"
    moving = shown(Terminal(), *bar)
    assert moving.replace(CLEAR, "\n").endswith("bob | 100%\nbob | done\n")


def test_an_unfinished_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    stream = Terminal()
    Screen().show(stream, "\x1b[31mbob | \x1b[0m", b"123456", finished=False)
    assert stream.getvalue() == "\x1b[31mbob | \x1b[0m123"


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    text = shown(io.StringIO(), *[b"x" * 4096] * 64)
    assert text.count("x") == 64 * 4096
    assert text.count("\n") > 1
    assert shown(io.StringIO(), *[b"\r" + b" 10%" * 256] * 256).count("\n") == 1


@pytest.mark.parametrize(
    ("line", "state"), [(b"a\rb", b"b"), (b"a\r", b"a"), (b"a\r  \r", b"a"), (b"", b"")]
)
def test_last_state(line: bytes, state: bytes) -> None:
    assert last_state(line) == state


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert label("bob", 5, 1, io.StringIO()) == "bob   | "
    assert "\x1b[33m" in label("bob", 5, 1, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert label("bob", 5, 1, Terminal()) == "bob   | "


def test_a_closed_pipe_is_noticed() -> None:
    screen, stream = Screen(), io.StringIO()
    stream.close()
    screen.show(stream, "", b"x")
    assert screen.broken
