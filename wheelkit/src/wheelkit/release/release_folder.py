"""The folder that is published: what the gates have let through, and nothing else.

::

    SHA256SUMS         every other file below the folder; its hash is the output of the gates
    dist/…             the distributions
    notes.md           the text of the release
    attach/SHA256SUMS  the distributions by their bare names
    attach/gates.json  the report of the gates
    attach/…           the reports of all stages

Only the standard library is needed to read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelkit.release import seal
from wheelkit.target import report
from wheelkit.target.report import Fault, FaultyError, MisusedError, write_whole

DIST, ATTACH, NOTES, GATES = "dist", "attach", "notes.md", "gates.json"


@dataclass(frozen=True)
class Contents:
    """What a release consists of: the files with their hashes, the notes, the gates' report."""

    dist: Path
    hashes: Mapping[str, str]
    reports: Mapping[str, tuple[Path, str]]
    notes: str
    gates: str


def write(target: Path, contents: Contents) -> str:
    """Make the folder, whole or not at all; return the hash of its list.

    Raises
    ------
    FaultyError
        A file has changed since it was compared.
    """
    seal.refuse_existing(target)
    with seal.whole_folder(target) as folder:
        for name in (DIST, ATTACH):
            (folder / name).mkdir()
        for name, sha256 in contents.hashes.items():
            seal.copy_exactly(contents.dist / name, folder / DIST / name, sha256)
        for name, (path, sha256) in contents.reports.items():
            seal.copy_exactly(path, folder / ATTACH / name, sha256)
        seal.write_list(folder / ATTACH, contents.hashes)
        write_whole(folder / ATTACH / GATES, contents.gates)
        write_whole(folder / NOTES, contents.notes)
        return seal.write_list(
            folder, {name: report.sha256(folder / name) for name in _all(folder)}
        )


def opened(folder: Path) -> Mapping[str, str]:
    """Return the hash of each file of the folder, by its relative path; all were compared.

    Raises
    ------
    FaultyError
        The folder holds other bytes than its list says, more files, or fewer.
    MisusedError
        There is no such folder.
    """
    if not folder.is_dir():
        raise MisusedError(f"no such folder: {folder}")
    listed = seal.read_list(folder / seal.LIST)
    if faults := list(_differences(folder, listed)):
        raise FaultyError(faults)
    return listed


def _all(folder: Path) -> list[str]:
    """Return the relative path of everything but folders and the list itself."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_dir(path))
    return sorted(path for path in paths if path != seal.LIST)


def _is_dir(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _differences(folder: Path, listed: Mapping[str, str]) -> Iterator[Fault]:
    present = set(_all(folder))
    for name in sorted(present | listed.keys() | {NOTES, f"{ATTACH}/{seal.LIST}"}):
        if name not in listed:
            found = "a file that is not listed" if name in present else "not listed"
            yield Fault(
                "file-extra", name, found=found, expected="only listed files", remedy=seal.REMEDY
            )
        elif name not in present or not seal.is_plain_file(folder / name):
            expected = f"sha256 {listed[name]}"
            yield Fault(
                "file-missing", name, found="no such file", expected=expected, remedy=seal.REMEDY
            )
        elif (found := report.sha256(folder / name)) != listed[name]:
            expected = f"sha256 {listed[name]}"
            yield Fault(
                "hash-differs", name, found=f"sha256 {found}", expected=expected, remedy=seal.REMEDY
            )
