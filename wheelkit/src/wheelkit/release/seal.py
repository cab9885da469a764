"""The seal of a folder: one hash that stands for every byte of the files in it.

``SHA256SUMS`` in the folder lists the files (``sha256sum --check`` reads it too), and the seal is
the hash of that list. It travels apart from the files, as the output of the job that made them.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelkit.target import report
from wheelkit.target.report import Fault, FaultyError, MisusedError, write_whole

LIST = "SHA256SUMS"
# What `sha256sum`, every file system and GitHub's releases take as the name of a file unchanged.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!@-]*")
LINE = re.compile(rf"([0-9a-f]{{64}})  ((?:{NAME.pattern}/)*{NAME.pattern})")
REMEDY = "take the artifact of the job that made the folder, and do not change it"

Hashes = Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """What a sealed folder consists of: the endings of its files, and what they are in words.

    `fault` is the id of the fault that another file is, `remedy` what to do if there is no file.
    """

    fault: str
    endings: tuple[str, ...]
    words: str
    remedy: str


DISTRIBUTIONS = Kind(
    "not-a-distribution",
    (".whl", ".tar.gz"),
    "wheels and source distributions",
    "build them first",
)
REPORTS = Kind(
    "not-a-report",
    (".json",),
    "reports, which are named NAME.json",
    "run the stage that reports",
)


@dataclass(frozen=True)
class Sealed:
    """A folder and the seal that its job handed on."""

    folder: Path
    seal: str


def parse_sealed(text: str) -> Sealed:
    """Read ``DIR=SEAL``.

    Raises
    ------
    ValueError
        It is something else.
    """
    folder, equals, seal = text.rpartition("=")
    if not folder or not equals:
        raise ValueError(f"{text!r} is not DIR=SEAL")
    return Sealed(Path(folder), seal)


def write(folder: Path, kind: Kind = DISTRIBUTIONS) -> tuple[str, Hashes]:
    """List the files of `folder` in its ``SHA256SUMS``.

    Returns
    -------
    str
        The seal.
    dict of str to str
        The hash of each file.

    Raises
    ------
    FaultyError
        Something else than this kind of file is there, or nothing at all.
    """
    names = _names(folder)
    faults = list(_strangers(folder, names, kind))
    if not names:
        faults.append(
            Fault(
                "file-missing",
                str(folder),
                found="no files",
                expected=kind.words,
                remedy=kind.remedy,
            )
        )
    if faults:
        raise FaultyError(faults)
    hashes = {name: report.sha256(folder / name) for name in names}
    return write_list(folder, hashes), hashes


def write_list(folder: Path, hashes: Hashes) -> str:
    """Write the list of a folder; return its hash."""
    lines = (f"{sha256}  {name}" for name, sha256 in hashes.items())
    write_whole(folder / LIST, "\n".join(lines))
    return report.sha256(folder / LIST)


def opened(folder: Path, seal: str, kind: Kind = DISTRIBUTIONS) -> Hashes:
    """Return the hash of each file in `folder`, all of which were compared.

    Raises
    ------
    FaultyError
        The folder holds other bytes than those that were sealed, more files, or fewer.
    MisusedError
        `seal` is no sha256, or there is no such folder.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", seal):
        raise MisusedError(
            f"the seal of {folder} is {seal!r}, which is no sha256; pass what `wheelkit seal` "
            "printed in the job that made the folder"
        )
    names = _names(folder)
    listed = read_list(folder / LIST, seal)
    faults = [*_strangers(folder, names, kind), *_differences(folder, names, listed)]
    if faults:
        raise FaultyError(faults)
    return listed


def merge(parts: Sequence[Sealed], target: Path) -> tuple[str, Hashes]:
    """Fill `target`, which must not be there yet, with the files of all parts; seal it.

    Raises
    ------
    FaultyError
        A part is not what was sealed, or two parts have a file of the same name.
    MisusedError
        `target` is there already, a part has no seal, or a part is no folder.
    """
    refuse_existing(target)
    origin: dict[str, Path] = {}
    faults: list[Fault] = []
    hashes: dict[str, str] = {}
    for part in parts:
        try:
            listed = opened(part.folder, part.seal)
        except FaultyError as error:
            faults += error.faults
            continue
        for name, sha256 in listed.items():
            if name in origin:
                found, expected = f"in {origin[name]} and in {part.folder}", "in only one part"
                remedy = "let only one job build it"
                faults.append(
                    Fault("file-twice", name, found=found, expected=expected, remedy=remedy)
                )
            origin[name], hashes[name] = part.folder, sha256
    if faults:
        raise FaultyError(faults)
    with whole_folder(target) as folder:
        for name in sorted(origin):
            copy_exactly(origin[name] / name, folder / name, hashes[name])
        return write(folder)


def refuse_existing(target: Path) -> None:
    """Raise MisusedError unless `target` is free: absent, or an empty folder."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise MisusedError(f"{target} is there and is no folder; name another place")
    if target.exists() and (old := next(target.iterdir(), None)) is not None:
        raise MisusedError(f"{target} holds {old.name}; name a folder that is empty or absent")


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `target` at the end, unless something is raised."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".whole-", dir=target.parent) as scratch:
        folder = Path(scratch) / "folder"
        folder.mkdir()
        yield folder
        folder.replace(target)


def copy_exactly(source: Path, target: Path, sha256: str) -> None:
    """Copy a file that must have this hash, which may have changed since it was compared."""
    target.write_bytes(source.read_bytes())
    if (found := report.sha256(target)) != sha256:
        remedy = "run the command again, and let nothing else write to the folder"
        expected = f"sha256 {sha256}"
        fault = Fault(
            "hash-differs", target.name, found=f"sha256 {found}", expected=expected, remedy=remedy
        )
        raise FaultyError([fault])


def read_list(path: Path, seal: str | None = None) -> Hashes:
    """Read a list, which must be the very one that was sealed if a seal is given."""
    if path.is_symlink() or not path.is_file():
        expected = f"sha256 {seal}" if seal else "the list of the folder"
        raise FaultyError(
            [
                Fault(
                    "seal-missing",
                    path.name,
                    found="no such file",
                    expected=expected,
                    remedy=REMEDY,
                )
            ]
        )
    found = report.sha256(path)
    if seal is not None and found != seal:
        fault = Fault(
            "seal-broken",
            path.name,
            found=f"sha256 {found}",
            expected=f"sha256 {seal}",
            remedy=REMEDY,
        )
        raise FaultyError([fault])
    lines = path.read_bytes().decode("ascii", "replace").removesuffix("\n").split("\n")
    matches = [match for match in map(LINE.fullmatch, lines) if match]
    listed = {match[2]: match[1] for match in matches}
    if len(listed) != len(lines):
        expected = "lines of a sha256 and a file name, each file once"
        raise FaultyError(
            [Fault("seal-broken", path.name, found="other lines", expected=expected, remedy=REMEDY)]
        )
    return listed


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise MisusedError(f"no such folder: {folder}")
    return sorted(path.name for path in folder.iterdir() if path.name != LIST)


def is_plain_file(path: Path) -> bool:
    """Whether it is a file itself: no folder, no pipe, and no link, which may be broken."""
    return path.is_file() and not path.is_symlink()


def _strangers(folder: Path, names: Sequence[str], kind: Kind) -> Iterator[Fault]:
    for name in names:
        if not is_plain_file(folder / name):
            yield Fault(
                "not-a-file",
                name,
                found="a folder or a link",
                expected="a file",
                remedy="remove it",
            )
        elif not name.endswith(kind.endings):
            yield Fault(
                kind.fault,
                name,
                found="another file",
                expected=f"only {kind.words}",
                remedy="remove it",
            )
        elif not NAME.fullmatch(name):
            expected = "letters, digits and . _ + ! @ - of ASCII"
            yield Fault(
                "unsafe-file-name",
                name,
                found="other characters",
                expected=expected,
                remedy="rename it",
            )


def _differences(folder: Path, present: Sequence[str], listed: Hashes) -> Iterator[Fault]:
    for name in sorted(set(present) - set(listed)):
        yield Fault(
            "file-extra",
            name,
            found="a file that was not sealed",
            expected="no such file",
            remedy=REMEDY,
        )
    for name, sha256 in listed.items():
        if name not in present:
            yield Fault(
                "file-missing",
                name,
                found="no such file",
                expected=f"sha256 {sha256}",
                remedy=REMEDY,
            )
        elif is_plain_file(folder / name) and (found := report.sha256(folder / name)) != sha256:
            yield Fault(
                "hash-differs",
                name,
                found=f"sha256 {found}",
                expected=f"sha256 {sha256}",
                remedy=REMEDY,
            )
