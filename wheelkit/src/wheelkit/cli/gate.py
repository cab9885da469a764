"""Check that a release is whole, proven, and new, before anything of it is published.

Every gate is asked, and every fault listed, before anything may be published:
the files are the sealed ones, byte for byte; they are one source distribution and a wheel for
each interpreter; their version is the tag's and the changelog has its section; verification and
smoke tests are green for these very hashes; and the package index has no other files of the
version. With --upload, the files that the index lacks are then put into a folder of their own, so
that an interrupted upload is completed by the next.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wheelkit import __version__
from wheelkit.target.report import Fault, FaultyError, MisusedError, Status, write_whole
from wheelkit.target.report import sha256 as sha256_of

TOOL = "check_release"


@dataclass
class Release:
    """What is known of the release so far; each gate adds what it learned."""

    hashes: dict[str, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    notes: str = ""
    faults: list[Fault] = field(default_factory=list)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit gate", description=__doc__)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="what `wheelkit seal` printed")
    add("--reports", required=True, metavar="DIR", type=Path, help="the reports of all stages")
    add("--project", required=True, metavar="NAME", help="the name of the distribution")
    add("--tag", required=True, help="the git tag of the release: v and the version")
    add("--pythons", required=True, type=words, metavar="JSON", help='as in ["3.10", "3.13t"]')
    add("--device", required=True, choices=("cuda", "cpu"), help="where the kernels must have run")
    add(
        "--places",
        required=True,
        type=words,
        metavar="JSON",
        help='the runners on which they must have run, as in ["gpu-h100"]',
    )
    add("--changelog", default=Path("CHANGELOG.md"), type=Path, metavar="FILE")
    add("--index", metavar="URL", help="the index to publish on (default: the package index)")
    add("--notes", type=Path, metavar="FILE", help="write the version's section of the changelog")
    add("--upload", type=Path, metavar="DIR", help="put there what the index lacks; made anew")
    add("--report", type=Path, metavar="FILE", help="write a JSON report")
    return parser.parse_args(arguments)


def words(text: str) -> tuple[str, ...]:
    """Read a JSON list of strings, which is how workflows hand lists on; empty is an empty list."""
    try:
        content = json.loads(text or "[]")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no JSON: {error}") from None
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise argparse.ArgumentTypeError(f"'{text}' is no JSON list of strings")
    return tuple(content)


def check_all(asked: argparse.Namespace) -> Release:
    """Ask every gate; if the files are not the sealed ones, the others are not asked."""
    from wheelkit.release import distributions, reports, seal

    release = Release()
    try:
        release.hashes = dict(seal.opened(asked.folder, asked.seal))
        found = distributions.parse_all(release.hashes)
    except FaultyError as error:
        release.faults += error.faults
        return release
    release.faults += distributions.faults_of(found, asked.project, asked.tag, asked.pythons)
    entries, unreadable = reports.read(asked.reports)
    required = reports.RequiredRuns(asked.device, asked.places)
    release.faults += [*unreadable, *reports.faults_of(entries, release.hashes, required)]
    release.faults += check_changelog(release, asked)
    release.faults += check_index(release, asked)
    return release


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


def stage_upload(release: Release, source: Path, target: Path) -> None:
    """Fill `target` with exactly the files to upload, compared once more as they are written."""
    if target.exists() and not target.is_dir():
        raise MisusedError(f"--upload {target} is no folder; name another place")
    old = sorted(path.name for path in target.iterdir()) if target.exists() else []
    if foreign := [name for name in old if name not in release.hashes]:
        raise MisusedError(f"--upload {target} holds {foreign[0]}, which is not of this release")
    for name in old:
        (target / name).unlink()
    target.mkdir(parents=True, exist_ok=True)
    for name in release.pending:
        copy_exactly(source / name, target / name, release.hashes[name])


def copy_exactly(source: Path, target: Path, sha256: str) -> None:
    """Copy a file that must have this hash, complete or not at all."""
    with tempfile.TemporaryDirectory(prefix=".upload-", dir=target.parent.parent) as scratch:
        partial = Path(scratch) / target.name
        partial.write_bytes(source.read_bytes())
        if (found := sha256_of(partial)) != sha256:
            remedy = "nothing may write to the folder meanwhile; run it again"
            expected = f"sha256 {sha256}"
            raise FaultyError(
                [Fault("hash-differs", target.name, f"sha256 {found}", expected, remedy)]
            )
        partial.replace(target)


def as_json(release: Release, seal: str) -> str:
    """Return the report."""
    content = {
        "tool": TOOL,
        "version": __version__,
        "seal": seal,
        "files": release.hashes,
        "pending": release.pending,
        "ok": not release.faults,
        "faults": [asdict(fault) for fault in release.faults],
    }
    return json.dumps(content, indent=2)


def main(arguments: list[str] | None = None) -> int:
    """Ask the gates; hand over what may be published only if none has a fault."""
    asked = parse(arguments)
    from wheelkit.base import github

    release = check_all(asked)
    for fault in release.faults:
        print(fault, file=sys.stderr)
    if asked.report:
        write_whole(asked.report, as_json(release, asked.seal))
    if release.faults:
        print(f"not released: {len(release.faults)} faults")
        return Status.FAULTY
    if asked.notes:
        write_whole(asked.notes, release.notes)
    if asked.upload:
        stage_upload(release, asked.folder, asked.upload)
    github.set_output("pending", str(len(release.pending)))
    there = len(release.hashes) - len(release.pending)
    print(f"all gates open: {len(release.pending)} files to upload, {there} there already")
    return Status.DONE
