"""Serve a package index on this machine alone, until standard input is closed.

Its upload and simple API are those that pip and twine know. It takes each file name once, as the
real index does, and asks for no password. The address is the first line printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wheelkit.target.report import Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit index", description=__doc__)
    add = parser.add_argument
    add("packages", metavar="DIR", type=Path, help="where the files are kept")
    add("--stall-after", type=int, metavar="N", help="take N uploads and answer no further one")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve."""
    asked = parse(arguments)
    from wheelkit.release import loopback_index

    loopback_index.serve(asked.packages, asked.stall_after)
    return Status.DONE
