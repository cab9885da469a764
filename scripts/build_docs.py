"""Build the documentation of the present sources' wheel into build/docs; warnings are errors.

It runs in the environment into which the wheel is to be installed: ``nox -s docs`` makes one. All
arguments go to sphinx-build.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from ledger import BUILD, PROJECT
from run_tests import wheel_for
from wheelkit.target.report import LackingError, run


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _, for_sphinx = parser.parse_known_args()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    product = wheel_for(version)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    if subprocess.run([*pip, "--force-reinstall", product.wheel], check=False).returncode:
        raise LackingError(f"pip could not install {product.wheel}")
    target = BUILD / "docs"
    # -W: a picture or a link that is missing is a fault; --keep-going: list them all.
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", *for_sphinx]
    # Not from the source tree, whose package has no compiled part.
    status = subprocess.run([*sphinx, PROJECT / "docs", target], cwd=BUILD, check=False).returncode
    if not status:
        print(target / "index.html")
    return int(bool(status))


if __name__ == "__main__":
    sys.exit(run(main))
