"""The distributions of a release: what their file names say, and whether the set is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import Platform, parse

SDIST = "source distribution"


@dataclass(frozen=True)
class Distribution:
    """One file: the project and version that its name says, and what it is for.

    `platforms` are the platform tags of a wheel.
    """

    file: str
    project: str
    version: Version
    purpose: str
    platforms: tuple[str, ...] = ()


def parse_all(files: Iterable[str]) -> list[Distribution]:
    """Take the file names of a release apart.

    Raises
    ------
    FaultyError
        A name is not one of a distribution.
    """
    return [_wheel(file) if file.endswith(".whl") else _sdist(file) for file in sorted(files)]


def _wheel(file: str) -> Distribution:
    identity = identify(file)
    purpose = " and ".join(identity.pythons)
    tags = tuple(sorted({tag.platform for tag in identity.tags}))
    return Distribution(file, identity.name, identity.version, purpose, tags)


def _sdist(file: str) -> Distribution:
    try:
        project, version = parse_sdist_filename(file)
    except (InvalidSdistFilename, InvalidVersion) as error:
        remedy = "give the file the name that its build backend chose"
        fault = Fault("sdist-filename", file, str(error), "NAME-VERSION.tar.gz", remedy)
        raise FaultyError([fault]) from error
    return Distribution(file, project, version, SDIST)


def faults_of(
    found: list[Distribution],
    project: str,
    tag: str,
    pythons: Iterable[str],
    platform: Platform,
) -> Iterator[Fault]:
    """Compare the files with what is expected.

    It is one for each purpose, of one project and version, and for one platform or a better one.
    """
    for one in found:
        if one.project != canonicalize_name(project):
            yield Fault("other-project", one.file, one.project, project, "remove the file")
        if f"v{one.version}" != tag:
            remedy = "give the tag the version in the sources, or the sources that of the tag"
            expected = f"the version of the tag {tag}"
            yield Fault("tag-disagrees", one.file, str(one.version), expected, remedy)
        for other in one.platforms:
            parsed = parse(other)
            if parsed is None or not parsed.covers(platform):
                remedy = "build and repair it for the platform"
                yield Fault("other-platform", one.file, other, f"{platform}, or older", remedy)
    wanted = [SDIST, *pythons]
    for purpose in wanted:
        files = [one.file for one in found if one.purpose == purpose]
        if not files:
            title = purpose if purpose == SDIST else f"wheel for CPython {purpose}"
            yield Fault("distribution-missing", title, "none", "one file", "build it")
        for file in files[1:]:
            expected = f"only {files[0]} for {purpose}"
            yield Fault("distribution-extra", file, "one file more", expected, "remove it")
    for one in found:
        if one.purpose not in wanted:
            expected = ", ".join(wanted)
            yield Fault("distribution-extra", one.file, one.purpose, expected, "remove it")
