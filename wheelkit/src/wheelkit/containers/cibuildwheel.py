"""The two cibuildwheels that build release wheels: one for old CPythons, one for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wheelkit.base.cpythons import between, python_tag
from wheelkit.target.report import MisusedError
from wheelkit.wheel.platforms import X86_64


@dataclass(frozen=True)
class Builder:
    """A cibuildwheel: its name, the file that pins it by hash, and the CPythons that it is for.

    The file is among the requirements of the project.
    """

    name: str
    pins: str
    versions: tuple[str, ...]

    def selected(self, versions: Sequence[str]) -> list[str]:
        """Return those of the versions that it builds."""
        return [version for version in versions if version.rstrip("t") in self.versions]


# 2.23 is the last series that builds CPython 3.7; 4.3 builds none older than 3.9.
BUILDERS = (
    Builder("cibuildwheel-2", "cibuildwheel-2.txt", between("3.7", "3.8")),
    Builder("cibuildwheel-4", "cibuildwheel.txt", (*between("3.9"), "3.14t", "3.15t")),
)


def builder_for(version: str) -> Builder:
    """Return the pinned cibuildwheel that builds for a CPython.

    Raises
    ------
    MisusedError
        None does.
    """
    for builder in BUILDERS:
        if builder.selected([version]):
            return builder
    raise MisusedError(f"--python {version}: no pinned cibuildwheel builds for it")


def identifier(version: str, architecture: str = X86_64) -> str:
    """Return cibuildwheel's name for the wheel of a CPython."""
    threaded = "t" if version.endswith("t") else ""
    return f"{python_tag(version)}{threaded}-manylinux_{architecture}"


def selection(versions: Sequence[str], architectures: Sequence[str] = (X86_64,)) -> str:
    """Return the CIBW_BUILD that selects the wheels of these CPythons and no others.

    On a machine, cibuildwheel builds those for its own architecture.
    """
    return " ".join(identifier(v, architecture) for architecture in architectures for v in versions)
