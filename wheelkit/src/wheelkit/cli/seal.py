"""Seal a folder: write the sha256 of every file into a list, and print the hash of this list.

Later stages get this hash (the seal), and refuse the folder if anything in it has changed. On
GitHub, the seal also becomes the output ``seal`` of the step.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from wheelkit.target.report import Status, say


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit seal", description=__doc__)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the folder with wheels and a source distribution")
    add("--reports", action="store_true", help="DIR has reports (JSON) instead of distributions")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Seal the folder; the seal is the last line."""
    from wheelkit.release import seal

    asked = parse(arguments)
    tell(*seal.write(asked.folder, seal.REPORTS if asked.reports else seal.DISTRIBUTIONS))
    return Status.DONE


def tell(digest: str, hashes: Mapping[str, str]) -> None:
    """Print the list and the seal, which is also an output of the step."""
    from wheelkit.base import github

    for name, sha256 in hashes.items():
        say(f"{sha256}  {name}")
    github.set_output("seal", digest)
    say(digest)
