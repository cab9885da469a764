"""The package itself: its public names, and what importing it costs."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import cyfes


def _imports_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(Path(cyfes.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_are_told_the_names_that_there_are() -> None:
    assert _imports_for_type_checkers() == cyfes._MODULES
    assert sorted([*cyfes._MODULES, "__version__"]) == sorted(cyfes.__all__)


@pytest.mark.parametrize("name", cyfes.__all__)
def test_every_public_name_can_be_used(name: str) -> None:
    assert getattr(cyfes, name) is not None
    assert name in dir(cyfes)


def test_no_public_name_is_that_of_a_module() -> None:
    # Importing the module would put it in the place of what the name stands for.
    modules = {file.stem for file in Path(cyfes.__file__).parent.iterdir()}
    assert modules.isdisjoint(cyfes.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cyfes' has no attribute 'sumhills'"):
        cyfes.sumhills  # noqa: B018


def test_the_names_of_submodules_are_still_modules() -> None:
    from cyfes.model import grid, hills

    assert hills.Hills is cyfes.Hills
    assert pickle.loads(pickle.dumps(cyfes.Grid)) is grid.Grid  # noqa: S301


def test_modules_are_there_without_being_imported_by_name() -> None:
    code = "import cyfes; print(cyfes.surface.load is cyfes.load, cyfes.errors.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True cyfes.errors\n"


def test_importing_the_package_imports_neither_numpy_nor_its_own_modules() -> None:
    code = "import sys, cyfes; print(*(m for m in sys.modules if m.startswith(('cyfes', 'numpy'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["cyfes", "cyfes._version"]
