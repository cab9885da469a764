"""Serve a package index that only this machine can reach, until standard input is closed.

It works with pip and twine. Like the real index, it accepts each file name only once; it asks for
no password. The first line that it prints is its address.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wheelkit.target.report import Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit index", description=__doc__)
    add = parser.add_argument
    add("packages", metavar="DIR", type=Path, help="the folder that keeps the files")
    add(
        "--stall-after",
        type=int,
        metavar="N",
        help="accept N uploads, and do not answer any more (for tests)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve."""
    asked = parse(arguments)
    from wheelkit.release import loopback_index

    loopback_index.serve(asked.packages, asked.stall_after)
    return Status.DONE
