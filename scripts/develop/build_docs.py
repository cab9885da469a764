"""Build the documentation into build/docs, with the wheel of the present sources.

A warning of Sphinx is an error, and so is a link between two pages that leads nowhere. With --look,
each page is opened in a browser too, at the widths of a desktop and of a phone.

The wheel is installed into the environment in which this runs; ``nox -s docs`` makes one. All
other arguments are handed to sphinx-build. A page of the documentation draws the picture at the top
of README: docs/readme.png is replaced if it differs from what the page draws.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
from pathlib import Path

from develop.look_at_pages import BROWSERS, broken_links, find_browser, look
from develop.run_tests import wheel_for
from shared.ledger import BUILD, PROJECT
from wheelkit.target.report import LackingError

# README's picture, and the file that the code of the page writes.
PICTURE = PROJECT / "docs" / "readme.png"
PAGE_PICTURE = PROJECT / "docs" / "run" / "converged" / "readme.png"

# On another processor the same seed gives another, equally good run, because rounding differs: the
# pictures of two such runs differ by 0.02. The picture of a run with a fifth of the steps differs
# by 0.10, and so does the same picture moved by 10 pixels.
LARGEST_DIFFERENCE = 0.05


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


def update_picture(made: Path, shown: Path) -> bool:
    """Replace the picture `shown` by `made` if they differ; tell whether it was replaced."""
    if shown.is_file() and difference(made, shown) <= LARGEST_DIFFERENCE:
        return False
    shutil.copyfile(made, shown)
    return True


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--look", action="store_true", help="open each page in a browser")
    options, sphinx_arguments = parser.parse_known_args()
    browser = find_browser()
    if options.look and browser is None:
        raise LackingError(f"found no browser for --look, expected one of {', '.join(BROWSERS)}")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    product = wheel_for(version)
    print(f"install {product.wheel}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    if subprocess.run([*pip, "--force-reinstall", product.wheel], check=False).returncode:
        raise LackingError(f"pip could not install {product.wheel}")
    target = BUILD / "docs"
    # -W: a missing picture or link is an error; --keep-going: list all of them.
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", *sphinx_arguments]
    # Not in the source tree, where Python would import the package without its compiled part.
    status = subprocess.run([*sphinx, PROJECT / "docs", target], cwd=BUILD, check=False).returncode
    if status:
        return 1
    faults = broken_links(target)
    if options.look and browser:
        print(f"open each page in {browser}", flush=True)
        faults += look(target, browser)
    if update_picture(PAGE_PICTURE, PICTURE):
        print(f"{PICTURE} differed from what the page draws and was replaced; commit it")
    print("\n".join([*faults, str(target / "index.html")]))
    return int(bool(faults))
