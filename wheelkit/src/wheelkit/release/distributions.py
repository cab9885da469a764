"""The distributions of a release: what their file names say, and whether the set is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import Platform, parse

SDIST = "source distribution"


@dataclass(frozen=True)
class Distribution:
    """One file: the project and version that its name says, and what it is for.

    `platforms` are the platform tags of a wheel, and `architecture` what they are for.
    """

    file: str
    project: str
    version: Version
    purpose: str
    platforms: tuple[str, ...] = ()
    architecture: str | None = None


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
    architecture = identity.architecture
    return Distribution(file, identity.name, identity.version, purpose, tags, architecture)


def _sdist(file: str) -> Distribution:
    try:
        project, version = parse_sdist_filename(file)
    except InvalidSdistFilename as error:
        remedy = "give the file the name that its build backend chose"
        fault = Fault(
            "sdist-filename", file, found=str(error), expected="NAME-VERSION.tar.gz", remedy=remedy
        )
        raise FaultyError([fault]) from error
    return Distribution(file, project, version, SDIST)


def faults_of(
    found: list[Distribution],
    project: str,
    tag: str,
    pythons: Sequence[str],
    required: Sequence[Platform],
) -> Iterator[Fault]:
    """Compare the files with what is expected.

    It is the source distribution and, for each architecture, a wheel for each CPython; all of one
    project and version, the wheels for the required platform of their architecture or a better one.
    """
    for one in found:
        if one.project != canonicalize_name(project):
            yield Fault(
                "other-project",
                one.file,
                found=one.project,
                expected=project,
                remedy="remove the file",
            )
        if f"v{one.version}" != tag:
            remedy = "make the version of the sources and that of the tag the same"
            expected = f"the version of the tag {tag}"
            yield Fault(
                "tag-disagrees", one.file, found=str(one.version), expected=expected, remedy=remedy
            )
        for other in one.platforms:
            parsed = parse(other)
            if parsed is None or not any(parsed.covers(platform) for platform in required):
                remedy = "build and repair it for the platform"
                expected = f"{' or '.join(map(str, required))}, or older"
                yield Fault(
                    "other-platform", one.file, found=other, expected=expected, remedy=remedy
                )
    yield from _set_faults(found, pythons, [platform.arch for platform in required])


def _set_faults(
    found: list[Distribution], pythons: Sequence[str], architectures: Sequence[str]
) -> Iterator[Fault]:
    """Find what is missing from the set of files, and what is too many."""
    titles: dict[tuple[str, str | None], str] = {(SDIST, None): SDIST}
    for architecture in architectures:
        # Where there is only one architecture, nobody asks for which.
        where = f" on {architecture}" if len(architectures) > 1 else ""
        titles |= {(p, architecture): f"wheel for CPython {p}{where}" for p in pythons}
    for (purpose, machine), title in titles.items():
        files = [
            one.file
            for one in found
            if one.purpose == purpose
            # What a wheel of no single architecture is for, its platform tag has failed to say.
            and (one.architecture in (machine, None) or len(architectures) == 1)
        ]
        if not files:
            yield Fault(
                "distribution-missing", title, found="none", expected="one file", remedy="build it"
            )
        for file in files[1:]:
            expected = f"only {files[0]} for {title}"
            yield Fault(
                "distribution-extra",
                file,
                found="a second file",
                expected=expected,
                remedy="remove it",
            )
    wanted = [SDIST, *pythons]
    for one in found:
        if one.purpose not in wanted:
            expected = ", ".join(wanted)
            yield Fault(
                "distribution-extra",
                one.file,
                found=one.purpose,
                expected=expected,
                remedy="remove it",
            )
