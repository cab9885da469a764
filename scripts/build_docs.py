"""Build the documentation of the present sources' wheel into build/docs; warnings are errors.

It runs in the environment into which the wheel is to be installed: ``nox -s docs`` makes one. All
arguments go to sphinx-build. The picture at the top of README is one that a page makes:
docs/readme.png is replaced if it is not the picture of the present page.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
from pathlib import Path

from ledger import BUILD, PROJECT
from run_tests import wheel_for
from wheelkit.report import LackingError, run

# README's picture, and where the page makes it.
PICTURE = PROJECT / "docs" / "readme.png"
MADE = PROJECT / "docs" / "run" / "converged" / "readme.png"

# On another processor the same seed gives another run, which is as good, because rounding differs:
# the pictures of two such runs differ by 0.02. That of a run with a fifth of the steps differs by
# 0.10, and so does the same picture moved by 10 pixels.
MOST_DIFFERENT = 0.05


def difference(one: Path, other: Path) -> float:
    """Return how much two pictures differ: 0 for the same, 1 for black and white.

    It is the root mean square of the differences between the mean colours of squares of 10 x 10
    pixels, within which thin lines may move; inf for pictures of different sizes.
    """
    from matplotlib.image import imread

    first, second = (imread(path)[..., :3] for path in (one, other))
    if first.shape != second.shape:
        return math.inf
    rows, columns = (length // 10 for length in first.shape[:2])
    change = (first - second)[: 10 * rows, : 10 * columns]
    squares = change.reshape(rows, 10, columns, 10, 3).mean(axis=(1, 3))
    return float((squares**2).mean() ** 0.5)


def bring_picture(made: Path, shown: Path) -> bool:
    """Replace the picture that is shown if it is not the one that was made; tell whether."""
    if shown.is_file() and difference(made, shown) <= MOST_DIFFERENT:
        return False
    shutil.copyfile(made, shown)
    return True


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _, for_sphinx = parser.parse_known_args()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    product = wheel_for(version)
    print(f"install {product.wheel}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    if subprocess.run([*pip, "--force-reinstall", product.wheel], check=False).returncode:
        raise LackingError(f"pip could not install {product.wheel}")
    target = BUILD / "docs"
    # -W: a picture or a link that is missing is a fault; --keep-going: list them all.
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", *for_sphinx]
    # Not from the source tree, whose package has no compiled part.
    status = subprocess.run([*sphinx, PROJECT / "docs", target], cwd=BUILD, check=False).returncode
    if not status:
        if bring_picture(MADE, PICTURE):
            print(f"{PICTURE} was another picture and has been replaced; commit it")
        print(target / "index.html")
    return int(bool(status))


if __name__ == "__main__":
    sys.exit(run(main))
