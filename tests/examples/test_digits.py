"""The demo in short: it prints both losses and accuracies, and they agree."""

import re
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "digits.py"


def test_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    demo = runpy.run_path(str(SCRIPT))
    demo["main"](["--epochs", "1", "--train-images", "200", "--seed", "1"])
    out = capsys.readouterr().out
    rows = re.findall(r"^ +1 +([\d.]+) +([\d.]+) +([\d.]+)% +([\d.]+)%$", out, re.MULTILINE)
    assert len(rows) == 2  # MLP and CNN
    for encrypted_loss, plain_loss, encrypted_accuracy, plain_accuracy in rows:
        assert float(encrypted_loss) == pytest.approx(float(plain_loss), abs=0.01)
        assert float(encrypted_accuracy) == pytest.approx(float(plain_accuracy), abs=1.0)
    assert len(re.findall(r"a training step: \d+ rounds, [\d.]+ MB", out)) == 2
    truth, predicted = re.findall(r"(?:images of|predicted) +([\d ]+)$", out, re.MULTILINE)[:2]
    assert len(truth.split()) == len(predicted.split()) == 16


def test_three_parties(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    demo = runpy.run_path(str(SCRIPT))
    demo["main"](["--epochs", "1", "--train-images", "50", "--parties", "3"])
    assert "alice, bob, carol" in capsys.readouterr().out
