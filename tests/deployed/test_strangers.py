"""Certificates that do not fit, callers that speak garbage, and two processes with one name."""

import os
import socket
import ssl
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest

from mpctensor.command.certificates import Authority, Validity, key_pem, new_key, pem
from mpctensor.deployment import load
from mpctensor.network.channel import EMPTY, HEADER, MAGIC, Kind
from mpctensor.network.meeting import dial
from tests.deployed import faulty
from tests.deployed.faults import LIMIT, TIMEOUT, await_word, check_told
from tests.deployed.processes import ended, line_up, parties, provider, start

NOW = datetime.now(UTC).replace(microsecond=0)
EXPIRED = Validity(NOW - timedelta(days=2), NOW - timedelta(days=1))
FUTURE = Validity(NOW + timedelta(days=1), NOW + timedelta(days=2))


def issue(folder, member, name, validity, *, stranger=False):
    """Give a member's files a certificate for `name`, of our authority or another."""
    authority = (
        Authority.new(Validity.of_days(1))
        if stranger
        else Authority.load(folder / "ca.pem", folder / "ca.key")
    )
    key = new_key()
    certificate = authority.issue(name, key.public_key(), validity)
    (folder / f"{member}.key").write_bytes(key_pem(key))
    (folder / f"{member}.pem").write_bytes(pem(certificate))


DAY = Validity.of_days(1)
CERTIFICATES = {
    "of another authority": ({"name": "bob", "validity": DAY, "stranger": True}, "unknown there"),
    "of another member": ({"name": "carol", "validity": DAY}, "is for 'carol', not for bob"),
    "expired": ({"name": "bob", "validity": EXPIRED}, "has expired"),
    "not valid yet": ({"name": "bob", "validity": FUTURE}, "not valid yet"),
}


@pytest.mark.parametrize("what", CERTIFICATES)
def test_a_party_with_a_certificate(tmp_path, what):
    options, words = CERTIFICATES[what]
    config = line_up(tmp_path, timeout=TIMEOUT, startup=4)
    issue(tmp_path, "bob", **options)
    with provider(config):
        out = ended(parties(config, faulty.__file__, "once"), LIMIT)
    check_told(
        tmp_path,
        out,
        {
            "alice": "PeerError: bob did not call in time; .*; last refused: ",
            "bob": f"PeerError: alice .*{words}",
        },
    )


@pytest.mark.parametrize("what", ["of another authority", "of another member", "expired"])
def test_a_provider_with_a_certificate(tmp_path, what):
    options, _ = CERTIFICATES[what]
    config = line_up(tmp_path, timeout=TIMEOUT, startup=4)
    issue(tmp_path, "james", **{**options, "name": "mallory" if "member" in what else "james"})
    with provider(config):
        out = ended(parties(config, faulty.__file__, "once"), LIMIT)
    for name in out:
        words = "mallory" if "member" in what else "certificate is not accepted"
        check_told(tmp_path, out, {name: f"PeerError: .*{words}|PeerError: .* gave up|ended its"})
    assert any("not" in errors and "james" in errors for _, _, errors in out.values())


# Garbage


def sent(port, data):
    """A stranger that has said this to a port and stays."""
    stranger = socket.create_connection(("127.0.0.1", port))
    stranger.sendall(data)
    return stranger


def anonymous(port):
    """TLS without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port))
    try:
        wrapped = context.wrap_socket(raw)
        wrapped.sendall(struct.pack("<I", 1 << 30) + b"{}")
        return wrapped
    except OSError:
        return raw


def pestered(port):
    strangers = [sent(port, os.urandom(4096)), sent(port, b"GET / HTTP/1.1\r\n\r\n")]
    strangers += [sent(port, b"\x16\x03\x01"), anonymous(port)]  # a hello that never ends
    strangers += [sent(port, b"") for _ in range(20)]
    return strangers


def test_garbage_does_not_keep_a_session_from_beginning(tmp_path):
    config = line_up(tmp_path, timeout=TIMEOUT, startup=20)
    members = load(config)
    with provider(config) as james:
        strangers = pestered(members.provider.address[1])
        alice = parties(config, faulty.__file__, "once", names=["alice"])
        port = members.parties[0].address[1]
        while True:
            try:
                strangers += pestered(port)
                break
            except ConnectionRefusedError:  # alice does not listen yet
                assert alice["alice"].poll() is None
        out = ended({**alice, **parties(config, faulty.__file__, "once", names=["bob"])}, LIMIT)
        strangers += pestered(members.provider.address[1])
        assert james.poll() is None
    assert [code for code, _, _ in out.values()] == [0, 0], out
    assert len(strangers) > 60


def test_a_member_that_sends_too_much(tmp_path):
    """An authenticated last party announces 2 GiB of requests: its session ends, others go on."""
    config = line_up(tmp_path, timeout=TIMEOUT, startup=20)
    members = load(config)

    def call(name):
        topic = {
            "parties": list(members.names),
            "session": "ab" * 32,
            "nonce": "cd" * 32,
            "seed": "ef" * 32,
        }
        address = members.provider.address
        until = monotonic() + 20
        return dial(members.identity(name), address, "james", topic, until, TIMEOUT)

    with provider(config) as james:
        with open(f"/proc/{james.pid}/status") as status:
            before = peak(status.read())
        channels = [call(name) for name in members.names]
        for channel in channels:
            channel.receive_json()
        frame = HEADER.pack(MAGIC, Kind.REQUESTS, 0, 1 << 31, EMPTY)
        with suppress(OSError):  # the provider may have hung up before all has left
            channels[1].outgoing.sendall(frame + bytes(1 << 20))
        with pytest.raises(Exception, match="announced a message of 2147483648 bytes; at most"):
            channels[1].receive(Kind.CORRECTIONS)
        with open(f"/proc/{james.pid}/status") as status:
            assert peak(status.read()) - before < 200_000
        out = ended(parties(config, faulty.__file__, "once"), LIMIT)
    assert [code for code, _, _ in out.values()] == [0, 0], out


def peak(status):
    """The most memory a process has had, in kB."""
    return int(status.split("VmHWM:")[1].split()[0])


# One name twice


def await_listening(address):
    until = monotonic() + LIMIT
    while True:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(address).close()
        assert monotonic() < until
        sleep(0.02)


def test_a_second_process_with_a_name(tmp_path):
    config = line_up(tmp_path, timeout=TIMEOUT, startup=10 * LIMIT)
    with provider(config):
        first = parties(config, faulty.__file__, "small", names=["alice", "bob"])
        for process in first.values():
            await_word(process)
        late = ended(parties(config, faulty.__file__, "once", names=["bob"]), LIMIT)
        for process in first.values():
            assert process.poll() is None, "the session goes on"
            process.kill()
        ended(first, LIMIT)
    check_told(tmp_path, late, {"bob": "PeerError: alice takes no calls; james serves"})


def test_sessions_of_one_name_side_by_side(tmp_path):
    """alice, who takes the calls, is there before bob."""
    config = line_up(tmp_path, timeout=TIMEOUT, startup=15)
    with provider(config):
        first = parties(config, faulty.__file__, "small", names=["alice", "bob"])
        for process in first.values():
            await_word(process)
        again = parties(config, faulty.__file__, "once", names=["alice"])
        await_listening(load(config).parties[0].address)
        out = ended({**again, **parties(config, faulty.__file__, "once", names=["bob"])}, LIMIT)
        for process in first.values():
            process.kill()
        ended(first, LIMIT)
    assert [code for code, _, _ in out.values()] == [0, 0], out


def test_two_processes_race_for_a_name(tmp_path):
    """Two bobs at once: alice takes one; the other is told."""
    config = line_up(tmp_path, timeout=TIMEOUT, startup=6)
    with provider(config):
        processes = parties(config, faulty.__file__, "once", names=["alice"])
        processes["bob"] = start(config, faulty.__file__, "once", MPCTENSOR_PARTY="bob")
        processes["rival"] = start(config, faulty.__file__, "once", MPCTENSOR_PARTY="bob")
        out = ended(processes, LIMIT)
    codes = sorted(out[name][0] for name in ("bob", "rival"))
    assert out["alice"][0] == 0 and codes[0] == 0 and codes[1] != 0, out
    (loser,) = [name for name in ("bob", "rival") if out[name][0]]
    assert "PeerError: alice" in out[loser][2]


def test_two_processes_at_one_address(tmp_path):
    config = line_up(tmp_path, timeout=TIMEOUT, startup=4)
    with provider(config):
        both = {
            name: start(config, faulty.__file__, "once", MPCTENSOR_PARTY="alice")
            for name in ("alice", "rival")
        }
        out = ended(both, LIMIT)
    said = sorted(errors.strip().splitlines()[-1] for _, _, errors in out.values())
    assert any("is another process already alice here?" in line for line in said), said
