"""Seal a folder of distributions: list every file's sha256, and print the hash of the list.

Later stages take that hash, the seal, and refuse the folder if a single byte has changed. On
GitHub it also becomes the output ``seal`` of the step.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wheelkit.report import FaultyError, Status, run


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="wheels and source distribution")
    return parser.parse_args()


def main() -> int:
    """Seal the folder; the seal is the last line."""
    from wheelkit import job, seal

    folder = parse().folder
    try:
        digest, hashes = seal.write(folder)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    for name, sha256 in hashes.items():
        print(f"{sha256}  {name}")
    job.set_output("seal", digest)
    print(digest)
    return Status.DONE


if __name__ == "__main__":
    sys.exit(run(main))
