"""parties.toml: what it says, and a sentence for everything that is wrong in one."""

import pytest

from mpctensor.deployment import load
from mpctensor.errors import SessionError

GOOD = """
ca = "ca.pem"
timeout = 30
link = "wan"
[parties.alice]
address = "a.example:7000"
certificate = "alice.pem"
key = "alice.key"
[parties."bob b"]
address = "[::1]:7001"
[provider.james]
address = "10.0.0.9:7002"
"""


def read(folder, text):
    path = folder / "parties.toml"
    path.write_text(text)
    return load(path)


def test_what_it_says(tmp_path):
    config = read(tmp_path, GOOD)
    assert config.names == ("alice", "bob b") and config.provider.name == "james"
    assert config.member("bob b").address == ("::1", 7001)
    assert config.member("alice").key == tmp_path / "alice.key" and config.ca == tmp_path / "ca.pem"
    assert (config.timeout, config.startup, config.link) == (30.0, 300.0, "wan")
    with pytest.raises(SessionError, match=r"'carol' is not in .*parties.toml, which has alice"):
        config.member("carol")
    with pytest.raises(SessionError, match=r"no usable `ca` for alice .*`mpctensor keys` makes"):
        config.identity("alice")


BAD = {
    "no TOML": ("[parties", "cannot be read"),
    "a stranger": (GOOD.replace("timeout", "time_out"), "`time_out` in the top level is unknown"),
    "a member's stranger": (GOOD.replace("key =", "kez ="), r"`kez` in \[parties.alice\]"),
    "one party": (GOOD.replace('[parties."bob b"]', "[provider.b]"), "names 1; shares need"),
    "two providers": (GOOD + '[provider.x]\naddress = "x:1"', "must name one member, not 2"),
    "no provider": (GOOD.split("[provider")[0], "must name one member, not 0"),
    "both": (GOOD.replace("provider.james", "provider.alice"), "alice is party and provider"),
    "no address": (GOOD.replace('address = "a.example:7000"', ""), "needs `address = "),
    "no port": (GOOD.replace("a.example:7000", "a.example"), "not 'a.example'"),
    "a port too large": (GOOD.replace(":7000", ":70000"), "host:port"),
    "no time": (GOOD.replace("= 30", "= -1"), "`timeout` is -1; use a number of seconds"),
    "a flag as time": (GOOD.replace("= 30", "= true"), "`timeout` is True"),
    "a number as file": (GOOD.replace('"ca.pem"', "7"), "`ca` is 7, not a str"),
    "no link": (GOOD.replace('"wan"', '"wlan"'), "`link` is 'wlan'; use 'lan'"),
    "a number as link": (GOOD.replace('"wan"', "3"), "`link` is 3; use 'lan'"),
    "one address": (
        GOOD.replace("10.0.0.9:7002", "a.example:7000"),
        "alice and james have the same address a.example:7000; give each its own",
    ),
    "a list of parties": ("parties = []\n" + GOOD.split("[parties")[0], "`parties` is"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong(tmp_path, case):
    text, words = BAD[case]
    with pytest.raises(SessionError, match=words) as caught:
        read(tmp_path, text)
    assert "parties.toml" in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(SessionError, match="cannot be read"):
        load(tmp_path / "nowhere.toml")


REPLICAS = GOOD.replace("10.0.0.9:7002", "a.example:7003")


def test_replicas_have_ports_of_their_own(tmp_path):
    config = read(tmp_path, REPLICAS)
    config.check_replicas(3)
    said = "replica 3 of alice and james have the same address a.example:7003"
    with pytest.raises(SessionError, match=said):
        config.check_replicas(4)
    late = read(tmp_path, GOOD.replace("a.example:7000", "a.example:65534"))
    late.check_replicas(2)
    with pytest.raises(SessionError, match="replica 2 of alice has no port"):
        late.check_replicas(3)


def test_a_party_that_only_calls_needs_no_ports(tmp_path):
    read(tmp_path, GOOD.replace("10.0.0.9:7002", "b.example:7002")).check_replicas(3)
