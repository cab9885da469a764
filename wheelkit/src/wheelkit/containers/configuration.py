"""What a project tells cibuildwheel in its pyproject.toml: for which CPythons, in which images.

It is read as cibuildwheel reads it, so that nothing of it has to be written a second time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import bracex
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from wheelkit.base.cpythons import numbers
from wheelkit.containers.cibuildwheel import BUILDERS, identifier
from wheelkit.target.report import MisusedError
from wheelkit.wheel import settings
from wheelkit.wheel.platforms import ARCHITECTURES, X86_64

TABLE = "[tool.cibuildwheel]"


def image_key(architecture: str) -> str:
    """Return the key of the image in which wheels for an architecture are built."""
    return f"manylinux-{architecture}-image"


def matches(selectors: str, name: str) -> bool:
    """Tell whether one of the selectors, as in ``cp3{7,8}-* cp39-*``, selects a wheel."""
    patterns = itertools.chain.from_iterable(map(bracex.expand, selectors.split()))
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Configuration:
    """The pyproject.toml of a project at `path`, and the environment of cibuildwheel."""

    path: Path
    document: Mapping[str, Any]
    environment: Mapping[str, str]

    def architectures(self) -> list[str]:
        """Return the architectures of the release: those declared, if cibuildwheel builds for them.

        Raises
        ------
        MisusedError
            The project does not say for which CPythons, excludes all, or has wheels of other
            CPythons for one architecture than for another.
        """
        declared = settings.of_document(self.document, str(self.path)).architectures
        found = {architecture: self._pythons(architecture) for architecture in declared}
        wanted = {a: versions for a, versions in found.items() if versions}
        if len({tuple(versions) for versions in wanted.values()}) > 1:
            listed = "; ".join(f"{a}: {', '.join(versions)}" for a, versions in wanted.items())
            raise MisusedError(
                f"{self.path}: {TABLE} build and skip select other CPythons for each architecture "
                f"({listed}); a release has the same for all"
            )
        lacking = [architecture for architecture in found if architecture not in wanted]
        # Who calls may leave some out; a project that declares one builds for it.
        if wanted and lacking and not {"CIBW_BUILD", "CIBW_SKIP"} & self.environment.keys():
            raise MisusedError(
                f"{self.path}: {TABLE} build and skip select no wheel for {', '.join(lacking)}, "
                f"which architectures of {settings.TABLE} names; select some, or remove it there"
            )
        return list(wanted)

    def pythons(self) -> list[str]:
        """Return the CPythons for which the two cibuildwheels build, the oldest first.

        Raises
        ------
        MisusedError
            The project does not say which, or excludes all.
        """
        architectures = self.architectures()
        if not architectures:
            build, skip = self._selectors("build") or "*", self._selectors("skip")
            known = ", ".join(version for b in BUILDERS for version in b.versions)
            raise MisusedError(
                f"{self.path}: requires-python {self._requires_python()}, build '{build}' and skip "
                f"'{skip}' leave none of CPython {known}"
            )
        return self._pythons(architectures[0])

    def _pythons(self, architecture: str) -> list[str]:
        known = {v: identifier(v, architecture) for b in BUILDERS for v in b.versions}
        # cibuildwheel takes an empty build for every wheel.
        build = self._selectors("build") or "*"
        skip = self._selectors("skip")
        every = [identifier(v, a) for b in BUILDERS for v in b.versions for a in ARCHITECTURES]
        self._refuse_idle_selectors(build, every)
        admitted = self._requires_python()
        found = [
            version
            for version, name in known.items()
            # A specifier admits releases and no series: 3.10.99 is taken for any of 3.10.
            if admitted.contains(f"{version.rstrip('t')}.99")
            and matches(build, name)
            and not matches(skip, name)
        ]
        return sorted(found, key=lambda version: (numbers(version), version.endswith("t")))

    def image(self, version: str, architecture: str = X86_64) -> str | None:
        """Return the image in which cibuildwheel builds for a CPython; None if it chooses itself.

        Raises
        ------
        MisusedError
            It is no string.
        """
        chosen = None
        for select, image in self._images(architecture):
            if matches(select, identifier(version, architecture)):
                chosen = image
        return chosen

    def images(self) -> list[str]:
        """Return every image in which cibuildwheel builds, unless it chooses itself.

        Raises
        ------
        MisusedError
            One is no string.
        """
        every = (image for a in ARCHITECTURES for _, image in self._images(a))
        return list(dict.fromkeys(every))

    def skips_tests(self, version: str, architecture: str = X86_64) -> bool:
        """Tell whether the wheel for a CPython is not tested in the image that builds it."""
        return matches(self._selectors("test-skip"), identifier(version, architecture))

    def _requires_python(self) -> SpecifierSet:
        table = self.document.get("project", {})
        declared = table.get("requires-python") if isinstance(table, dict) else None
        # cibuildwheel takes this variable first.
        wanted = self.environment.get("CIBW_PROJECT_REQUIRES_PYTHON") or declared
        try:
            if isinstance(wanted, str):
                return SpecifierSet(wanted)
        except InvalidSpecifier:
            pass
        raise MisusedError(
            f"{self.path}: requires-python of [project] is {wanted!r}; expected the versions of "
            'Python that the project supports, as in ">=3.9"'
        )

    def _selectors(self, key: str) -> str:
        variable = f"CIBW_{key.upper().replace('-', '_')}"
        if variable in self.environment:
            if key in self.environment.get("CIBW_INHERIT", ""):
                raise MisusedError(
                    f"CIBW_INHERIT for {key} is not understood; set {variable} alone"
                )
            return self.environment[variable]
        value = self._option(key)
        return "" if value is None else self._joined(value, key)

    def _joined(self, value: object, key: str) -> str:
        """Return a list of selectors as the text that it stands for."""
        if isinstance(value, str):
            return value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return " ".join(value)
        raise MisusedError(f"{self.path}: {TABLE} {key} is {value!r}; expected selectors of wheels")

    def _option(self, key: str) -> Any:
        """Return the value of an option; that in the table of Linux goes first."""
        table = self._table()
        linux = table.get("linux", {})
        if not isinstance(linux, dict):
            raise MisusedError(f"{self.path}: {TABLE} linux is {linux!r}; expected a table")
        if key in linux.get("inherit", {}):
            raise MisusedError(
                f"{self.path}: {TABLE} linux.inherit.{key} is not understood; write the whole "
                f"value of {key} in one table"
            )
        return linux.get(key, table.get(key))

    def _images(self, architecture: str) -> Iterator[tuple[str, str]]:
        """Yield the selectors of wheels and the image for them; a later one goes before others."""
        overrides = self._table().get("overrides", [])
        if not isinstance(overrides, list) or not all(isinstance(o, dict) for o in overrides):
            raise MisusedError(f"{self.path}: {TABLE} overrides is no list of tables")
        key = image_key(architecture)
        found = [("*", self._option(key))]
        for override in overrides:
            select = self._joined(override.get("select"), "overrides select")
            found.append((select, override.get(key)))
        for select, image in found:
            if isinstance(image, str):
                yield select, image
            elif image is not None:
                raise MisusedError(f"{self.path}: {TABLE} {key} is {image!r}; expected a string")

    def _table(self) -> Mapping[str, Any]:
        tool = self.document.get("tool", {})
        table = tool.get("cibuildwheel", {}) if isinstance(tool, dict) else {}
        if not isinstance(table, dict):
            raise MisusedError(f"{self.path}: {TABLE} is {table!r}; expected a table")
        return table

    def _refuse_idle_selectors(self, build: str, names: list[str]) -> None:
        for selector in build.split():
            if not any(matches(selector, name) for name in names):
                where = "CIBW_BUILD" if "CIBW_BUILD" in self.environment else f"{TABLE} build"
                raise MisusedError(
                    f"{self.path}: {where}: '{selector}' selects none of the wheels of a release "
                    f"({', '.join(names)}); correct or remove it"
                )


def read(project: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read the configuration of the project in a folder.

    Raises
    ------
    MisusedError
        It has no pyproject.toml that can be read.
    """
    path = project / "pyproject.toml"
    return Configuration(path, settings.read_document(path), environment)
