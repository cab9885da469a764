"""Compare an installed wheel with its RECORD, then run the kernels of the project.

Everything runs under the interpreter in whose environment the wheel is installed, which may be of
CPython 3.7 and needs no wheelkit: --python names it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from wheelkit.target import smoke
from wheelkit.target.trial import PROGRAMS


def main(arguments: list[str]) -> int:
    """Run the program of wheelkit/target under the interpreter of the wheel."""
    parser = smoke.parser_with_kernels()
    parser.description = __doc__
    parser.add_argument(
        "--python",
        metavar="PYTHON",
        default=sys.executable,
        help="the interpreter in whose environment the wheel is installed (default: %(default)s)",
    )
    parser.parse_args(arguments)
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--python", default=sys.executable)
    asked, rest = own.parse_known_args(arguments)
    return subprocess.run([asked.python, PROGRAMS, "smoke", *rest], check=False).returncode
