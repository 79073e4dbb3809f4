"""The four networks in short: twins learn alike."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def main(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return runpy.run_path(str(EXAMPLES / "networks.py"))["main"]


@pytest.mark.parametrize("name", ["lenet", "resnet", "transformer", "lstm"])
def test_twins_learn_alike(main, capsys, name):
    main([name, "--epochs", "1", "--train-images", "100", "--batch-size", "25"])
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 3
    plain, encrypted = map(float, re.findall(r"([\d.]+) %", table[2]))
    assert encrypted == pytest.approx(plain, abs=2.0)
    assert [line.count("|") for line in table] == [9, 9, 9]


def test_unknown_names(main, capsys):
    with pytest.raises(SystemExit):
        main(["alexnet"])
    assert "'alexnet' is none of lenet, resnet, transformer, lstm" in capsys.readouterr().err
