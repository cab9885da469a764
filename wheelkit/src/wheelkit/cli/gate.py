"""Check that a release is complete, tested and new before anything of it is published.

All of these gates are checked, and every fault is listed:

- The files are exactly the sealed files.
- They are one source distribution and one wheel for each interpreter, for the right platform.
- Their version is that of the tag. The tag is annotated and on the branch, and the changelog has a
  section for the version.
- Sealed reports say that these files were verified and smoke-tested without a fault.
- The package index has no other files of this version.

pyproject.toml in the current folder declares what the reports must show. The folder must be the
git repository with the tag. If there is no fault, --release makes the folder that is published.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wheelkit import __version__
from wheelkit.cli.options import places, platforms_of, sealed, words
from wheelkit.target.report import (
    Fault,
    FaultyError,
    MisusedError,
    Status,
    prepare_report,
    say,
    write_whole,
)

TOOL = "check_release"


@dataclass
class Release:
    """What is known of the release so far; each gate adds what it learned."""

    hashes: dict[str, str] = field(default_factory=dict)
    reports: dict[str, tuple[Path, str]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    notes: str = ""
    faults: list[Fault] = field(default_factory=list)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="wheelkit gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the folder of the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="the seal that `wheelkit seal` printed")
    add(
        "--reports",
        required=True,
        action="append",
        type=sealed,
        metavar="DIR=SEAL",
        help="a folder of reports, and what `wheelkit seal --reports` printed; once for each job "
        "that reports. The seal is empty and the folder absent if the job did not run",
    )
    add("--project", required=True, metavar="NAME", help="the name of the distribution")
    add("--tag", required=True, help="the git tag of the release: v and the version")
    add("--branch", default="origin/main", help="where the tag must be (default: %(default)s)")
    add(
        "--pythons",
        required=True,
        type=words,
        metavar="JSON",
        help='the CPythons that need a wheel, such as ["3.10", "3.13t"]',
    )
    add(
        "--plat",
        required=True,
        action="append",
        metavar="P",
        help="the platform tag that wheels must have; a tag for older systems is fine, too. Give "
        "it once for each architecture",
    )
    add("--device", required=True, choices=("cuda", "cpu"), help="where the kernels must have run")
    add(
        "--places",
        required=True,
        type=places,
        metavar="JSON",
        help="the GPU runners on which they must have run, such as "
        '["gpu-h100", "aarch64:gpu-gh200"]',
    )
    add("--changelog", default=Path("CHANGELOG.md"), type=Path, metavar="FILE")
    add(
        "--index",
        metavar="URL",
        default=os.environ.get("WHEELKIT_INDEX") or None,
        help="the index to publish on (default: $WHEELKIT_INDEX, or the package index)",
    )
    add("--release", type=Path, metavar="OUT", help="the folder to make for the publication")
    add("--report", type=Path, metavar="FILE", help="write a JSON report")
    return parser.parse_args(arguments)


def check_all(asked: argparse.Namespace) -> Release:
    """Ask every gate; if the files are not the sealed ones, the others are not asked."""
    from wheelkit.release import distributions, git_tag, seal

    required = platforms_of(asked.plat)
    release = Release()
    try:
        release.hashes = dict(seal.opened(asked.folder, asked.seal))
        found = distributions.parse_all(release.hashes)
    except FaultyError as error:
        release.faults += error.faults
        return release
    release.faults += distributions.faults_of(
        found, asked.project, asked.tag, asked.pythons, required
    )
    release.faults += git_tag.faults_of(asked.tag, asked.branch)
    release.faults += check_reports(release, asked)
    release.faults += check_changelog(release, asked)
    release.faults += check_index(release, asked)
    return release


def check_reports(release: Release, asked: argparse.Namespace) -> Iterator[Fault]:
    """Compare what the reports show with what the project declares."""
    from wheelkit.release import release_folder, reports
    from wheelkit.wheel import settings

    declared = settings.of_project(Path.cwd(), asked.project)
    found = reports.read(asked.reports)
    for folder in found.missing:
        say(f"there is no folder {folder} with reports")
    yield from found.faults
    if release_folder.GATES in found.files:
        remedy = "give that report another name"
        expected = "no report of this name, because the gates write one"
        yield Fault(
            "report-twice", release_folder.GATES, found="a report", expected=expected, remedy=remedy
        )
    release.reports = found.files
    required = reports.Required(asked.device, asked.places, platforms_of(asked.plat), declared)
    yield from reports.faults_of(found.entries, release.hashes, required)


def version_of(tag: str) -> str:
    """Return the version that a tag names; another gate says whether it is that of the files."""
    return tag.removeprefix("v")


def check_changelog(release: Release, asked: argparse.Namespace) -> Iterator[Fault]:
    """Find the section of the version."""
    from wheelkit.release import changelog

    try:
        text = asked.changelog.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MisusedError(f"--changelog {asked.changelog} cannot be read: {error}") from error
    try:
        release.notes = changelog.section(text, version_of(asked.tag))
    except FaultyError as error:
        yield from error.faults


def check_index(release: Release, asked: argparse.Namespace) -> Iterator[Fault]:
    """Compare with what the index has; note what it lacks."""
    from wheelkit.release import index

    listed = index.published(asked.index or index.DEFAULT, asked.project, version_of(asked.tag))
    yield from index.conflicts(listed, release.hashes)
    release.pending = [name for name in release.hashes if name not in listed]


def as_json(release: Release, seal: str) -> str:
    """Return the report."""
    content = {
        "tool": TOOL,
        "version": __version__,
        "seal": seal,
        "files": release.hashes,
        "reports": {name: sha256 for name, (_, sha256) in release.reports.items()},
        "pending": release.pending,
        "ok": not release.faults,
        "faults": [asdict(fault) for fault in release.faults],
    }
    return json.dumps(content, indent=2)


def main(arguments: list[str] | None = None) -> int:
    """Ask the gates; hand over what may be published only if none has a fault."""
    asked = parse(arguments)
    from wheelkit.base import github
    from wheelkit.release import release_folder, seal

    prepare_report(asked.report)
    if asked.release:
        # Before the index is asked, which takes a while.
        seal.refuse_existing(asked.release)
    release = check_all(asked)
    for fault in release.faults:
        say(fault, error=True)
    report = as_json(release, asked.seal)
    if asked.report:
        write_whole(asked.report, report)
    if release.faults:
        say(f"not released: {len(release.faults)} faults")
        return Status.FAULTY
    if asked.release:
        contents = release_folder.Contents(
            asked.folder, release.hashes, release.reports, release.notes, report
        )
        github.set_output("seal", release_folder.write(asked.release, contents))
    github.set_output("pending", str(len(release.pending)))
    there = len(release.hashes) - len(release.pending)
    say(f"all gates open: {len(release.pending)} files to upload, {there} there already")
    return Status.DONE
