"""torch.save and torch.load between processes: together, or an error that says what differs."""

import json
import re

from tests.deployed import resumed
from tests.deployed.processes import ended, line_up, parties, provider


def test_saves_of_a_party_and_a_mix_of_two(tmp_path):
    config = line_up(tmp_path, plain=True)
    with provider(config):
        out = ended(parties(config, resumed.__file__, tmp_path))
    said = {}
    for name, (code, output, errors) in out.items():
        assert code == 0, errors
        said[name] = json.loads(output)
        assert said[name]["x"] == [1.5, -2.0] and said[name]["out"] == [1]
    alice, bob = said["alice"]["error"], said["bob"]["error"]
    loaded = r"`decrypt` on \(2,\), after [^;]*torch.load of saved tensor"
    later, first = rf"{loaded} 4 \(", rf"{loaded} 3 \("
    assert re.search(f"here {later}.*, bob {first}", alice)
    assert re.search(f"here {first}.*, alice {later}", bob)
