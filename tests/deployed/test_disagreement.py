"""Parties that do not do the same, and errors of one that the others have to hear of."""

import json

import pytest

from tests.deployed import faulty
from tests.deployed.faults import LIMIT, TIMEOUT, check_discreet, check_told
from tests.deployed.processes import ended, line_up, parties, provider, run, start


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """case -> party -> [error, message]."""
    out = run(tmp_path_factory.mktemp("two"), faulty.__file__, "different", seconds=60)
    for name, (code, _, errors) in out.items():
        assert code == 0, f"{name}: {errors}"
    check_discreet(out)
    seen = {name: json.loads(output) for name, (_, output, _) in out.items()}
    return {case: {name: seen[name][case] for name in seen} for case in faulty.DIFFERENT}


@pytest.mark.parametrize("case", faulty.DIFFERENT)
def test_a_difference_is_an_error_at_both(found, case):
    for error, message in found[case].values():
        assert error in ("SessionError", "PeerError"), message
        assert "the parties do not do the same" in message and "the same script" in message


def test_both_sides_say_what_they_are_doing(found):
    operation = found["operation"]
    assert "here `relu`" in operation["alice"][1] and "bob `abs`" in operation["alice"][1]
    assert "here `abs`" in operation["bob"][1] and "alice `relu`" in operation["bob"][1]
    alice, bob = (found["shape"][name][1] for name in ("alice", "bob"))
    assert "here `mul` on (6,), bob `mul` on (9,)" in alice
    assert "here `mul` on (9,), alice `mul` on (6,)" in bob


def test_shapes_that_were_encrypted_are_named(found):
    one, two = (found[f"shape of {what}"] for what in ("a value", "one's value"))
    here, there = (
        "here `encrypt` on (1,), after encrypt of ",
        "bob `encrypt` on (1,), after encrypt of ",
    )
    assert f"{here}(4, 2), {there}(4, 3); every" in one["alice"][1]
    assert "here `encrypt` on (1,), after encrypt of (4, 3), alice" in one["bob"][1]
    more = ", encrypt of (3, 3)"
    assert f"{here}(2, 3) from alice{more}, {there}(2,) from alice{more}; ev" in two["alice"][1]


def test_looking_alone_is_free(tmp_path):
    out = run(tmp_path, faulty.__file__, "looks")
    assert [code for code, _, _ in out.values()] == [0, 0], out


def reordered(text):
    """The parties' sections the other way round: both think that the other will call."""
    head, alice, bob, james = text.split("[")
    return "[".join([head, bob, alice, james])


CHANGES = {
    "link": (lambda text: 'link = "wan"\n' + text, "`link` is 'lan' at alice and 'wan' at bob"),
    "order": (lambda text: reordered(text), "PeerError: bob did not call in time"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_files_that_differ(tmp_path, change):
    edit, words = CHANGES[change]
    config = line_up(tmp_path, timeout=TIMEOUT, startup=4, plain=True)
    other = tmp_path / "other.toml"
    other.write_text(edit(config.read_text()))
    with provider(config):
        files = {"alice": config, "bob": other}
        out = ended(
            {
                name: start(file, faulty.__file__, "once", MPCTENSOR_PARTY=name)
                for name, file in files.items()
            },
            LIMIT,
        )
    check_told(tmp_path, out, {"alice": words})
    assert out["bob"][0] != 0


VERSIONS = {
    "release": ("import mpctensor.starting as s; s.VERSION = '9.9'", "`version` is '.*' at alice"),
    "protocol": (
        "import mpctensor.network.meeting as m; m.PROTOCOL = 99",
        "protocol 1 here, 99 there",
    ),
}


@pytest.mark.parametrize("what", VERSIONS)
def test_releases_that_differ(tmp_path, what):
    patch, words = VERSIONS[what]
    program = tmp_path / "program.py"
    program.write_text(f"{patch}\nfrom tests.deployed import faulty\nfaulty.once()")
    config = line_up(tmp_path, timeout=TIMEOUT, startup=4)
    with provider(config):
        alice = parties(config, faulty.__file__, "once", names=["alice"])
        out = ended({**alice, **parties(config, program, names=["bob"])}, LIMIT)
    check_told(tmp_path, out, {"alice": words, "bob": words if what == "protocol" else "version"})


# Errors of one party


@pytest.mark.parametrize("case", ["raises", "raises_within"])
def test_an_error_in_one_script(tmp_path, case):
    """The peer learns its kind; its words, which hold a secret, stay at home."""
    out = run(tmp_path, faulty.__file__, case, seconds=LIMIT)
    assert "ValueError: the data holds 123" in out["bob"][2]
    check_told(
        tmp_path, {"alice": out["alice"]}, {"alice": "PeerError: bob gave up: it met a ValueError"}
    )


def test_one_script_exits_within_its_session(tmp_path):
    out = run(tmp_path, faulty.__file__, "exits_within", seconds=LIMIT)
    told = "PeerError: bob gave up: it met a SystemExit"
    check_told(tmp_path, {"alice": out["alice"]}, {"alice": told})


def test_a_value_of_another_without_its_shape(tmp_path):
    out = run(tmp_path, faulty.__file__, "no_shape", seconds=LIMIT)
    told = {
        "alice": "PeerError: bob gave up: bob passed None to encrypt",
        "bob": "SessionError: cannot encrypt None: pass .* `shape` for another party's value",
    }
    check_told(tmp_path, out, told)


def test_a_value_that_cannot_be_encoded(tmp_path):
    out = run(tmp_path, faulty.__file__, "cannot_encode", seconds=LIMIT)
    assert "EncodingError" in out["alice"][2] and out["alice"][0] != 0
    check_told(
        tmp_path,
        {"bob": out["bob"]},
        {"bob": "PeerError: alice gave up: alice could not encode a value of its own"},
    )
