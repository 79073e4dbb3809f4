"""The README's example runs as it stands, and what the documents point to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_example(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 12
    exec(compile(example, "README.md", "exec"), {})
    losses = [float(line[len("tensor(") : -1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 20 and losses[-1] < losses[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_architecture_lists_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "mpctensor").iterdir():
        package = path.is_dir() and (path / "__init__.py").exists()
        if package or (path.suffix == ".py" and path.stem != "__init__"):
            name = path.name + "/" if package else path.name
            assert f"`mpctensor/{name}`" in text, f"docs/architecture.md does not mention {name}"
