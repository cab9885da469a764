"""Verify repaired wheels of this project; the options are those of ``wheelkit verify``."""

from __future__ import annotations

import sys

from wheelkit.cli.verify import main
from wheelkit.target.report import run

if __name__ == "__main__":
    sys.exit(run(main))
