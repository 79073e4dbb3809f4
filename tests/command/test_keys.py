"""`mpctensor keys`: who gets which file, what is refused, and that TLS takes the result."""

import contextlib
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from mpctensor.command import keys, main, rotation
from mpctensor.command.certificates import Authority, Validity, certified_key, pem
from mpctensor.deployment import load
from mpctensor.errors import SessionError
from mpctensor.network.identity import Identity, certificate_name


def handshake(server: Identity, client: Identity) -> tuple[str, str]:
    """The names that server and client see in each other's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client._context(False).wrap_bio(to_client, to_server),
        server._context(True).wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    seen = [certificate_name(end.getpeercert()) for end in ends]
    return seen[1], seen[0]


def init(folder: Path, *names: str, provider: str = "james") -> Path:
    config = folder / "parties.toml"
    assert main(["keys", "init", *names, "--provider", provider, "--config", str(config)]) == 0
    return config


@pytest.mark.parametrize("names", [("alice", "bob"), ("St. Mary's", "a_b", "zürich", "*.x")])
def test_init_makes_certificates_that_name_their_members(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    config = load(init(tmp_path, *names))
    james = config.identity("james")
    for name in names:
        identity = config.identity(name)
        assert handshake(identity, james) == ("james", name)
        assert handshake(james, identity) == (name, "james")
        assert identity.key is not None
        assert stat.S_IMODE(identity.key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_init_says_who_gets_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(tmp_path, "alice", "bob")
    said = capsys.readouterr().out
    assert f"{tmp_path / 'bob.key'}: bob's key: give it to bob alone" in said
    assert "ca.key can pose as any member" in said
    assert "PRIVATE" not in said


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = init(tmp_path, "alice", "bob")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "ca.pem").unlink()
    assert main(["keys", "init", "--config", str(config)]) == 2
    error = capsys.readouterr().err
    assert "bob.key, " in error
    assert error.endswith("james.key exists already; --force overwrites\n")
    assert not (tmp_path / "ca.pem").exists()
    assert main(["keys", "init", "--config", str(config), "--force"]) == 0
    assert (tmp_path / "bob.key").read_bytes() != before[tmp_path / "bob.key"]
    assert main(["keys", "init", "alice", "bob", "--config", str(config)]) == 2


def test_into_takes_all_files(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    assert main(["keys", "init", "alice", "bob", "--into", str(folder)]) == 0
    assert load(folder / "parties.toml").identity("alice").key == folder / "alice.key"


def test_a_private_key_never_travels(tmp_path: Path) -> None:
    """The authority sees a request; the member's key stays where it was made."""
    config = tmp_path / "authority" / "parties.toml"
    config.parent.mkdir()
    init_only = ["keys", "init", "alice", "bob", "--authority-only", "--config", str(config)]
    assert main(init_only) == 0
    assert sorted(p.name for p in config.parent.iterdir()) == ["ca.key", "ca.pem", "parties.toml"]
    for name in ("alice", "james"):
        home = tmp_path / name
        home.mkdir()
        own = home / "parties.toml"
        own.write_text(config.read_text())
        (home / "ca.pem").write_bytes((config.parent / "ca.pem").read_bytes())
        assert main(["keys", "request", name, "--config", str(own)]) == 0
        sent = str(home / f"{name}.csr")
        out = str(home / f"{name}.pem")
        assert main(["keys", "sign", sent, "--out", out, "--config", str(config)]) == 0
    alice, james = (load(tmp_path / n / "parties.toml").identity(n) for n in ("alice", "james"))
    assert handshake(alice, james) == ("james", "alice")


@pytest.mark.parametrize("file", ["alice.key", "alice.pem"])
def test_a_request_takes_the_place_of_no_other_file(tmp_path: Path, file: str) -> None:
    config, there = init(tmp_path, "alice", "bob"), tmp_path / file
    before = there.read_bytes()
    asked = ["keys", "request", "alice", "--config", str(config), "--out", str(there)]
    assert main(asked) != 0 and main([*asked, "--new-key"]) != 0
    assert there.read_bytes() == before and not (tmp_path / "alice.new.key").exists()


def test_a_request_uses_the_key_that_is_there(tmp_path: Path) -> None:
    config = init(tmp_path, "alice", "bob")
    before = (tmp_path / "alice.key").read_bytes()
    assert main(["keys", "request", "alice", "--config", str(config)]) == 0
    assert (tmp_path / "alice.key").read_bytes() == before
    sign = ["keys", "sign", str(tmp_path / "alice.csr"), "--config", str(config)]
    assert main(sign) == 2  # alice.pem is there
    assert main([*sign, "--force"]) == 0
    identity = load(config).identity("alice")
    assert handshake(identity, identity) == ("alice", "alice")


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    """A folder in which alice has asked for a certificate of a new key, which is signed: new.pem"""
    config = init(tmp_path, "alice", "bob")
    before = (tmp_path / "alice.key").read_bytes()
    assert main(["keys", "request", "alice", "--config", str(config), "--new-key"]) == 0
    assert (tmp_path / "alice.key").read_bytes() == before
    assert stat.S_IMODE((tmp_path / "alice.new.key").stat().st_mode) == 0o600
    sign = ["keys", "sign", str(tmp_path / "alice.csr"), "--out", str(tmp_path / "new.pem")]
    assert main([*sign, "--config", str(config)]) == 0
    return tmp_path


def accept(folder: Path, *arguments: str) -> int:
    return main(["keys", "accept", *arguments, "--config", str(folder / "parties.toml")])


def test_a_new_key_waits_for_its_certificate(
    rotated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = (load(rotated / "parties.toml").identity(name) for name in ("alice", "bob"))
    assert handshake(alice, bob) == ("bob", "alice"), "in service meanwhile"
    again = ["keys", "request", "alice", "--config", str(rotated / "parties.toml"), "--new-key"]
    assert main(again) == 2
    assert "alice.new.key waits for its certificate already" in capsys.readouterr().err
    new = (rotated / "alice.new.key").read_bytes()
    assert accept(rotated, "alice", str(rotated / "new.pem")) == 0
    assert handshake(alice, bob) == ("bob", "alice")
    assert (rotated / "alice.key").read_bytes() == new
    assert (rotated / "alice.pem").read_bytes() == (rotated / "new.pem").read_bytes()
    assert not (rotated / "alice.new.key").exists()


def test_a_rotation_that_broke_off_is_explained_and_ended(
    rotated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(rotation, "os", SimpleNamespace(replace=crash))
        with pytest.raises(KeyboardInterrupt):
            accept(rotated, "alice", str(rotated / "new.pem"))
    alice, bob = (load(rotated / "parties.toml").identity(name) for name in ("alice", "bob"))
    with pytest.raises(SessionError, match=r"alice\.new\.key waits beside it.*keys accept alice"):
        handshake(alice, bob)
    doctor = ["doctor", "--as", "alice", "--config", str(rotated / "parties.toml")]
    assert main(doctor) == 1
    said = capsys.readouterr().out
    assert "`mpctensor keys accept alice` puts it in place" in said
    assert "alice.new.key waits for its certificate" in said
    assert accept(rotated, "alice") == 0
    assert handshake(alice, bob) == ("bob", "alice")
    main(doctor)
    assert "waits for its certificate" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("bob", "new.pem", "is for another key: "),
        ("alice", "alice.csr", "holds no certificate"),
        ("alice", "none.pem", "there is no certificate at"),
        ("alice", "other.pem", "would be refused: "),
        ("alice", "misnamed.pem", "is for 'bob', not for 'alice'"),
    ],
)
def test_what_does_not_fit_is_not_put_in_place(
    rotated: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, said: str
) -> None:
    public = certified_key(rotated / "new.pem")
    validity = Validity.of_days(9)
    other = Authority.new(validity, "others").issue("alice", public, validity)
    (rotated / "other.pem").write_bytes(pem(other))
    ours = Authority.load(rotated / "ca.pem", rotated / "ca.key")
    (rotated / "misnamed.pem").write_bytes(pem(ours.issue("bob", public, validity)))
    before = {path: path.read_bytes() for path in rotated.iterdir()}
    assert accept(rotated, name, str(rotated / file)) != 0
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in rotated.iterdir()} == before


def days_left(certificate: Path) -> float:
    end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return (end - datetime.now(UTC)) / timedelta(days=1)


@pytest.mark.parametrize(
    ("arguments", "authority", "member"),
    [
        ([], 3650, 365),
        (["--days", "30"], 3650, 30),
        (["--days", "5000"], 5000, 5000),
        (["--days", "36500"], 36500, 36500),
        (["--authority-only"], 3650, None),
        (["--authority-only", "--days", "30"], 30, None),
    ],
)
def test_how_long_certificates_count(
    tmp_path: Path, arguments: list[str], authority: float, member: float | None
) -> None:
    assert main(["keys", "init", "alice", "bob", "--into", str(tmp_path), *arguments]) == 0
    assert days_left(tmp_path / "ca.pem") == pytest.approx(authority, abs=0.1)
    if member is None:
        assert not (tmp_path / "alice.pem").exists()
    else:
        assert days_left(tmp_path / "alice.pem") == pytest.approx(member, abs=0.1)


def test_no_member_outlives_its_authority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", str(tmp_path / "parties.toml")]
    first = ["keys", "init", "alice", "bob", "--authority-only", "--days", "99.5", *options]
    assert main(first) == 0 and main(["keys", "request", "alice", *options]) == 0
    sign = ["keys", "sign", str(tmp_path / "alice.csr"), *options]
    for work in (sign, [*sign, "--days", "100"], ["keys", "renew", "bob", *options]):
        assert main(work) == 2
        assert "expired, on" in (said := capsys.readouterr().err)
        assert "give --days 99 or fewer, or make a new authority" in said
    assert main([*sign, "--days", "99"]) == 0
    assert days_left(tmp_path / "alice.pem") == pytest.approx(99, abs=0.1)
    assert main(["keys", "init", "--authority-only", "--force", "--days", "0.5", *options]) == 0
    assert main([*sign, "--force"]) == 2
    assert ": make a new authority" in capsys.readouterr().err


def test_renew_replaces_one_member(tmp_path: Path) -> None:
    config = init(tmp_path, "alice", "bob")
    before = {name: (tmp_path / name).read_bytes() for name in ("bob.pem", "alice.pem", "ca.pem")}
    assert main(["keys", "renew", "alice", "--config", str(config)]) == 0
    changed = [name for name in before if (tmp_path / name).read_bytes() != before[name]]
    assert changed == ["alice.pem"]
    alice, bob = (load(config).identity(name) for name in ("alice", "bob"))
    assert handshake(alice, bob) == ("bob", "alice")


def test_strangers_and_forgeries_are_not_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = init(tmp_path, "alice", "bob")
    eve = tmp_path / "eve.key"
    assert main(["keys", "request", "eve", "--key", str(eve), "--config", str(config)]) == 0
    assert main(["keys", "sign", str(tmp_path / "eve.csr"), "--config", str(config)]) == 1
    assert "'eve' is not in" in capsys.readouterr().err
    (tmp_path / "bad.csr").write_text("no request")
    assert main(["keys", "sign", str(tmp_path / "bad.csr"), "--config", str(config)]) == 1
    bob_key = str(tmp_path / "bob.key")
    forged = ["keys", "sign", str(tmp_path / "eve.csr"), "--ca-key", bob_key]
    assert main([*forged, "--config", str(config)]) == 2
    assert "is not the key of" in capsys.readouterr().err


def test_expired_and_foreign_certificates_are_refused(tmp_path: Path) -> None:
    config = load(init(tmp_path, "alice", "bob"))
    authority = Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key")
    now = datetime.now(UTC)
    past = Validity(now - timedelta(days=9), now - timedelta(days=1))
    alice = keys.member_files(config, "alice")
    keys.make_member(authority, alice, validity=past, force=True)
    with pytest.raises(ssl.SSLError, match="expired"):
        handshake(config.identity("alice"), config.identity("bob"))
    keys.make_member(Authority.new(Validity.of_days(9)), alice, force=True)
    with pytest.raises(ssl.SSLError, match="verify failed"):
        handshake(config.identity("alice"), config.identity("bob"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "init"], "there is no parties.toml"),
        (["keys", "init", "alice"], "at least two"),
        (["keys", "init", "a/b", "a b"], "same file names"),
        (["keys", "init", "alice", "bob", "--provider", "bob"], "also a party"),
        (["keys", "init", "a", "é" * 40], "room for 64 bytes"),
        (["keys", "sign", "none.csr"], "no request at none.csr"),
        (["keys", "renew", "alice"], "name the authority with --ca"),
        *(
            (
                ["keys", "init", "alice", "bob", *only, "--days", wrong],
                f"--days: {wrong} is not a number",
            )
            for wrong in ("0", "-1", "1000000000", "nan", "a year")
            for only in ((), ("--authority-only",))
        ),
        (["keys"], "required: ACTION"),
    ],
)
def test_bad_use_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
