"""The package itself: its public names, and which modules an import loads."""

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


def test_names_for_type_checkers_are_the_public_names() -> None:
    assert _imports_for_type_checkers() == cyfes._MODULES
    assert sorted([*cyfes._MODULES, "__version__"]) == sorted(cyfes.__all__)


@pytest.mark.parametrize("name", cyfes.__all__)
def test_every_public_name_can_be_used(name: str) -> None:
    assert getattr(cyfes, name) is not None
    assert name in dir(cyfes)


def test_dir_lists_public_names_only() -> None:
    # A module of the package is an attribute once it was imported, and no public name.
    import cyfes.model.grid

    public = [name for name in dir(cyfes) if not name.startswith("__")]
    assert [*public, "__version__"] == [n for n in cyfes.__all__ if n[:2] != "__"] + ["__version__"]
    assert cyfes.model.grid.Grid is cyfes.Grid


def test_no_public_name_is_the_name_of_a_module() -> None:
    # An import of the module would replace the object of the same name.
    modules = {file.stem for file in Path(cyfes.__file__).parent.iterdir()}
    assert modules.isdisjoint(cyfes.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'cyfes' has no attribute 'sumhills'"):
        cyfes.sumhills  # noqa: B018


def test_submodules_can_be_imported_and_have_the_same_classes() -> None:
    from cyfes.model import grid, hills

    assert hills.Hills is cyfes.Hills
    assert pickle.loads(pickle.dumps(cyfes.Grid)) is grid.Grid  # noqa: S301


def test_modules_are_attributes_of_the_package_without_an_import() -> None:
    code = "import cyfes; print(cyfes.surface.load is cyfes.load, cyfes.errors.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True cyfes.errors\n"


def test_importing_the_package_imports_neither_numpy_nor_its_own_modules() -> None:
    code = "import sys, cyfes; print(*(m for m in sys.modules if m.startswith(('cyfes', 'numpy'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["cyfes", "cyfes._version"]
