"""Repair a wheel of this project in two steps: auditwheel, then the rpaths.

cibuildwheel runs this as its repair-wheel-command; users can run it too. The options are those of
``wheelkit repair``. The last line printed is the path of the repaired wheel.
"""

from __future__ import annotations

import sys

from wheelkit.cli import repair
from wheelkit.target.report import run


def main() -> int:
    """Repair the wheel that the command line names."""
    # Imported here, so that run() can report a missing dependency.
    from wheelkit.repair.auditwheel import graft_libraries
    from wheelkit.repair.rpaths import correct_rpaths

    # auditwheel grafts libcudart and libgomp and gives the wheel its platform tag. The rpaths that
    # it writes are right within the archive only; the second step makes them right for the
    # installed wheel.
    return repair.main(steps=[graft_libraries, correct_rpaths])


if __name__ == "__main__":
    sys.exit(run(main))
