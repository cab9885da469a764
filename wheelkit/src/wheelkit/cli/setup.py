"""Install everything that wheelkit needs into the environment that it runs in, by hash.

It is for environments into which wheelkit itself was installed alone, with --no-deps, as from a
git repository, with which pip can compare no hash.
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
