"""What a project declares about its wheels: the table [tool.wheelkit] of a pyproject.toml.

The table of a project is for the project's own wheels, so the name in [project] must be the
wheel's; a file that the caller names is for every wheel. Options take the place of a key each.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tomli
from packaging.utils import canonicalize_name

from wheelkit.target.report import MisusedError
from wheelkit.wheel.layouts import LAYOUTS

TABLE = "[tool.wheelkit]"


@dataclass(frozen=True)
class Kernel:
    """A kernel that every smoke test must run, its precision, and the largest error it may have."""

    name: str
    dtype: str
    tolerance: float


@dataclass(frozen=True)
class Settings:
    """What is declared of a wheel; None where nothing was declared and so nothing is checked.

    Attributes
    ----------
    grafts
        Stems of the libraries that the repair grafts, as in ``libcudart``.
    sass, ptx
        Architectures of the device code in every library that has any: 90 is sm_90 or compute_90.
    max_size
        Largest size of the wheel itself, in bytes.
    exclude
        Globs of SONAMEs that the wheel does not bring, as in ``libcublas.so.*``.
    build_paths
        Folders of the build machine, as in ``/project/``, that no ELF file may mention.
    preloaded
        SONAMEs that the package itself loads before its libraries.
    layouts
        Names of the install layouts in which the wheel must load; all if None.
    ignore
        Ids of the faults that the project knows and accepts.
    kernels
        The kernels that every smoke test must run before a release. In the table they are sorted
        by their precision: ``kernels.float64 = {tolerance = 1e-10, names = ["sum"]}``.
    source
        The file that they come from.
    """

    grafts: tuple[str, ...] | None = None
    sass: tuple[int, ...] | None = None
    ptx: tuple[int, ...] | None = None
    max_size: int | None = None
    exclude: tuple[str, ...] = ()
    build_paths: tuple[str, ...] = ()
    preloaded: tuple[str, ...] = ()
    layouts: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    source: str | None = None


# Key of the table → the type of its value, or of each of its items.
LISTS: dict[str, type] = {
    "grafts": str,
    "sass": int,
    "ptx": int,
    "exclude": str,
    "build-paths": str,
    "preloaded": str,
    "layouts": str,
    "ignore": str,
}
NUMBERS = ("max-size",)
KERNELS = "kernels"


def from_file(path: Path) -> Settings:
    """Read the table of a file.

    Raises
    ------
    MisusedError
        The file cannot be read, has no such table, or the table has a fault.
    """
    table = _table(read_document(path))
    if table is None:
        raise MisusedError(f"{path} has no table {TABLE}; add it, or name another file")
    return replace(_settings(table, str(path)), source=str(path))


def of_project(folder: Path, distribution: str) -> Settings:
    """Read the table of the project in `folder`, if it is the project of this distribution.

    Raises
    ------
    MisusedError
        The table has a fault.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        return Settings()
    document = read_document(path)
    name = document.get("project", {}).get("name", "")
    table = _table(document)
    if table is None or canonicalize_name(str(name)) != canonicalize_name(distribution):
        return Settings()
    return replace(_settings(table, str(path)), source=path.name)


def overridden(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Return the settings with the options that were given, those that are not None.

    Raises
    ------
    MisusedError
        An option names an unknown layout.
    """
    given = {field: value for field, value in options.items() if value is not None}
    _refuse_unknown_layouts(given.get("layouts") or (), "--for-layouts")
    return replace(settings, **given)


def read_document(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    MisusedError
        It is not there, or is no TOML file.
    """
    try:
        return tomli.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise MisusedError(f"{path} cannot be read: {error}; expected a TOML file") from error


def _table(document: Mapping[str, Any]) -> dict[str, Any] | None:
    tool = document.get("tool", {})
    table = tool.get("wheelkit") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _settings(table: Mapping[str, Any], where: str) -> Settings:
    values: dict[str, Any] = {}
    for key, value in table.items():
        values[key.replace("-", "_")] = _value(key, value, f"{where}: {TABLE} {key}")
    _refuse_unknown_layouts(values.get("layouts", ()), f"{where}: {TABLE} layouts")
    return Settings(**values)


def _value(key: str, value: Any, where: str) -> Any:
    if key in NUMBERS:
        # A bool is an int for Python; a declared size of `true` is a slip.
        if type(value) is not int or value <= 0:
            raise MisusedError(f"{where} is {value!r}; expected a positive whole number")
        return value
    if key in LISTS:
        kind = LISTS[key]
        if not isinstance(value, list) or any(type(item) is not kind for item in value):
            expected = {str: "strings", int: "whole numbers"}[kind]
            raise MisusedError(f"{where} is {value!r}; expected a list of {expected}")
        return tuple(value)
    if key == KERNELS:
        return _kernels(value, where)
    known = sorted((*LISTS, *NUMBERS, KERNELS))
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
    raise MisusedError(f"{where} is no known key; {hint}")


def _kernels(groups: Any, where: str) -> tuple[Kernel, ...]:
    if not isinstance(groups, dict):
        raise MisusedError(f"{where} is {groups!r}; expected a table for each precision")
    kernels = []
    for dtype, group in groups.items():
        keys = sorted(group) if isinstance(group, dict) else None
        if keys != ["names", "tolerance"]:
            raise MisusedError(f"{where}.{dtype} is {group!r}; expected names and tolerance")
        names, tolerance = group["names"], group["tolerance"]
        if type(tolerance) not in (int, float) or not 0 < tolerance < math.inf:
            expected = "expected a positive number"
            raise MisusedError(f"{where}.{dtype}.tolerance is {tolerance!r}; {expected}")
        if not isinstance(names, list) or not all(type(name) is str for name in names):
            raise MisusedError(f"{where}.{dtype}.names is {names!r}; expected a list of strings")
        kernels += [Kernel(name, dtype, float(tolerance)) for name in names]
    found = [kernel.name for kernel in kernels]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise MisusedError(f"{where}: {twice[0]!r} is there twice; each kernel has one name")
    return tuple(kernels)


def _refuse_unknown_layouts(names: tuple[str, ...], where: str) -> None:
    known = [layout.name for layout in LAYOUTS]
    for name in names:
        if name not in known:
            raise MisusedError(f"{where}: no layout {name!r}; expected some of {', '.join(known)}")


# Every key is a field, so that none is read and then dropped.
assert {key.replace("-", "_") for key in (*LISTS, *NUMBERS, KERNELS)} == (  # noqa: S101
    {field.name for field in fields(Settings)} - {"source"}
)
