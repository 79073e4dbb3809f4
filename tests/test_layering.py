"""Imports point down only, in Python and in C++; the tables here are the rule."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mpctensor"
CSRC = ROOT / "csrc"

# A room may import rooms of the lines above its own, and itself; never a neighbour on its line.
ORDER = (
    ("_C",),
    ("errors", "kernels", "release"),
    ("network",),
    ("encoding", "transport", "provider"),
    ("share", "deployment", "grid", "draws"),
    ("session",),
    ("protocols",),
    ("ops", "starting"),
    ("witness",),
    ("tensor", "preprocessing"),
    ("front", "modules"),
    ("api", "checkpoint", "replicas"),
    ("__init__",),
    ("syft", "command"),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
ONLY_IMPORTER = {"_C": "kernels"}

# Rooms of csrc/ whose headers a room may include, besides its own and those directly in csrc/.
CSRC_ROOMS: dict[str, set[str]] = {
    "prg": set(),
    "bounds": {"prg"},
    "ring": set(),
    "truncate": {"prg"},
    "compare": {"prg"},
}
SYSTEM = {"immintrin.h", "cpuid.h", "pthread.h", "sched.h"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
NATIVE = sorted(path for ending in ("*.h", "*.cpp") for path in CSRC.rglob(ending))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    """Absolute dotted names that an import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = path.relative_to(ROOT).parts[: -node.level]
        base = ".".join((*package, *filter(None, [node.module])))
    return [f"{base}.{alias.name}" for alias in node.names] if base == "mpctensor" else [base]


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of each import of this package that runs; those for typing only do not."""
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in typing_only:
            for module in modules(node, path):
                package, _, rest = module.partition(".")
                if package == "mpctensor":
                    room = rest.partition(".")[0]
                    yield node.lineno, room if room in LEVEL else "__init__"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    here = room_of(path)
    assert here in LEVEL, f"give `{here}` a place in ORDER"
    for line, room in rooms_imported(path):
        where = f"{name_of(path)}:{line}: `{here}` imports `{room}`"
        assert room == here or LEVEL[room] < LEVEL[here], where
        assert ONLY_IMPORTER.get(room, here) == here, where


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_imports_inside_functions(path: Path) -> None:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                late = isinstance(node, ast.Import | ast.ImportFrom)
                assert not late, f"{name_of(path)}:{node.lineno}: import inside a function"


def allowed_include(include: str, path: Path) -> bool:
    """Whether a kernel file may include this: its room, csrc/ itself, the standard library."""
    target, system = include[1:-1], include[0] == "<"
    if system:
        return target in SYSTEM or re.fullmatch(r"[a-z_]+", target) is not None
    here = path.parent
    found = next((p for p in (here / target, CSRC / target) if p.is_file()), None)
    if found is None:
        return False
    room = found.resolve().parent.relative_to(CSRC)
    return room in (Path("."), here.relative_to(CSRC)) or str(room) in CSRC_ROOMS[here.name]


@pytest.mark.parametrize("path", NATIVE, ids=name_of)
def test_includes(path: Path) -> None:
    if path == CSRC / "bindings.cpp":  # the one file that knows Python and all rooms
        return
    for include in re.findall(r'^\s*#\s*include\s*([<"].*[>"])', path.read_text(), re.MULTILINE):
        assert allowed_include(include, path), f"{name_of(path)} includes {include}"


def test_every_room_of_csrc_is_listed() -> None:
    assert {path.parent.name for path in NATIVE} - {"csrc"} <= set(CSRC_ROOMS)
