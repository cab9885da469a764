"""What a project declares about its wheels: the table [tool.wheelkit] of a pyproject.toml.

The table of a project is for the project's own wheels, so the name in [project] must be the
wheel's; a file that the caller names is for every wheel. Options take the place of a key each.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli
from packaging.utils import canonicalize_name

from wheelkit.target.report import Fault, MisusedError
from wheelkit.wheel.layouts import LAYOUTS

TABLE = "[tool.wheelkit]"


@dataclass(frozen=True)
class Acceptance:
    """A finding that the project knows and accepts.

    It is accepted by its id, in the files whose archive names match the pattern. `reason` says why
    it does not matter to the project.
    """

    id: str
    reason: str
    file: str = "*"

    def covers(self, finding: Fault) -> bool:
        """Whether this finding is the accepted one."""
        return finding.id == self.id and fnmatchcase(finding.file, self.file)


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
    companions
        Distributions whose libraries the wheel uses: NAME, or NAME=WHEEL for a wheel of it.
    build_paths
        Folders of the build machine, as in ``/project/``, that no ELF file may mention.
    preloaded
        SONAMEs that the package itself loads before its libraries.
    layouts
        Names of the install layouts in which the wheel must load; all if None.
    accept
        The findings that the project knows and accepts.
    check_wheel_contents
        The file with the project's own configuration of check-wheel-contents; None if it has none.
    source
        The file that they come from.
    """

    grafts: tuple[str, ...] | None = None
    sass: tuple[int, ...] | None = None
    ptx: tuple[int, ...] | None = None
    max_size: int | None = None
    exclude: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    build_paths: tuple[str, ...] = ()
    preloaded: tuple[str, ...] = ()
    layouts: tuple[str, ...] | None = None
    accept: tuple[Acceptance, ...] = ()
    check_wheel_contents: Path | None = None
    source: str | None = None


# Key of the table → the type of its value, or of each of its items.
LISTS: dict[str, type] = {
    "grafts": str,
    "sass": int,
    "ptx": int,
    "exclude": str,
    "companions": str,
    "build-paths": str,
    "preloaded": str,
    "layouts": str,
}
NUMBERS = ("max-size",)
# A list of tables, each of which is an Acceptance.
ACCEPT = "accept"
KEYS = (*LISTS, *NUMBERS, ACCEPT)


def from_file(path: Path) -> Settings:
    """Read the table of a file.

    Raises
    ------
    MisusedError
        The file cannot be read, has no such table, or the table has a fault.
    """
    document = _document(path)
    table = _table(document, "wheelkit")
    if table is None:
        raise MisusedError(f"{path} has no table {TABLE}; add it, or name another file")
    contents = _contents_file(document, path)
    settings = _settings(table, str(path))
    return replace(settings, source=str(path), check_wheel_contents=contents)


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
    document = _document(path)
    name = document.get("project", {}).get("name", "")
    if canonicalize_name(str(name)) != canonicalize_name(distribution):
        return Settings()
    own = Settings(check_wheel_contents=_contents_file(document, path))
    table = _table(document, "wheelkit")
    if table is None:
        return own
    declared = _settings(table, str(path))
    return replace(declared, source=path.name, check_wheel_contents=own.check_wheel_contents)


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


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomli.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise MisusedError(f"{path} cannot be read: {error}; expected a TOML file") from error


def _table(document: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    tool = document.get("tool", {})
    table = tool.get(name) if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _contents_file(document: Mapping[str, Any], path: Path) -> Path | None:
    return path.absolute() if _table(document, "check-wheel-contents") is not None else None


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
    if key == ACCEPT:
        return _acceptances(value, where)
    known = sorted(KEYS)
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
    raise MisusedError(f"{where} is no known key; {hint}")


def _acceptances(value: Any, where: str) -> tuple[Acceptance, ...]:
    fields_of = {field.name for field in fields(Acceptance)}
    for item in value if isinstance(value, list) else [value]:
        texts = isinstance(item, dict) and all(type(text) is str for text in item.values())
        if not texts or not {"id", "reason"} <= item.keys() <= fields_of or not item["reason"]:
            expected = '{ id = "rpath-dangling", file = "pkg/*.so", reason = "why" }; file may go'
            raise MisusedError(f"{where} is {item!r}; expected a list of tables {expected}")
    return tuple(Acceptance(**item) for item in value)


def _refuse_unknown_layouts(names: tuple[str, ...], where: str) -> None:
    known = [layout.name for layout in LAYOUTS]
    for name in names:
        if name not in known:
            raise MisusedError(f"{where}: no layout {name!r}; expected some of {', '.join(known)}")


# Every key is a field, so that none is read and then dropped.
assert {key.replace("-", "_") for key in KEYS} == (  # noqa: S101
    {field.name for field in fields(Settings)} - {"source", "check_wheel_contents"}
)
