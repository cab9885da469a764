"""Verify finished wheels: the archive, its ELF files, its platform tag, and where it loads.

Every check runs and every fault is listed; a table at the end says what was verified. The wheel
is never changed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wheelkit.report import Outcome, conclude, run

TOOL = "verify_wheel"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=f"{TOOL}.py", description=__doc__)
    parser.add_argument("wheels", type=Path, nargs="+", metavar="WHEEL", help="a finished wheel")
    parser.add_argument(
        "--plat", metavar="P", help="the platform tag that the wheel must have, or a better one"
    )
    parser.add_argument(
        "--layouts",
        choices=["static", "install", "none"],
        # It needs neither an interpreter for the wheel's tag nor the time of an installation.
        default="static",
        help="static (default): follow every rpath as a virtual environment would have it; "
        "install: also install the wheel in one and load each library; none: neither",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a JSON report: an object, or for several wheels a list of objects",
    )
    chosen = parser.parse_args(arguments)
    for wheel in chosen.wheels:
        if not wheel.is_file():
            parser.error(f"no such file: {wheel}")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Verify each wheel and report."""
    chosen = parse(arguments)
    # Only now, so that --help works and a missing dependency is reported as such.
    from wheelkit.verify import table, verify

    verdicts = [verify(wheel, chosen.plat, chosen.layouts) for wheel in chosen.wheels]
    outcomes = [Outcome(v.wheel, v.faults, v.lacking) for v in verdicts]
    status = conclude(TOOL, outcomes, chosen.report)
    print(table(verdicts))
    return status


if __name__ == "__main__":
    sys.exit(run(main))
