"""``python -m wheelkit`` is the command ``wheelkit``."""

import sys

from wheelkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
