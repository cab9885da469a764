"""Run the command line: ``python -m cyfes``."""

import sys

from cyfes.cli import main

if __name__ == "__main__":
    sys.exit(main())
