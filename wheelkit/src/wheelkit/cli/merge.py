"""Merge the sealed folders of several jobs into one folder, and seal it.

Each folder must be unchanged since its job has sealed it, and no file may be in two of them. If
something is wrong, OUT is not made at all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wheelkit.cli.options import sealed
from wheelkit.target.report import Status


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit merge", description=__doc__)
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, help="the folder to make, or an empty folder")
    add(
        "--part",
        dest="parts",
        metavar="DIR=SEAL",
        type=sealed,
        action="append",
        required=True,
        help="a folder of distributions, and what `wheelkit seal` printed; once for each part",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Merge; the seal of the whole is the last line."""
    asked = parse(arguments)
    from wheelkit.cli.seal import tell
    from wheelkit.release import seal

    tell(*seal.merge(asked.parts, asked.out))
    return Status.DONE
