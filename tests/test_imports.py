"""No stage of the package imports a later one, and no modules import each other in a circle.

import-linter checks the same in `nox -s lint`. These tests also read Cython modules, and names of
modules in strings, as for `importlib.import_module`.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Dict, Set

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# For each module the modules that it imports, all by their full names.
Graph = Dict[str, Set[str]]


def layers(pyproject: Path) -> list[str]:
    """Return the stages, the last one first, from the settings of import-linter."""
    match = re.search(r"(?ms)^layers = (\[.*?\])", pyproject.read_text("utf-8"))
    assert match is not None
    stages: list[str] = ast.literal_eval(match[1])
    return stages


def module_name(file: Path, package: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def named_in_python(source: str) -> Iterator[str]:
    """Yield all names that may be those of modules: in all imports, and in strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "expected imports by full names only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
    yield from re.findall(r"""["']([\w.]+)["']""", source)


def named_in_cython(file: Path) -> Iterator[str]:
    """Yield the modules that a Cython file and the files that it includes import."""
    source = file.read_text("utf-8")
    for included in re.findall(r'^include "(.+)"', source, re.MULTILINE):
        source += file.with_name(included).read_text("utf-8")
    yield from re.findall(r"^from ([\w.]+) c?import", source, re.MULTILINE)


def graph(package: Path) -> Graph:
    """Return for each module of a package the modules of the package that it imports."""
    python = {module_name(file, package): file for file in package.rglob("*.py")}
    cython = {module_name(file, package): file for file in package.rglob("*.pyx")}
    modules = {*python, *cython}
    named = {name: set(named_in_python(file.read_text("utf-8"))) for name, file in python.items()}
    named.update((name, set(named_in_cython(file))) for name, file in cython.items())
    return {name: imported(name, found, modules) for name, found in named.items()}


def imported(module: str, named: set[str], modules: set[str]) -> set[str]:
    """Return the modules of these names: names of modules, of their contents, or of folders."""
    found = {name if name in modules else name.rpartition(".")[0] for name in named}
    for folder in named & {f"{name}." for name in modules if "." in name}:
        # A name that ends with a dot, as in import_module("cyfes.cli." + name).
        found |= {other for other in modules if other.startswith(folder)}
    return (found & modules) - {module}


def upward(found: Graph, stages: list[str]) -> list[str]:
    """Return a message for each import of a later stage."""
    ranks = {name: -rank for rank, stage in enumerate(stages) for name in stage.split(" | ")}

    def rank(module: str) -> int | None:
        return ranks.get((*module.split("."), "")[1])

    return [
        f"{module} imports {other}"
        for module, others in sorted(found.items())
        for other in sorted(others)
        if None not in (rank(module), rank(other)) and rank(other) > rank(module)  # type: ignore[operator]
    ]


def circles(found: Graph) -> list[str]:
    """Return the modules that import themselves through other modules."""

    def reached(module: str) -> set[str]:
        waiting: list[str] = [module]
        seen: set[str] = set()
        while waiting:
            new = found[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    return sorted(module for module in found if module in reached(module))


def of_the_package(project_root: Path) -> Graph:
    found = graph(project_root / "cyfes")
    # cyfes/__init__.py imports a module when one of its public names is first used.
    del found["cyfes"]
    return {module: others - {"cyfes"} for module, others in found.items()}


def test_no_stage_imports_a_later_one(project_root: Path) -> None:
    stages = layers(project_root / "pyproject.toml")
    assert upward(of_the_package(project_root), stages) == []


def test_no_modules_import_each_other_in_a_circle(project_root: Path) -> None:
    assert circles(of_the_package(project_root)) == []


def test_every_module_belongs_to_a_stage(project_root: Path) -> None:
    stages = {name for s in layers(project_root / "pyproject.toml") for name in s.split(" | ")}
    found = {name.split(".")[1] for name in of_the_package(project_root)}
    assert found == {*stages, "__main__"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with two stages, low and high, and no wrong import."""
    files = {
        "__init__.py": "",
        "low/__init__.py": "",
        "low/one.py": "X = 1\n",
        "low/two.py": "from made.low.one import X\n",
        "low/fast.pyx": 'from made.low.one import X\ninclude "fast_body.pxi"\n',
        "low/fast_body.pxi": "",
        "high/__init__.py": "",
        "high/three.py": "from made.low import one, two\n",
    }
    for name, source in files.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path / "made"


STAGES = ["high", "low"]


def test_a_correct_package_has_no_faults(package: Path) -> None:
    found = graph(package)
    assert upward(found, STAGES) == circles(found) == []
    assert found["made.high.three"] == {"made.low.one", "made.low.two"}


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("low/one.py", "import made.high.three\n"),
        ("low/one.py", "def late():\n    from made.high.three import two\n"),
        (
            "low/one.py",
            "if TYPE_CHECKING:\n    import made.high\n",
        ),
        ("low/one.py", "def late(module):\n    return module('made.high.three')\n"),
        ("low/one.py", "def late(module, name):\n    return module('made.high.' + name)\n"),
        ("low/fast_body.pxi", "from made.high.three import two\n"),
    ],
)
def test_an_import_of_a_later_stage_is_found(package: Path, file: str, source: str) -> None:
    (package / file).write_text(source)
    name = "made.low.fast" if file.endswith(".pxi") else "made.low.one"
    found = upward(graph(package), STAGES)
    assert found
    assert all(line.startswith(f"{name} imports made.high") for line in found)


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("low/one.py", "from made.low.two import X\n", ["made.low.one", "made.low.two"]),
        (
            "low/one.py",
            "def late():\n    from made.low import fast\n",
            ["made.low.fast", "made.low.one"],
        ),
    ],
)
def test_a_circle_is_found(package: Path, file: str, source: str, expected: list[str]) -> None:
    (package / file).write_text(source)
    assert circles(graph(package)) == expected
