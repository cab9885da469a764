"""Seal a folder of distributions: list every file's sha256, and print the hash of the list.

Later stages take that hash, the seal, and refuse the folder if a single byte has changed. On
GitHub it also becomes the output ``seal`` of the step.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wheelkit.target.report import FaultyError, Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit seal", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="wheels and source distribution")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Seal the folder; the seal is the last line."""
    from wheelkit.base import github
    from wheelkit.release import seal

    folder = parse(arguments).folder
    try:
        digest, hashes = seal.write(folder)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    for name, sha256 in hashes.items():
        print(f"{sha256}  {name}")
    github.set_output("seal", digest)
    print(digest)
    return Status.DONE
