"""The house rules that the source keeps: sizes, directions of imports, what may be called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "qcade"
MOST_LINES = 400

# Lowest first; a room may import its own level and those below.
LEVELS: list[set[str]] = [
    {"shell", "interrupts"},
    {"types"},
    {"events", "files", "parts"},
    {"checks"},
    {"compute"},
    {"replay"},
    {"games", "networks", "recipe"},
    {"algorithms"},
    {"agent"},
    {"play", "recipes"},
    {"tape"},
    {"training"},
    {"runs"},
    {"background", "doctor", "verify", "watch"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# What a loop that never touches the disk and prints nothing has no use for.
OUTSIDE_WORLD = {"io", "logging", "os", "pathlib", "rich", "shutil", "sys", "tempfile"}
RUNS_STRANGERS_CODE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "runpy", "shelve"}


class Import(NamedTuple):
    """One imported module, or name of a module, with its place."""

    module: str
    line: int


def imports(tree: ast.Module, module: str, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, also inside functions; relative ones in full."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{start}.{alias.name}", node.lineno)


def room(module: str) -> str:
    """The room of a dotted name inside qcade; the package itself counts as its roof."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def upward_imports(tree: ast.Module, module: str, is_package: bool = False) -> list[str]:
    own = LEVEL[room(module)]
    found = []
    for imported, line in imports(tree, module, is_package):
        if imported.split(".")[0] != "qcade":
            continue
        # A name that is no room is one that qcade/__init__.py gives.
        if LEVEL.get(room(imported), LEVEL["__init__"]) > own:
            found.append(f"{module}, line {line}: imports {imported}")
    return found


def forbidden_calls(tree: ast.Module) -> list[str]:
    """Calls that run what they are given: eval, exec, torch.load."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("eval", "exec", "compile", "__import__", "torch.load", "np.load"):
            found.append(f"line {node.lineno}: {called}")
    return found


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    files = [path for folder in ("src", "tests", "benchmarks") for path in python_files(folder)]
    assert PACKAGE / "types.py" in files
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_every_room_of_the_house_is_in_the_list() -> None:
    rooms = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert rooms <= LEVEL.keys()


def test_imports_only_go_downwards() -> None:
    offences = [
        offence
        for path in python_files("src")
        if path != PACKAGE / "__init__.py"
        for offence in upward_imports(parse(path), module_name(path), path.stem == "__init__")
    ]
    assert not offences, "\n".join(offences)


def test_algorithms_know_no_other_algorithm() -> None:
    shared = {
        "losses",
        "losses_categorical",
        "losses_munchausen",
        "losses_quantile",
        "returns",
    }
    offences = [
        f"{module_name(path)}, line {line}: imports {imported}"
        for path in sorted((PACKAGE / "algorithms").glob("*.py"))
        for imported, line in imports(parse(path), module_name(path), path.stem == "__init__")
        if imported.startswith("qcade.algorithms") and imported.split(".")[2] not in shared
    ]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize("name", ["training/loop", "training/snapshot", "events", "play/session"])
def test_training_touches_no_disk_and_prints_nothing(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    tree = parse(path)
    imported = {i.module.split(".")[0] for i in imports(tree, module_name(path))}
    assert not imported & OUTSIDE_WORLD
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"print", "open", "input", "torch.save", "np.save"}


def test_nothing_in_the_package_can_run_a_strangers_code() -> None:
    offences = []
    for path in python_files("src"):
        tree = parse(path)
        offences += [f"{module_name(path)}, {call}" for call in forbidden_calls(tree)]
        offences += [
            f"{module_name(path)}, line {line}: imports {imported}"
            for imported, line in imports(tree, module_name(path), path.stem == "__init__")
            if imported.split(".")[0] in RUNS_STRANGERS_CODE or imported == "torch.load"
        ]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    ("module", "source", "offends"),
    [
        ("qcade.replay.frames", "from qcade.types import Batch", False),
        ("qcade.replay.frames", "from qcade.agent.actor import Actor", True),
        ("qcade.replay.frames", "from qcade import agent", True),
        ("qcade.replay.frames", "import qcade.tape.format", True),
        ("qcade.replay.frames", "from ..agent import actor", True),
        ("qcade.replay.frames", "from . import samplers", False),
        ("qcade.replay.frames", "def f():\n    from qcade.cli.main import main", True),
        ("qcade.replay.frames", "from qcade import Recipe", True),
        ("qcade.recipe.spec", "from qcade.agent.actor import Actor", True),
        ("qcade.watch.filming", "from qcade.runs.reading.run import open_run", False),
    ],
)
def test_the_direction_of_an_import_is_judged_rightly(
    module: str, source: str, offends: bool
) -> None:
    assert bool(upward_imports(ast.parse(source), module)) == offends


def test_calls_of_methods_that_are_named_alike_are_no_offence() -> None:
    assert not forbidden_calls(ast.parse("network.eval()\nre.compile('x')\nqcade.load('runs/x')"))
    assert len(forbidden_calls(ast.parse("eval('1')\nexec('x')\ntorch.load('x')"))) == 3
