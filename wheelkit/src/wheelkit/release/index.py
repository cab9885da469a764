"""Which files of a version a package index has already, and whether they are ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pypi_simple
import requests
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelkit.target.report import Fault, LackingError

# Seconds; an index that says nothing for so long is taken for unreachable.
PATIENCE = 60
# What pypi_simple takes for the package index where no other is named.
DEFAULT = pypi_simple.PYPI_SIMPLE_ENDPOINT


def published(url: str, name: str, version: str) -> dict[str, str | None]:
    """Return the files of a version on the index at `url`, each with the hash it is listed with.

    Raises
    ------
    LackingError
        The index cannot be asked, or answers with something else than the page of the project.
    """
    try:
        with pypi_simple.PyPISimple(url) as index:
            page = index.get_project_page(canonicalize_name(name), timeout=PATIENCE)
    except pypi_simple.NoSuchProjectError:
        return {}
    except requests.RequestException as error:
        raise LackingError(f"the index {url} cannot be reached: {error}") from error
    except (ValueError, RecursionError, pypi_simple.UnsupportedRepoVersionError) as error:
        raise LackingError(f"the index {url} answers with something else: {error}") from error
    _refuse_another_page(page, url, canonicalize_name(name))
    return {
        package.filename: package.digests.get("sha256")
        for package in page.packages
        if _same(package.version, version)
    }


def _refuse_another_page(page: pypi_simple.ProjectPage, url: str, name: str) -> None:
    """Refuse a page that is not of the project, such as one that asks for a password.

    A page in HTML need not say that it is of an index; if it does not, it must list a file of the
    project. Read as an empty list of files, another page would hide what is published.
    """
    own = [package for package in page.packages if _names(package, name)]
    if canonicalize_name(page.project) != name or (page.repository_version is None and not own):
        raise LackingError(
            f"the index {url} answers with something else than the page of {name}: it names "
            "neither a file of the project nor the version of its API; see whether the address "
            "is that of a simple API"
        )


def _names(package: pypi_simple.DistributionPackage, name: str) -> bool:
    return package.project is not None and canonicalize_name(package.project) == name


def _same(found: str | None, version: str) -> bool:
    """Whether two spellings are of one version; a file that names none is of no version."""
    try:
        return found is not None and Version(found) == Version(version)
    except InvalidVersion:
        return False


def conflicts(listed: Mapping[str, str | None], ours: Mapping[str, str]) -> Iterator[Fault]:
    """Find files of the version on the index that are not byte for byte ours."""
    remedy = "a version can be published only once; give this release another version"
    for name, sha256 in listed.items():
        if name not in ours:
            expected = "only files of this release"
            yield Fault(
                "version-published", name, found="on the index", expected=expected, remedy=remedy
            )
        elif sha256 is None:
            expected = f"sha256 {ours[name]}"
            yield Fault(
                "index-without-hash",
                name,
                found="no sha256 on the index",
                expected=expected,
                remedy=remedy,
            )
        elif sha256 != ours[name]:
            found, expected = f"sha256 {sha256} on the index", f"sha256 {ours[name]}"
            yield Fault("version-published", name, found=found, expected=expected, remedy=remedy)
