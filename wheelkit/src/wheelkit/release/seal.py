"""The seal of a release: one hash that stands for every byte of a folder of distributions.

``SHA256SUMS`` in the folder lists the files (``sha256sum --check`` reads it too), and the seal is
the hash of that list. It travels apart from the files, as the output of the job that built them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from wheelkit.target import report
from wheelkit.target.report import Fault, FaultyError, MisusedError, write_whole

NAME = "SHA256SUMS"
DISTRIBUTIONS = (".whl", ".tar.gz")
LINE = re.compile(r"([0-9a-f]{64})  ([^/\\\s]+)")
REMEDY = "take the artifact of the job that built it; nothing may change on the way"

Hashes = Mapping[str, str]


def write(folder: Path) -> tuple[str, Hashes]:
    """List the distributions of `folder` in its ``SHA256SUMS``.

    Returns
    -------
    str
        The seal.
    dict of str to str
        The hash of each file.

    Raises
    ------
    FaultyError
        Something else than a distribution is there, or nothing at all.
    """
    names = _names(folder)
    strange = [n for n in names if not n.endswith(DISTRIBUTIONS) or not (folder / n).is_file()]
    expected = "wheels and a source distribution, and nothing else"
    faults = [
        Fault("not-a-distribution", name, "another file", expected, "remove it") for name in strange
    ]
    if not names:
        faults.append(Fault("file-missing", str(folder), "no files", expected, "build them first"))
    if faults:
        raise FaultyError(faults)
    hashes = {name: report.sha256(folder / name) for name in names}
    write_whole(folder / NAME, "\n".join(f"{sha256}  {name}" for name, sha256 in hashes.items()))
    return report.sha256(folder / NAME), hashes


def opened(folder: Path, seal: str) -> Hashes:
    """Return the hash of each distribution in `folder`, all of which were compared.

    Raises
    ------
    FaultyError
        The folder holds other bytes than those that were sealed, more files, or fewer.
    MisusedError
        `seal` is no sha256, or there is no such folder.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", seal):
        raise MisusedError(f"--seal '{seal}' is no sha256; pass what `wheelkit seal` printed")
    if not folder.is_dir():
        raise MisusedError(f"no such folder: {folder}")
    listed = _listed(folder / NAME, seal)
    if faults := list(_differences(folder, listed)):
        raise FaultyError(faults)
    return listed


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise MisusedError(f"no such folder: {folder}")
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


def _listed(path: Path, seal: str) -> Hashes:
    """Read the list, which must be the very one that was sealed."""
    if not path.is_file():
        fault = Fault("seal-missing", path.name, "no such file", f"sha256 {seal}", REMEDY)
        raise FaultyError([fault])
    found = report.sha256(path)
    if found != seal:
        fault = Fault("seal-broken", path.name, f"sha256 {found}", f"sha256 {seal}", REMEDY)
        raise FaultyError([fault])
    matches = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not all(matches):
        expected = "lines of a sha256 and a file name"
        raise FaultyError([Fault("seal-broken", path.name, "other lines", expected, REMEDY)])
    return {match[2]: match[1] for match in matches if match}


def _differences(folder: Path, listed: Hashes) -> Iterator[Fault]:
    present = _names(folder)
    for name in sorted(set(present) - set(listed)):
        yield Fault("file-extra", name, "a file that was not sealed", "no such file", REMEDY)
    for name, sha256 in listed.items():
        if name not in present:
            yield Fault("file-missing", name, "no such file", f"sha256 {sha256}", REMEDY)
        elif (found := report.sha256(folder / name)) != sha256:
            yield Fault("hash-differs", name, f"sha256 {found}", f"sha256 {sha256}", REMEDY)
