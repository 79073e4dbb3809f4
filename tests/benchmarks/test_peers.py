"""Beside the peers, what needs none of them: rows, runner, processes, tables."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.peers import prepare
from benchmarks.peers.measure import Effort, largest_error, measured
from benchmarks.peers.members import Failure, Member, Members
from benchmarks.peers.plain import OPERATIONS, Task, network, reference
from benchmarks.peers.plot import plot
from benchmarks.peers.run_mpctensor import Secret
from benchmarks.peers.serving import obeyed
from benchmarks.peers.systems import System
from benchmarks.peers.table import markdown
from benchmarks.peers.works import NETWORKS, RATE, ROWS, Row, chosen, inputs

TINY = [
    Row("tiny-mul", "tiny x * y", "mul", ((7,), (7,))),
    Row("tiny-greater", "tiny x > 0", "greater", ((7,),)),
    Row("tiny-softmax", "tiny softmax", "softmax", ((3, 5),)),
    Row("tiny-infer", "tiny inference", "infer", ((2, 1, 28, 28),), (0.0, 1.0), network="mlp"),
    Row("tiny-step", "tiny step", "step", ((2, 1, 28, 28),), (0.0, 1.0), network="mlp"),
]


# Rows


def test_names_are_distinct_and_titles_too() -> None:
    assert len({row.name for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_inputs_are_repeatable_and_as_described(row: Row) -> None:
    arrays, again = inputs(row), inputs(row)
    assert all(np.array_equal(array, again[name]) for name, array in arrays.items())
    assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}
    assert arrays["x"].shape == row.shapes[0]
    if row.between is not None:
        assert row.between[0] <= arrays["x"].min() and arrays["x"].max() <= row.between[1]
    if row.network is not None:
        network(NETWORKS[row.network], arrays)  # takes exactly the parameters that it has
    else:
        assert row.op in OPERATIONS and len(arrays) == len(row.shapes)


def test_chosen() -> None:
    assert chosen([]) == ROWS
    assert {row.op for row in chosen(["relu", "matmul"])} == {"relu", "matmul"}
    with pytest.raises(ValueError, match=r"no row called soft-max; there are: .*softmax"):
        chosen(["relu", "soft-max"])


def test_step_is_that_of_torch() -> None:
    row = TINY[-1]
    arrays = inputs(row)
    weights = {name: torch.tensor(a).double().requires_grad_() for name, a in arrays.items()}
    hidden = weights.pop("x").flatten(1)
    target = weights.pop("target")
    for place in (1, 3, 5):
        hidden = hidden @ weights[f"{place}.weight"].T + weights[f"{place}.bias"]
        hidden = hidden.relu() if place < 5 else hidden
    loss = -(hidden.log_softmax(1) * target).sum(1).mean()
    slopes = torch.autograd.grad(loss, list(weights.values()))
    expected = {
        name: (weight - RATE * slope).detach().numpy()
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
    assert largest_error(reference(row, arrays), expected) < 1e-12


def test_largest_error() -> None:
    assert largest_error({"out": np.array([True, False])}, {"out": np.array([1.0, 0.25])}) == 0.25
    assert np.isnan(largest_error({"out": np.array([np.nan, 0])}, {"out": np.zeros(2)}))
    with pytest.raises(ValueError, match="outputs"):
        largest_error({"a": np.zeros(1)}, {"b": np.zeros(1)})


# The runner of mpctensor, simulated


@pytest.mark.simulated
@pytest.mark.parametrize("row", TINY, ids=lambda row: row.name)
def test_secret_rows(row: Row) -> None:
    runner, arrays = Secret(), inputs(row)
    runner.load(row, arrays)
    counts = runner.count()
    assert counts["rounds"] > 0 and counts["sent"] > 0 and counts["dealt"] > 0
    for _ in range(2):  # a repetition costs what the first did, and starts where it did
        runner.prepare()
        assert runner.count() == counts
    assert largest_error(runner.outputs(), reference(row, arrays)) < 2e-3


def test_repetitions_start_from_the_same_weights() -> None:
    task = Task(TINY[-1], inputs(TINY[-1]), torch.float64)
    made = []
    for _ in range(2):
        task.prepare()
        task.run()
        made.append({name: tensor.clone() for name, tensor in task.outputs().items()})
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


@pytest.mark.simulated
def test_commands(tmp_path: Path) -> None:
    runner, row = Secret(), next(row for row in ROWS if row.name == "softmax")
    arrays = inputs(row)
    np.savez(tmp_path / "in.npz", **arrays)
    obeyed(runner, {"do": "load", "row": row.name, "inputs": str(tmp_path / "in.npz")})
    obeyed(runner, {"do": "prepare"})
    assert obeyed(runner, {"do": "run"})["seconds"] > 0
    obeyed(runner, {"do": "outputs", "path": str(tmp_path / "out.npz")})
    with np.load(tmp_path / "out.npz") as made:
        expected = F.softmax(torch.from_numpy(arrays["x"]).double(), 1)
        assert largest_error(dict(made), {"out": expected.numpy()}) < 1e-3
    with pytest.raises(ValueError, match="no command called 'dance'"):
        obeyed(runner, {"do": "dance"})


# Processes


def members(tmp_path: Path, *programs: str) -> Members:
    return Members(
        [
            Member((sys.executable, "-c", program), tmp_path / f"{place}.log", 1)
            for place, program in enumerate(programs)
        ]
    )


ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def test_members_are_told_the_same(tmp_path: Path) -> None:
    both = members(tmp_path, ECHO, ECHO)
    assert both.ask(30, do="run") == [{"do": "run"}] * 2
    assert both.cpu() > 0
    both.end()


@pytest.mark.parametrize(
    ("program", "limit", "reason"),
    [
        ('print(\'{"failed": "no such op"}\'); input()', 30, "no such op"),
        ("raise SystemExit('out of memory')", 30, "ended: out of memory"),
        ("input()", 0.2, "within the time limit"),
    ],
)
def test_failures_have_reasons(tmp_path: Path, program: str, limit: float, reason: str) -> None:
    both = members(tmp_path, "input()", program)
    with pytest.raises(Failure, match=reason):
        both.replies(limit)
    both.end()


def test_a_system_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(place: Any) -> Members:
        return Members([place.member("only", "no.such.module")])

    monkeypatch.setitem(sys.modules["benchmarks.peers.systems"].SYSTEMS, "torch", start)
    cells = measured(TINY[0], [System("torch", 1)], Effort(repeats=1))
    assert "no.such.module" in cells["torch"]["failed"] or "No module" in cells["torch"]["failed"]


def test_without_its_environment_a_peer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(name: str) -> None:
        tried.append(name)
        raise RuntimeError("no network")

    monkeypatch.setattr(sys.modules["benchmarks.peers.systems"], "prepare", fail)
    system = System("spu", 1)
    for _ in range(2):
        cells = measured(TINY[0], [system], Effort(repeats=1))
        assert cells == {"spu": {"failed": "load: no environment: no network"}}
    assert tried == ["spu"]


# Environments


def test_only_the_known_file_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "converter.py"
    file.write_text("".join(prepare.CHANGES))
    prepare.mend(file)
    assert file.read_text() == "".join(prepare.CHANGES.values())
    file.write_text("something else")
    with pytest.raises(RuntimeError, match="is not that of crypten"):
        prepare.mend(file)


# Tables


def cell(seconds: float, error: float, **counts: float) -> dict[str, Any]:
    return {"seconds": seconds, "cpu": 2 * seconds, "repeats": 3, "error": error, **counts}


RESULTS: dict[str, Any] = {
    "date": "2026-01-31",
    "machine": {"cpu": "Abacus", "cores": "2", "isa": "beads", "system": "Linux", "load": "0.0"},
    "effort": {"repeats": 3, "threads": 1},
    "versions": {"spu": {"spu": "0.9.5"}},
    "cells": {
        "relu-1e6": {
            "mpctensor": cell(0.25, 4e-5, rounds=4, sent=12e6, dealt=57e6),
            "mpctensor-18": cell(0.25, 1e-5, rounds=4, sent=12e6, dealt=57e6),
            "crypten": {"failed": "run: RuntimeError: no"},
            "spu": cell(2.5, 2e-5, rounds=8, sent=72e6),
            "torch": cell(0.01, 0.0),
        }
    },
}


def test_markdown() -> None:
    text = markdown(RESULTS)
    assert "2026-01-31, Abacus, 2 cores, kernels for beads" in text
    assert "| relu, 1e6 | 0.25 | failed | 2.5 | 12 | failed | 72 |" in text  # the main rows
    assert "| relu, 1e6 |  | 10 |  | 6.0 |  | 2.0 |" in text  # errors: with 18 bits both
    assert "| relu, 1e6 | 0.25 | 0.25 | failed | 2.5 | 0.01 |" in text
    assert "| relu, 1e6 | 25 | 25 |  | 250 |" in text  # times plain torch
    assert "| relu, 1e6 | 57 | failed | - |" in text  # MB from the provider
    assert "* relu, 1e6, CrypTen: run: RuntimeError: no" in text


def test_plot(tmp_path: Path) -> None:
    plot(RESULTS, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").read_bytes().startswith(b"\x89PNG")
