"""Install everything that wheelkit needs into its own environment, checked by hash.

Use it after `pip install --no-deps`. pip cannot check hashes of a package that comes from a git
repository, so wheelkit is installed without its requirements first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wheelkit.target.bootstrap import install_dependencies
from wheelkit.target.report import Status


def main(arguments: list[str] | None = None) -> int:
    """Install the dependencies."""
    parser = argparse.ArgumentParser(prog="wheelkit setup", description=__doc__)
    parser.parse_args(arguments)
    install_dependencies(Path(sys.executable))
    return Status.DONE
