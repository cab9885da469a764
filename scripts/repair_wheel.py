"""Repair a wheel of this project: cibuildwheel's repair-wheel-command, and the same by hand.

First auditwheel grafts the libraries that the wheel needs and gives it its platform tag, then
every rpath is made right for the place where an installer puts the library. The options are those
of ``wheelkit repair``.
"""

from __future__ import annotations

import sys

from wheelkit.cli.repair import main
from wheelkit.target.report import run

if __name__ == "__main__":
    sys.exit(run(main))
