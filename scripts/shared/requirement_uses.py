"""Read requirements/uses.toml: where each hash-pinned file of requirements is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tomli
from shared.ledger import PROJECT
from wheelkit.base.cpythons import between

TABLE = PROJECT / "requirements" / "uses.toml"


@dataclass(frozen=True)
class Use:
    """One file, the oldest glibc on which it is installed, and the CPythons there."""

    file: Path
    glibc: str
    pythons: tuple[str, ...]


def read(table: Path = TABLE) -> list[Use]:
    """Return the uses that a table lists."""
    entries = tomli.loads(table.read_text(encoding="utf-8"))["use"]
    return [
        Use((table.parent / entry["file"]).resolve(), entry["glibc"], between(*entry["pythons"]))
        for entry in entries
    ]


def of_tests(version: str) -> Path:
    """Return the file that lists what the tests of the package need on a CPython.

    Some of the optional packages have no wheel for a free-threaded one.
    """
    return TABLE.with_name("free-threaded.txt" if version.endswith("t") else "tests.txt")


def oldest_glibc(name: str, version: str) -> str:
    """Return the oldest glibc on which a file of requirements/ is installed with a CPython."""
    series = version.rstrip("t")
    found = [use.glibc for use in read() if use.file.name == name and series in use.pythons]
    return min(found, key=lambda glibc: tuple(map(int, glibc.split("."))))
