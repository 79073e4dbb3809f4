"""`mpctensor provider`: a real process that serves sessions of parties in threads here."""

import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from mpctensor.command import main
from mpctensor.command.provider import limits_of, quota_names
from mpctensor.command.throwaway import deployment
from mpctensor.command.usage import UsageError
from mpctensor.deployment import Config, Membership, join, load
from mpctensor.errors import PeerError
from mpctensor.provider import MaskView, Request
from mpctensor.transport import Meter
from tests.command.commands import LIMIT, start

PARTIES = ("alice", "bob")
SQUARE = Request("square", 1, (MaskView(1, 6, (6,), (1,), 0),), ())


@contextmanager
def provider(config: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = start("provider", "--config", config, *arguments, cwd=config.parent)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LIMIT)


def elsewhere(config: Config) -> Config:
    """The same members with parties at other addresses, for a second session at once."""
    with deployment(PARTIES, "james") as other:
        moved = load(other)
    text = config.path.read_text()
    for name in PARTIES:
        (host, old), (_, new) = config.member(name).address, moved.member(name).address
        text = text.replace(f"{host}:{old}", f"{host}:{new}")
    path = config.path.with_name("elsewhere.toml")
    path.write_text(text)
    return load(path)


def joined(configs: Sequence[Config]) -> list[list[Membership]]:
    """All parties of all configurations, joined at once: per configuration, in order."""
    found: dict[tuple[int, str], Membership] = {}

    def take_part(place: int, name: str) -> None:
        found[place, name] = join(configs[place], name, Meter(), {})

    everyone = [(place, name) for place in range(len(configs)) for name in PARTIES]
    threads = [threading.Thread(target=take_part, args=who, daemon=True) for who in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    return [[found[place, name] for name in PARTIES] for place in range(len(configs))]


def leave(members: Sequence[Membership]) -> None:
    for member in members:
        member.transport.close()
        if member.provider is not None:
            member.provider.close()


def test_two_sessions_at_once_and_a_clean_end() -> None:
    with deployment(PARTIES, "james") as path, provider(path, "--as", "james") as process:
        first, second = joined([load(path), elsewhere(load(path))])
        for members in (first, second):
            dealer = members[-1].provider
            assert dealer is not None
            assert dealer.deal(SQUARE)[0].shape == (6,)
        leave(first)
        dealer = second[-1].provider
        assert dealer is not None
        assert dealer.deal(Request("square", 2, SQUARE.operands, ()))[0].shape == (6,)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=LIMIT)
        with pytest.raises(PeerError, match="shut down"):
            dealer.deal(Request("square", 3, SQUARE.operands, ()))[0]
        leave(second)
    assert process.returncode == 0, log
    lines = log.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d james: ", line) for line in lines), log
    assert sum("begins" in line for line in lines) == 2
    assert sum("has ended: bob" in line for line in lines) == 1
    assert lines[-1].endswith("has ended")


def test_quotas_are_kept_and_ctrl_c_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        deployment(PARTIES, "james") as path,
        provider(path, "--quota", "session_dealt=100") as process,
    ):
        (members,) = joined([load(path)])
        dealer = members[-1].provider
        assert dealer is not None
        assert len(dealer.deal(SQUARE)[0]) == 6
        with pytest.raises(PeerError, match="session_dealt"):
            dealer.deal(Request("square", 2, (MaskView(1, 64, (64,), (1,), 0),), ()))[0]
        leave(members)
        assert main(["provider", "--config", str(path)]) == 1
        assert "is another process already james here?" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
        assert process.returncode == 0


def test_quota_settings() -> None:
    assert limits_of(["requests=7", "session_work=1_000"]).requests == 7
    assert "frame_bytes" in quota_names()
    for setting in ("requests", "requests=x", "requests=-1", "nothing=3"):
        with pytest.raises(UsageError, match="--quota"):
            limits_of([setting])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as", "alice"], "alice is not the provider"),
        (["--quota", "x=1"], "--quota x=1: there are frame_bytes"),
        (["--config", "none.toml"], "cannot be read"),
    ],
)
def test_bad_use_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with deployment(PARTIES, "james") as path:
        assert main(["provider", "--config", str(path), *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
