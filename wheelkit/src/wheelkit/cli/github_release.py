"""Make the release of a tag on GitHub, with the distributions, their seal and the reports.

It uses ``gh``, which GitHub's runners have. Run again, it completes what an earlier run began:
what is attached already is replaced by the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from wheelkit.target.report import FaultyError, LackingError, MisusedError, Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit github-release", description=__doc__)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="what `wheelkit seal` printed")
    add("--tag", required=True, help="the git tag of the release; it must exist")
    add("--notes", required=True, type=Path, metavar="FILE", help="the text of the release")
    add("--attach", nargs="*", default=[], type=Path, metavar="DIR", help="folders of reports")
    return parser.parse_args(arguments)


def gh(*words: str | Path) -> int:
    """Run one command of gh; return its status."""
    return subprocess.run(["gh", *words], check=False).returncode


def reports(folders: list[Path]) -> Iterator[Path]:
    """Yield the reports below the folders; GitHub keeps attached files by their bare names."""
    names: set[str] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.json")):
            if path.name in names:
                raise MisusedError(f"two reports are named {path.name}; rename one")
            names.add(path.name)
            yield path


def main(arguments: list[str] | None = None) -> int:
    """Make or complete the release."""
    asked = parse(arguments)
    from wheelkit.release import seal

    if not asked.notes.is_file():
        raise MisusedError(f"no such file: {asked.notes}")
    try:
        hashes = seal.opened(asked.folder, asked.seal)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    files = [*(asked.folder / name for name in (*hashes, seal.NAME)), *reports(asked.attach)]
    if shutil.which("gh") is None:
        raise LackingError("no gh here; GitHub's runners have it")
    if gh("release", "view", asked.tag):
        text = ("--title", asked.tag, "--notes-file", asked.notes)
        # --verify-tag: without the tag, gh would make one at the tip of the default branch.
        if gh("release", "create", asked.tag, "--verify-tag", *text):
            raise LackingError(f"gh could not make the release {asked.tag}; see its message")
    if gh("release", "upload", asked.tag, "--clobber", *files):
        raise LackingError("gh could not attach the files; run this again, it will complete them")
    return Status.DONE
