"""Two replicas in each of two parties, each a process: as one run on the whole batch."""

import importlib.util
import json
import socket

import pytest
import torch

import mpctensor as mpc
from tests.deployed.processes import ROOT, ended, line_up, provider, start
from tests.plaintext import ULP

SCRIPT = ROOT / "examples" / "replicas.py"


def script():
    spec = importlib.util.spec_from_file_location("replicas", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def free_pair():
    """A port whose successor is free too, for replicas 0 and 1."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue


def replicas_of(config, counts):
    """The example at every replica of every party; counts: how many replicas each party has."""
    processes = {}
    for name, count in counts.items():
        store = free_pair()
        for rank in range(count):
            processes[f"{name} {rank}"] = start(
                config,
                SCRIPT,
                MPCTENSOR_PARTY=name,
                RANK=str(rank),
                WORLD_SIZE=str(count),
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=str(store),
            )
    return processes


@pytest.fixture
def config(tmp_path):
    path = line_up(tmp_path, timeout=20, startup=20)
    text = path.read_text()
    port = text.split("127.0.0.1:")[1].split('"')[0]
    path.write_text(text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_pair()}"))
    with provider(path):
        yield path


def test_replicas_train_like_one_run_on_the_whole_batch(config):
    out = ended(replicas_of(config, {"alice": 2, "bob": 2}), 80)
    assert all(code == 0 for code, _, _ in out.values()), out
    last = [text.strip().splitlines()[-1].removeprefix("weights ") for _, text, _ in out.values()]
    assert len(set(last)) == 1, "all replicas of both parties end with the same weights"
    with mpc.init():
        expected = torch.cat([w.view(-1) for w in script().train(0, 1)])
    # an ulp or two for each of some ten truncations a step, and momentum sums them up
    assert (torch.tensor(json.loads(last[0])) - expected).abs().max() < 200 * ULP


def test_parties_with_different_numbers_of_replicas(config):
    processes = replicas_of(config, {"alice": 1, "bob": 2})
    alice = {"alice 0": processes.pop("alice 0"), "bob 0": processes.pop("bob 0")}
    out = ended(alice, 60)
    ended(processes, 60)
    for code, _, errors in out.values():
        assert code != 0 and "`replicas` is " in errors, errors


def test_one_replica_changes_nothing():
    with mpc.init():
        x = mpc.encrypt(torch.tensor([1.0, 2.0]))
        mpc.all_reduce(x)
        mpc.broadcast([x])
        assert x.decrypt().tolist() == [1.0, 2.0]
        with pytest.raises(ValueError, match="mean"):
            mpc.all_reduce(x, op="max")
        with pytest.raises(TypeError, match="encrypted"):
            mpc.all_reduce(torch.ones(2))
