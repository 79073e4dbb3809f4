"""encrypt(src=), decrypt(dst=), public randomness and misuse, between real processes over TLS."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.deployed import program
from tests.deployed.processes import run

SECRET = program.SECRET.tolist()


CASES = (
    "one_partys_values",
    "inputs_are_free",
    "told_to_one",
    "weights_of_one",
    "gradients_of_one",
    "trained_together",
    "public_randomness",
    "different_without_a_source",
    "misused",
    "two_sessions",
)


def run_cases(folder: Path, names: Sequence[str], *cases: str) -> dict[str, dict[str, Any]]:
    """case -> party -> what it finds, all cases in one process a party."""
    out = run(folder, program.__file__, *cases, names=names)
    for name, (code, _, errors) in out.items():
        assert code == 0, f"{name}: {errors}"
    seen = {name: json.loads(output) for name, (_, output, _) in out.items()}
    return {case: {name: seen[name][case] for name in names} for case in cases}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return run_cases(tmp_path_factory.mktemp("two"), ("alice", "bob"), *CASES)


def test_only_the_sources_values_count(found):
    out = found["one_partys_values"]
    assert out["alice"] == out["bob"] == [SECRET, SECRET, [0, 1, 2, 3]]


def test_inputs_cost_nothing(found):
    out = found["inputs_are_free"]
    assert out["alice"] == out["bob"] == [0, 0, True]


def test_only_who_is_named_learns(found):
    out = found["told_to_one"]
    doubled = (2 * program.SECRET).tolist()
    zeros = [[0.0, 0.0], [0.0, 0.0]]
    rest = {"both": SECRET, "again": SECRET}
    assert out["alice"] == {
        **rest, "bob": None, "alice": doubled, "zeros": None, "times": zeros
    }  # fmt: skip
    assert out["bob"] == {**rest, "bob": SECRET, "alice": None, "zeros": zeros, "times": None}


def test_a_model_of_one_and_data_of_another(found):
    out = found["weights_of_one"]
    assert out["alice"] == [True, ["SharedTensor"] * 4]
    assert out["bob"] == [None, [True] * 4]


def test_a_trained_model_is_told_to_one_with_its_gradients(found):
    out = found["gradients_of_one"]
    assert out["alice"] == [["Tensor"] * 2, True]
    assert out["bob"] == [["SharedTensor"] * 2, True]


@pytest.mark.parametrize("case", ["trained_together", "public_randomness"])
def test_all_see_the_same(found, case):
    out = found[case]
    assert out["alice"] == out["bob"]


def test_different_values_without_a_source(found):
    for errors, untouched, after in found["different_without_a_source"].values():
        assert len(errors) == 2 and all('src="..."' in error for error in errors)
        assert untouched == "Tensor" and after == SECRET


def test_three_parties(tmp_path):
    cases = ("different_without_a_source", "trained_together", "told_to_one")
    out = run_cases(tmp_path, ("alice", "bob", "carol"), *cases)
    for errors, untouched, after in out["different_without_a_source"].values():
        assert len(errors) == 2 and untouched == "Tensor" and after == SECRET
    losses = out["trained_together"]
    assert losses["alice"] == losses["bob"] == losses["carol"]
    told = out["told_to_one"]["carol"]
    assert told["both"] is None and told["again"] == SECRET


def test_misuse_is_an_error_that_says_what_to_do(found):
    words = ("seed", "carol, dave", "mallory", "src", "pass the values", "mallory", "mallory")
    for messages in found["misused"].values():
        for message, word in zip(messages, words, strict=True):
            assert word in message


def test_sessions_nest(found):
    for out in found["two_sessions"].values():
        assert out == [SECRET, SECRET, True]
