"""Repair a wheel of this project in two steps: auditwheel, then the rpaths.

This is cibuildwheel's repair-wheel-command, and the same by hand. The options are those of
``wheelkit repair``; the path of the repaired wheel is the last line printed.
"""

from __future__ import annotations

import sys

from wheelkit.cli import repair
from wheelkit.target.report import run


def main() -> int:
    """Repair the wheel that the command line names."""
    # Only now, so that a missing dependency is reported as such.
    from wheelkit.repair.auditwheel import graft_libraries
    from wheelkit.repair.rpaths import correct_rpaths

    # auditwheel grafts libcudart and libgomp and gives the wheel its platform tag. The rpaths that
    # it writes hold in the archive; the second step makes them right once the wheel is installed.
    return repair.main(steps=[graft_libraries, correct_rpaths])


if __name__ == "__main__":
    sys.exit(run(main))
