"""The tests of the simulated session again, every party and the provider a process of its own.

All parties run the same tests in the same order, in one session over TLS: all of them with two
parties, and with three those that do not take long.
"""

import pytest

from tests.deployed.processes import run

TESTS = (
    "tests/tensor",
    "tests/test_training.py",
    "tests/test_known_wrong_answers.py",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "names, which",
    [
        (("alice", "bob"), "not simulated"),
        (("alice", "bob", "carol"), "not simulated and not lengthy"),
    ],
    ids=["2", "3"],
)
def test_the_same_tests_pass(tmp_path, names, which):
    command = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", which)
    out = run(tmp_path, *command, *TESTS, names=names, seconds=850)
    assert "plain_tcp" not in (tmp_path / "parties.toml").read_text()
    for name, (code, output, errors) in out.items():
        assert code == 0, f"{name}:\n{output[-4000:]}\n{errors[-2000:]}"
        summary = output.splitlines()[-1]  # warnings may speak of failures too
        assert " passed" in summary and "failed" not in summary
