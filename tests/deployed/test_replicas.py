"""Two replicas in each of two parties, each a process: as one run on the whole batch."""

import importlib.util
import json
import socket

import pytest
import torch

import mpctensor as mpc
from tests.deployed import replicas_in_step
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


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What both replicas of a simulated session find."""
    folder = tmp_path_factory.mktemp("in_step")
    arguments = (replicas_in_step.__file__, folder / "store")
    processes = {
        rank: start("", *arguments, rank, MPCTENSOR_CONFIG="", MPCTENSOR_PARTY="") for rank in "01"
    }
    out = ended(processes, 60)
    assert all(code == 0 for code, _, _ in out.values()), out
    return [json.loads(text.strip().splitlines()[-1]) for _, text, _ in out.values()]


def both(found, case):
    return [replica[case] for replica in found]


def close(got, expected, ulps=2):
    torch.testing.assert_close(torch.tensor(got), torch.tensor(expected), rtol=0, atol=ulps * ULP)


def test_autograd_notices_that_a_saved_value_was_overwritten(found):
    for errors in both(found, "overwritten_after_it_was_saved"):
        for kind, words in errors:
            assert kind == "RuntimeError" and "modified by an inplace operation" in words


def test_a_value_given_twice_is_added_once(found):
    (*first, shares), (*second, same) = both(found, "given_twice")
    sums = [[3.0] * 3] * 2
    assert first[:2] == second[:2] == [sums, sums]
    close(first[2], [[1.0, 1.5, 1.5]] * 2)
    close(second[2], [[2.0, 1.5, 1.5]] * 2)
    assert shares == same, "a mean is rounded alike in all replicas"
    for kind, words in (first[3], second[3]):
        assert kind == "ValueError" and "`values[1]` and `values[0]` overlap" in words


def test_gradients_that_all_replicas_lack(found):
    four, two = [3.0] * 4, [3.0] * 2
    assert both(found, "gradients_that_all_lack") == [[four, None, four, two]] * 2


def test_gradients_that_one_replica_lacks(found):
    here, there = both(found, "gradients_that_some_lack")
    names = ("the gradient of `1.weight`", "`values[2]`")
    for name, (kind, words), (_, other) in zip(names, here[:2], there[:2], strict=True):
        assert kind == "SessionError" and f"the replicas differ in {name}, which here is" in words
        assert "of shape (2, 2)" in words and "is missing;" in other
    for replica, count in ((here, 2), (there, 3)):
        assert f"do not pass the same values; here {count}: `values[0]`" in replica[2][1]
        assert f"of shape ({count},)" in replica[3][1]


def test_a_broadcast_brings_its_scale(found):
    (first, *values), (second, *same) = both(found, "scales_that_differ")
    assert first[0] == second[0] == "SessionError" and "at scale 196608" in first[1]
    assert values[0] == same[0] == [0.5, -1.0]
    for products in (values, same):
        # a scale of 3 * 2^16 is left by a division by 3, which errs by 2; times up to 3, and 1 more
        close(products[1:3], [[0.75, 3.0], [2.25, 9.0]], ulps=7)
    assert values[3] == same[3], "the same shares"


def test_public_values(found):
    for sums, squares in both(found, "values_that_are_public"):
        assert sums == [3.0, 3.0]
        close(squares, [1.0, 4.0])


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
        with pytest.raises(TypeError, match=r"`values\[1\]` is a Tensor"):
            mpc.broadcast([x, torch.ones(2)])
        half = mpc.encrypt(torch.nn.Linear(2, 1))
        half.bias = torch.nn.Parameter(torch.ones(1))
        half.bias.grad = torch.ones(1)
        with pytest.raises(TypeError, match="the gradient of `bias` is a Tensor"):
            mpc.all_reduce(half)
        with pytest.raises(TypeError, match=r"`values` is torch\.int64"):
            mpc.all_reduce(mpc.encrypt(torch.arange(2)))
