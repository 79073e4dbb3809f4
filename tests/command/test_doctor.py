"""`mpctensor doctor`: each row, good and bad, against members that really listen."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mpctensor.command import installation, keys, main, reach
from mpctensor.command.certificates import Authority, Validity
from mpctensor.command.installation import check_installation
from mpctensor.command.throwaway import deployment
from mpctensor.deployment import Config, load
from mpctensor.network import Identity, Listener, listener
from mpctensor.provider import Service
from tests.network.test_meeting import two_names


@pytest.fixture
def config() -> Iterator[Config]:
    with deployment(("alice", "bob"), "james") as path:
        yield load(path)


@pytest.fixture
def examine(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, str]]]:
    """Run doctor; the exit code, and by what they are about, all rows with their advice."""

    def run(name: str = "alice", path: Path = config.path) -> tuple[int, dict[str, str]]:
        code = main(["doctor", "--config", str(path), *(["--as", name] if name else [])])
        rows: dict[str, str] = {}
        what = ""
        for line in capsys.readouterr().out.splitlines()[:-1]:
            status, rest = line[:4].strip(), line[6:]
            if status:
                what, _, found = rest.partition("  ")
                rows[what] = f"{status}: {found.strip()}"
            else:
                rows[what] += f" {rest.strip()}"
        return code, rows

    return run


@contextmanager
def listening(config: Config, name: str, identity: Identity | None = None) -> Iterator[None]:
    """A member at its address, until the end."""
    listener = Listener(
        identity or config.identity(name),
        config.member(name).address,
        lambda name, topic: "only probed here",
        lambda caller: None,
        10,
    )
    try:
        yield
    finally:
        listener.close()


def reissue(config: Config, name: str, named: str, begin: float, end: float) -> None:
    """A certificate of `name`'s that names `named`, counting between days from now."""
    folder = config.path.parent
    authority = Authority.new(Validity.of_days(99))
    keys.write(folder / "ca.pem", keys.pem(authority.certificate), keys.PUBLIC, True)
    now = datetime.now(UTC)
    validity = Validity(now + timedelta(days=begin), now + timedelta(days=end))
    files = keys.member_files(config, name)
    keys.make_member(
        authority, keys.Files(named, files.certificate, files.key), validity=validity, force=True
    )


Examine = Callable[..., tuple[int, dict[str, str]]]


def test_all_is_well(config: Config, examine: Examine) -> None:
    with listening(config, "james"):
        code, rows = examine("alice")
    assert code == 0
    assert all(row.startswith("ok") for row in rows.values()), rows
    assert "proves its name" in rows["james"]
    assert "within 60 s of james" in rows["clock"]
    assert "in 365 days" in rows["expiry"] or "in 364 days" in rows["expiry"]


def test_the_provider_hears_nothing_that_it_would_call_refused(
    config: Config, examine: Examine
) -> None:
    lines: list[str] = []
    james = config.identity("james")
    service = Service(
        *(james, config.provider.address, config.names), timeout=10, startup=10, log=lines.append
    )
    try:
        assert "proves its name" in examine("alice")[1]["james"]
        with socket.create_connection(config.provider.address, timeout=20) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while stranger.recv(1):
                pass
    finally:
        service.close()
    assert len(lines) == 1, "of the stranger, who came later"


def test_nobody_listens(config: Config, examine: Examine) -> None:
    code, rows = examine("bob")
    assert code == 0
    assert rows["alice"].startswith("warn: nobody listens")
    assert rows["james"].startswith("warn: nobody listens")
    assert rows["bob"].startswith("ok: the last party calls")
    assert "nobody answered" in rows["clock"]


@pytest.mark.parametrize(
    ("named", "begin", "end", "row", "said"),
    [
        ("alice", -9.0, -1.0, "certificate", "FAIL*has expired*keys renew alice"),
        ("alice", 1.0, 9.0, "certificate", "FAIL*not yet valid*clock"),
        ("bob", -1.0, 99.0, "certificate", "FAIL*is for 'bob', not for 'alice'*own certificate"),
        ("alice", -1.0, 9.5, "expiry", "warn*in 9 days*keys sign"),
    ],
)
def test_certificates(
    config: Config, examine: Examine, named: str, begin: float, end: float, row: str, said: str
) -> None:
    reissue(config, "alice", named, begin, end)
    code, rows = examine()
    assert code == int(said.startswith("FAIL"))
    assert all(part in rows[row] for part in said.split("*")), rows[row]


def test_a_key_of_another_certificate(config: Config, examine: Examine) -> None:
    files = keys.member_files(config, "alice")
    files.key.write_bytes(keys.key_pem(keys.new_key()))
    code, rows = examine()
    assert code == 1
    row = rows["certificate"]
    assert f"the key is not the certificate's: {files.key} does not belong to" in row
    assert "-> put the certificate's own key there; or `mpctensor keys request alice`" in row
    files.key.write_text("no key")
    row = examine()[1]["certificate"]
    assert "no private key that can be used -> put the key there that" in row
    two_names(config)
    row = examine()[1]["certificate"]
    assert "this one names ['alice', 'bob'] -> have another one made: `mpctensor keys" in row


def test_another_authority(config: Config, examine: Examine) -> None:
    other = Authority.new(Validity.of_days(99), "others")
    (config.path.parent / "ca.pem").write_bytes(keys.pem(other.certificate))
    code, rows = examine()
    assert code == 1
    assert "must hold the authority that signed it" in rows["certificate"]


def test_files_that_others_can_read_or_that_are_missing(config: Config, examine: Examine) -> None:
    files = keys.member_files(config, "alice")
    os.chmod(files.key, 0o640)
    code, rows = examine()
    assert code == 0
    assert rows["key file"].startswith("warn")
    assert f"chmod 600 {files.key}" in rows["key file"]
    files.key.unlink()
    code, rows = examine()
    assert code == 1
    assert rows["certificate"].startswith("FAIL")
    assert "`mpctensor keys request alice` makes a key" in rows["certificate"]


def test_who_answers_must_be_who_it_should(config: Config, examine: Examine) -> None:
    james = config.identity("james")
    impostor = Identity(
        "james", config.identity("bob").certificate, config.identity("bob").key, james.ca
    )
    with listening(config, "james", impostor):
        code, rows = examine()
    assert code == 1
    assert "answers as 'bob', not as 'james'" in rows["james"]
    assert "-> who listens there must be james; the `ca` files" in rows["james"]
    with socket.create_server(config.provider.address) as deaf:
        deaf.settimeout(0.1)
        code, rows = examine("")
    assert rows["james"].startswith("warn: somebody listens")


def test_other_clocks_and_releases(
    config: Config, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "time", lambda: 1e9)
    monkeypatch.setattr(listener, "VERSION", "9.9")
    with listening(config, "james"):
        code, rows = examine()
    assert code == 0
    assert rows["clock"].startswith("warn")
    assert "s from james's" in rows["clock"]
    assert "james has 9.9" in rows["release"]


def test_addresses(config: Config, examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    text = config.path.read_text()
    host, port = config.provider.address
    bad = config.path.with_name("bad.toml")
    bad.write_text(text.replace(f"{host}:{port}", "name.invalid:1"))
    code, rows = examine("alice", bad)
    assert code == 1
    assert "does not resolve" in rows["james"]
    own = config.member("alice").address
    bad.write_text(text.replace(f"{own[0]}:{own[1]}", "192.0.2.1:7000"))
    monkeypatch.setattr(reach, "PATIENCE", 0.2)
    code, rows = examine("alice", bad)
    assert code == 1
    assert "cannot listen" in rows["alice"]
    assert "0.0.0.0" in rows["alice"]
    with socket.create_server(own):
        code, rows = examine("alice")
    assert code == 0
    assert rows["alice"].startswith("warn")
    assert "is in use" in rows["alice"]


def test_the_file_itself(config: Config, examine: Examine, tmp_path: Path) -> None:
    bad = tmp_path / "parties.toml"
    bad.write_text("parties = 3")
    code, rows = examine("alice", bad)
    assert code == 1
    assert rows["parties.toml"].startswith("FAIL")
    code, rows = examine("eve")
    assert code == 1
    assert "'eve' is not in" in rows["parties.toml"]
    code, rows = examine("")
    assert rows["member"].startswith("warn")


def test_without_a_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MPCTENSOR_CONFIG", raising=False)
    assert main(["doctor"]) == 0
    assert "there is no parties.toml" in capsys.readouterr().out


def test_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.torch, "__version__", "2.9.1")
    monkeypatch.setattr(installation.kernels, "isa", lambda: "portable")
    monkeypatch.setattr(installation, "_features", lambda: {"sse2"})
    found = {finding.what: finding.status for finding in check_installation()}
    assert [found[what] for what in ("PyTorch", "kernels", "processor")] == ["warn"] * 3
