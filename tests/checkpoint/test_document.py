"""The example of docs/checkpoints.md runs, and goes on where it stopped."""

import re
from pathlib import Path

import mpctensor as mpc

DOCUMENT = Path(__file__).parents[2] / "docs" / "checkpoints.md"


def test_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    for epochs in (5, 10, 15):
        exec(compile(example, DOCUMENT.name, "exec"), {})
        mpc.starting.current().close()
        assert f"epochs {epochs} loss" in capsys.readouterr().out
