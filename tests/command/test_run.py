"""`mpctensor run --as` and `run --local`, with real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

import pytest

from mpctensor.command import main
from tests.command.commands import LIMIT, run, start
from tests.deployed.faults import await_word, deaf
from tests.deployed.processes import line_up, provider

TRAIN = """
import sys
import torch, torch.nn.functional as F
import mpctensor as mpc
mpc.init()
x, y = torch.randn(8, 2), torch.randn(8, 1)
model = mpc.encrypt(torch.nn.Linear(2, 1))
x, y = mpc.encrypt(x), mpc.encrypt(y)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    opt.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    opt.step()
    print("loss", loss.decrypt().item())
print("weights", mpc.decrypt(model).weight.tolist())
print("arguments", sys.argv)
print("oops", file=sys.stderr)
if mpc.party() == "bob" and "fail" in sys.argv:
    sys.exit(9)
x.decrypt()
"""

WAIT = """
import os, subprocess, sys, time
from pathlib import Path
name = os.environ["MPCTENSOR_PARTY"]
child = subprocess.Popen(["sleep", "300"])
Path(name + ".pids").write_text(f"{os.getpid()} {child.pid}")
Path("folder").write_text(os.path.dirname(os.environ["MPCTENSOR_CONFIG"]))
try:
    while len(list(Path(".").glob("*.pids"))) < 2:
        time.sleep(0.02)
    print("here", flush=True)
    if name == "bob" and "fail" in sys.argv:
        sys.exit(7)
    time.sleep(300)
except KeyboardInterrupt:
    print("asked to stop", flush=True)
    raise
"""


def write(folder: Path, text: str, name: str = "script.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def lines_of(output: str, name: str) -> list[str]:
    return [line.partition("| ")[2] for line in output.splitlines() if line.startswith(name)]


def alive(pid: int) -> bool:
    """Whether a process runs; zombies do not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def check_nobody_is_left(folder: Path) -> None:
    """All processes that WAIT noted are gone; so are the certificates."""
    pids = [int(pid) for path in folder.glob("*.pids") for pid in path.read_text().split()]
    assert len(pids) == 4
    until = monotonic() + 10
    while any(map(alive, pids)) and monotonic() < until:
        sleep(0.05)
    assert not any(map(alive, pids))


def temporary_folder(folder: Path) -> Path:
    return Path((folder / "folder").read_text())


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`run --local` of a script that waits, once both parties have said so."""
    write(tmp_path, WAIT)
    process = start("run", "--local", "script.py", cwd=tmp_path)
    assert process.stdout is not None
    for _ in range(2):
        assert process.stdout.readline().endswith("here\n")
    yield process
    process.kill()
    process.communicate(timeout=LIMIT)


def check_same_output(output: str, parties: Sequence[str], arguments: list[str]) -> None:
    """Every party printed the losses, the weights and its arguments, all alike."""
    first, *others = [lines_of(output, name) for name in parties]
    assert [line.split()[0] for line in first] == ["loss"] * 3 + ["weights", "arguments"]
    assert first[-1] == f"arguments {['script.py', *arguments]}"
    assert all(other == first for other in others)


def test_three_parties_learn_the_same(tmp_path: Path) -> None:
    write(tmp_path, TRAIN)
    parties = ["--parties", "alice,bob,carol", "--plain"]
    done = run("run", "--local", *parties, "script.py", "-x", "--as", "y", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_same_output(done.stdout, ("alice", "bob", "carol"), ["-x", "--as", "y"])
    assert lines_of(done.stderr, "bob") == ["oops"]
    assert "begins" in lines_of(done.stderr, "james")[1]
    assert lines_of(done.stderr, "james")[-1].endswith("has ended")


def test_two_parties_over_tls_and_the_failure_that_counts(tmp_path: Path) -> None:
    """alice fails only because bob did; her code is not what is reported, and she says why."""
    write(tmp_path, TRAIN)
    done = run("run", "--local", "script.py", "fail", cwd=tmp_path)
    assert done.returncode == 9, done.stderr
    check_same_output(done.stdout, ("alice", "bob"), ["fail"])
    assert lines_of(done.stderr, "alice")[-1].startswith(
        "alice: PeerError: bob has ended its session"
    )


def test_a_failure_ends_everybody_with_its_exit_code(tmp_path: Path) -> None:
    write(tmp_path, WAIT)
    done = run("run", "--local", "script.py", "fail", cwd=tmp_path)
    assert done.returncode == 7
    check_nobody_is_left(tmp_path)
    assert not temporary_folder(tmp_path).exists()


def test_ctrl_c_reaches_every_script_and_ends_everybody(
    waiting: subprocess.Popen[str], tmp_path: Path
) -> None:
    waiting.send_signal(signal.SIGINT)
    output, errors = waiting.communicate(timeout=LIMIT)
    assert waiting.returncode == 130
    assert output.count("asked to stop") == 2
    assert errors.count(": interrupted") == 2
    assert "Traceback" not in errors
    check_nobody_is_left(tmp_path)
    assert not temporary_folder(tmp_path).exists()


def test_nobody_survives_a_killed_starter(waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    waiting.kill()
    check_nobody_is_left(tmp_path)
    for path in temporary_folder(tmp_path).iterdir():  # nobody was left to do it
        path.unlink()
    temporary_folder(tmp_path).rmdir()


# One party; none of these gets as far as a session

ALONE = """
import atexit, json, os, sys
import mpctensor as mpc
if "--x" in sys.argv:
    atexit.register(print, "at exit")
print(json.dumps([sys.argv, sys.path[0], __name__, os.environ["MPCTENSOR_PARTY"]]))
def fail():
    if "leak" in sys.argv:
        raise mpc.SecretLeakError("say decrypt()")
    if "exit" in sys.argv:
        sys.exit(5)
    if "value" in sys.argv:
        raise ValueError("own")
fail()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    text = 'plain_tcp = true\nstartup = 1\n[parties.alice]\naddress = "127.0.0.1:9"\n'
    text += '[parties.bob]\naddress = "127.0.0.1:10"\n[provider.james]\naddress = "127.0.0.1:11"\n'
    write(tmp_path, text, "parties.toml")
    (tmp_path / "scripts").mkdir()
    write(tmp_path / "scripts", ALONE, "alone.py")
    return tmp_path


def test_a_script_runs_as_python_runs_it(config: Path) -> None:
    done = run("run", "--as", "alice", "scripts/alone.py", "-m", "--x", cwd=config)
    assert done.returncode == 0, done.stderr
    said, end = done.stdout.splitlines()
    argv, first, name, party = json.loads(said)
    assert argv == ["scripts/alone.py", "-m", "--x"]
    assert (first, name, party) == (str(config / "scripts"), "__main__", "alice")
    assert end == "at exit"


@pytest.fixture
def here(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, with what `run` changes in its process put back afterwards."""
    monkeypatch.chdir(config)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for variable in ("MPCTENSOR_CONFIG", "MPCTENSOR_PARTY"):
        monkeypatch.setenv(variable, "")
    handler = signal.getsignal(signal.SIGTERM)
    yield config
    signal.signal(signal.SIGTERM, handler)


def test_the_exit_code_is_the_scripts(here: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["run", "--as", "bob", "scripts/alone.py", "exit"])
    assert end.value.code == 5


def test_other_errors_look_as_in_python(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--as", "bob", "scripts/alone.py", "value"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("ValueError: own\n")
    assert "runpy" not in said
    assert os.path.join("mpctensor", "command") not in said


def test_a_module_and_errors_of_mpctensor(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPCTENSOR_PARTY", "bob")
    assert main(["run", "-m", "scripts.alone", "leak"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)[1:] == [str(here), "__main__", "bob"]
    assert said.err == "bob: SecretLeakError: say decrypt()\n"


def test_traceback_on_demand(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--as", "bob", "--traceback", "scripts/alone.py", "leak"]) == 1
    said = capsys.readouterr().err
    assert "in fail" in said
    assert "SecretLeakError: say decrypt()" in said


def test_ctrl_c_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, "raise KeyboardInterrupt")
    assert main(["run", "--as", "bob", "script.py"]) == 130
    assert capsys.readouterr().err == "bob: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.py"], "there is no script at none.py"),
        (["scripts/alone.py"], "say with --as which party this is (alice, bob)"),
        (["--as", "james", "scripts/alone.py"], "james is the provider"),
        (["--as", "eve", "scripts/alone.py"], "eve is no party of"),
        (["--as", "bob", "--plain", "scripts/alone.py"], "go with --local"),
        (["--config", "none.toml", "--as", "bob", "scripts/alone.py"], "none.toml cannot be read"),
        (["--local", "--parties", "alice", "scripts/alone.py"], "at least two"),
        (["--local", "--parties", "a,a", "scripts/alone.py"], "names someone twice"),
        (["--local", "--config", "x", "--parties", "a,b", "scripts/alone.py"], "already"),
        ([], "required: SCRIPT"),
    ],
)
def test_bad_use_is_one_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(config)
    try:
        code = main(["run", *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


# SIGTERM, which the other party hears of

ENDS = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
import torch
import mpctensor as mpc
with mpc.init() if "within" in sys.argv else nullcontext():
    x = mpc.encrypt(torch.ones(4))
    print("here", flush=True)
    while mpc.party() == "bob" and not Path("go").exists():
        time.sleep(0.02)
    (x * x).decrypt()
"""


def both(config: Path, folder: Path, *arguments: str) -> dict[str, subprocess.Popen[str]]:
    """`mpctensor run` of a script at alice and at bob."""
    script = write(folder, ENDS)
    return {
        name: start("run", "--config", config, "--as", name, script, *arguments, cwd=folder)
        for name in ("alice", "bob")
    }


def check_terminated(runs: dict[str, subprocess.Popen[str]], name: str, go: Path) -> None:
    """One is told to end, and says so to the other, who goes on."""
    (other,) = set(runs) - {name}
    try:
        runs[name].send_signal(signal.SIGTERM)
        assert runs[name].communicate(timeout=LIMIT)[1] == f"{name}: terminated\n"
        assert runs[name].returncode == 143
        go.touch()
        said = runs[other].communicate(timeout=LIMIT)[1]
        assert said == f"{other}: PeerError: {name} gave up: it was terminated\n"
    finally:
        for process in runs.values():
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("bob", [], id="between rounds"),
        pytest.param("bob", ["within"], id="between rounds, in the block of a session"),
        pytest.param("alice", [], id="in a round"),
    ],
)
def test_a_terminated_party_says_so(tmp_path: Path, name: str, arguments: list[str]) -> None:
    """alice waits for bob, who is busy elsewhere."""
    config = line_up(tmp_path, timeout=5 * LIMIT, plain=True)
    with provider(config):
        runs = both(config, tmp_path, *arguments)
        for process in runs.values():
            await_word(process)
        check_terminated(runs, name, tmp_path / "go")


def test_a_party_that_is_terminated_while_the_session_gathers_says_so(tmp_path: Path) -> None:
    config = line_up(tmp_path, timeout=5 * LIMIT, startup=5 * LIMIT, plain=True)
    with deaf(config) as both_call:
        runs = both(config, tmp_path)
        both_call()
        check_terminated(runs, "bob", tmp_path / "go")
