"""What a project declares about its wheels: the table [tool.wheelkit] of a pyproject.toml.

The table of a project is for the project's own wheels, so the name in [project] must be the
wheel's; a file that the caller names is for every wheel. Options take the place of a key each.
"""

from __future__ import annotations

import difflib
import math
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

from wheelkit.base.cpythons import parse_version
from wheelkit.target.report import Fault, MisusedError
from wheelkit.wheel.layouts import LAYOUTS
from wheelkit.wheel.platforms import ARCHITECTURES

TABLE = "[tool.wheelkit]"
# Where the images of manylinux have an interpreter.
MANYLINUX_PYTHON = "/opt/python/{tag}/bin/python"


@dataclass(frozen=True)
class DeclaredImage:
    """A container image in which finished wheels are tried, besides those that build them.

    Attributes
    ----------
    image
        What an engine pulls, as in ``docker.io/library/fedora:44``.
    pythons
        The CPythons that it has, for whose wheels it is used.
    python
        The path of an interpreter there: ``{tag}`` stands for ``cp37-cp37m``.
    prepare
        A shell command that runs before the interpreter is called.
    architectures
        Those for which there is such an image; all by default.
    """

    image: str
    pythons: tuple[str, ...]
    python: str = MANYLINUX_PYTHON
    prepare: str = ""
    architectures: tuple[str, ...] = ARCHITECTURES


@dataclass(frozen=True)
class GraftLicense:
    """The licence of grafted libraries.

    Attributes
    ----------
    graft
        A glob of the stems of the libraries, as in ``libcudart`` or ``libcu*``.
    license
        The licence as an SPDX expression.
    files
        The files with its text: paths below the folder of pyproject.toml, or below a CUDA toolkit,
        as in ``$CUDA_HOME/EULA.txt``.
    """

    graft: str
    license: str
    files: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(posixpath.basename(file) for file in self.files)


@dataclass(frozen=True)
class Kernel:
    """A kernel that every smoke test must run, its precision, and the largest error it may have."""

    name: str
    dtype: str
    tolerance: float


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
    strict
        Whether every warning that is not accepted is a fault.
    check_wheel_contents
        The file with the project's own configuration of check-wheel-contents; None if it has none.
    kernels
        The kernels that every smoke test must run before a release. In the table they are sorted
        by their precision: ``kernels.float64 = {tolerance = 1e-10, names = ["sum"]}``.
    test_images
        The images of containers in which the wheels are tried.
    graft_licenses
        The licences of the libraries that the repair grafts.
    architectures
        The architectures for which a release has wheels.
    without_gpu
        Those of them whose wheels are released although no GPU runner has this architecture.
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
    kernels: tuple[Kernel, ...] = ()
    test_images: tuple[DeclaredImage, ...] = ()
    graft_licenses: tuple[GraftLicense, ...] = ()
    architectures: tuple[str, ...] = ARCHITECTURES[:1]
    without_gpu: tuple[str, ...] = ()
    accept: tuple[Acceptance, ...] = ()
    strict: bool = False
    check_wheel_contents: Path | None = None
    source: str | None = None

    def license_of(self, stem: str) -> GraftLicense | None:
        """Return the licence of a graft, of which the first that fits counts."""
        found = (declared for declared in self.graft_licenses if fnmatchcase(stem, declared.graft))
        return next(found, None)


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
    "architectures": str,
    "without-gpu": str,
}
NUMBERS = ("max-size",)
FLAGS = ("strict",)
KERNELS = "kernels"
TEST_IMAGES = "test-images"
GRAFT_LICENSES = "graft-licenses"
# A list of tables, each of which is an Acceptance.
ACCEPT = "accept"
KEYS = (*LISTS, *NUMBERS, *FLAGS, ACCEPT, KERNELS, TEST_IMAGES, GRAFT_LICENSES)


def from_file(path: Path) -> Settings:
    """Read the table of a file.

    Raises
    ------
    MisusedError
        The file cannot be read, has no such table, or the table has a fault.
    """
    document = read_document(path)
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
    document = read_document(path)
    name = document.get("project", {}).get("name", "")
    if canonicalize_name(str(name)) != canonicalize_name(distribution):
        return Settings()
    own = Settings(check_wheel_contents=_contents_file(document, path))
    table = _table(document, "wheelkit")
    if table is None:
        return own
    declared = _settings(table, str(path))
    return replace(declared, source=path.name, check_wheel_contents=own.check_wheel_contents)


def of_document(document: Mapping[str, Any], where: str) -> Settings:
    """Read the table of a pyproject.toml that was read from the file `where`.

    Raises
    ------
    MisusedError
        The table has a fault.
    """
    return _settings(_table(document, "wheelkit") or {}, where)


def of_folder(folder: Path) -> Settings:
    """Read the table of the project in `folder`, which says where any of its wheels is tried.

    Raises
    ------
    MisusedError
        There is no pyproject.toml, or the table has a fault.
    """
    path = folder / "pyproject.toml"
    return of_document(read_document(path), str(path))


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
    for key in ("architectures", "without-gpu"):
        _refuse_unknown_architectures(table.get(key, ()), f"{where}: {TABLE} {key}")
    if "architectures" in values and not values["architectures"]:
        raise MisusedError(f"{where}: {TABLE} architectures is empty; name at least one")
    return Settings(**values)


def _value(key: str, value: Any, where: str) -> Any:
    if key in NUMBERS:
        # A bool is an int for Python; a declared size of `true` is a slip.
        if type(value) is not int or value <= 0:
            raise MisusedError(f"{where} is {value!r}; expected a positive whole number")
        return value
    if key in FLAGS:
        if type(value) is not bool:
            raise MisusedError(f"{where} is {value!r}; expected true or false")
        return value
    if key in LISTS:
        kind = LISTS[key]
        if not isinstance(value, list) or any(type(item) is not kind for item in value):
            expected = {str: "strings", int: "whole numbers"}[kind]
            raise MisusedError(f"{where} is {value!r}; expected a list of {expected}")
        return tuple(value)
    tables = {
        ACCEPT: _acceptances,
        KERNELS: _kernels,
        TEST_IMAGES: _test_images,
        GRAFT_LICENSES: _graft_licenses,
    }
    if key in tables:
        return tables[key](value, where)
    raise _unknown(where, key, KEYS)


def _unknown(where: str, key: str, known: Iterable[str]) -> MisusedError:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(sorted(known))}"
    return MisusedError(f"{where} is no known key; {hint}")


def _test_images(value: Any, where: str) -> tuple[DeclaredImage, ...]:
    if not isinstance(value, list):
        raise MisusedError(f"{where} is {value!r}; expected a list of tables")
    found: dict[str, DeclaredImage] = {}
    for number, table in enumerate(value, 1):
        image = _test_image(table, f"{where}, entry {number}")
        if image.image in found:
            raise MisusedError(f"{where} lists {image.image} twice; join its pythons")
        found[image.image] = image
    return tuple(found.values())


def _test_image(table: Any, where: str) -> DeclaredImage:
    kinds = {
        **{"image": str, "pythons": list, "python": str, "prepare": str},
        "architectures": list,
    }
    values = _members(table, kinds, ("image", "pythons"), where)
    pythons = values.pop("pythons")
    if "architectures" in values:
        _refuse_unknown_architectures(values["architectures"], f"{where}: architectures")
        values["architectures"] = tuple(values["architectures"])
    if any(type(python) is not str for python in pythons):
        raise MisusedError(f'{where}: pythons is {pythons!r}; expected versions, as in ["3.9"]')
    try:
        return DeclaredImage(pythons=tuple(map(parse_version, pythons)), **values)
    except MisusedError as error:
        raise MisusedError(f"{where}: pythons: {error}") from None


def _refuse_unknown_architectures(names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise MisusedError(f"{where}: no architecture {name!r}; expected some of {known}")


def _graft_licenses(value: Any, where: str) -> tuple[GraftLicense, ...]:
    if not isinstance(value, dict):
        raise MisusedError(f"{where} is {value!r}; expected a table of grafts")
    return tuple(_graft_license(graft, table, f"{where}.{graft}") for graft, table in value.items())


def _graft_license(graft: str, table: Any, where: str) -> GraftLicense:
    kinds = {"license": str, "files": list}
    values = _members(table, kinds, kinds, where)
    files = values["files"]
    if any(type(file) is not str or not file for file in files):
        raise MisusedError(f"{where}: files is {files!r}; expected a list of paths")
    try:
        expression = canonicalize_license_expression(values["license"])
    except InvalidLicenseExpression as error:
        raise MisusedError(
            f"{where}: license is {values['license']!r}; expected an SPDX expression ({error})"
        ) from None
    declared = GraftLicense(graft, expression, tuple(files))
    if len(set(declared.names)) < len(files):
        raise MisusedError(f"{where}: two of files have the same name; rename one")
    return declared


def _members(
    table: Any, kinds: Mapping[str, type], required: Iterable[str], where: str
) -> dict[str, Any]:
    """Return the members of a table, each of which must have its type and not be empty."""
    if not isinstance(table, dict):
        raise MisusedError(f"{where} is {table!r}; expected a table")
    for key, value in table.items():
        if key not in kinds:
            raise _unknown(f"{where}: {key}", key, kinds)
        if type(value) is not kinds[key] or not value:
            kind = "a string" if kinds[key] is str else "a list"
            raise MisusedError(f"{where}: {key} is {value!r}; expected {kind} that is not empty")
    for key in required:
        if key not in table:
            raise MisusedError(f"{where} has no {key}; add it")
    return dict(table)


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
