"""The set of files that a release must consist of, and what it consists of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel.identity import identify

SDIST = "source distribution"


@dataclass(frozen=True)
class Member:
    """One file: the project and version that its name says, and what it is for."""

    file: str
    project: str
    version: Version
    purpose: str


def members(files: Iterable[str]) -> list[Member]:
    """Take the file names of a release apart.

    Raises
    ------
    FaultyError
        A name is not one of a distribution.
    """
    return [_wheel(file) if file.endswith(".whl") else _sdist(file) for file in sorted(files)]


def _wheel(file: str) -> Member:
    identity = identify(file)
    return Member(file, identity.name, identity.version, " and ".join(identity.pythons))


def _sdist(file: str) -> Member:
    try:
        project, version = parse_sdist_filename(file)
    except (InvalidSdistFilename, InvalidVersion) as error:
        remedy = "give the file the name that its build backend chose"
        fault = Fault("sdist-filename", file, str(error), "NAME-VERSION.tar.gz", remedy)
        raise FaultyError([fault]) from error
    return Member(file, project, version, SDIST)


def faults_of(
    found: list[Member], project: str, tag: str, pythons: Iterable[str]
) -> Iterator[Fault]:
    """Compare the files with what is expected: one for each purpose, of one project and version."""
    for member in found:
        if member.project != canonicalize_name(project):
            yield Fault("other-project", member.file, member.project, project, "remove the file")
        if f"v{member.version}" != tag:
            remedy = "give the tag the version in the sources, or the sources that of the tag"
            expected = f"the version of the tag {tag}"
            yield Fault("tag-disagrees", member.file, str(member.version), expected, remedy)
    wanted = [SDIST, *pythons]
    for purpose in wanted:
        files = [member.file for member in found if member.purpose == purpose]
        if not files:
            title = purpose if purpose == SDIST else f"wheel for CPython {purpose}"
            yield Fault("distribution-missing", title, "none", "one file", "build it")
        for file in files[1:]:
            expected = f"only {files[0]} for {purpose}"
            yield Fault("distribution-extra", file, "one file more", expected, "remove it")
    for member in found:
        if member.purpose not in wanted:
            expected = ", ".join(wanted)
            yield Fault("distribution-extra", member.file, member.purpose, expected, "remove it")
