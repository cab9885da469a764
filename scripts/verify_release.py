"""Verify every sealed wheel with verify_wheel.py, in the container with the oldest glibc or here.

They are installed in every way, by their own interpreters. Each container has its report.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import containers
import places
from places import Mount, Place
from wheelkit.report import FaultyError, MisusedError, Status, run

SCRIPTS = Path(__file__).resolve().parent
# The interpreter of the tools; the wheels' own are found by verify_wheel.py.
TOOLS_PYTHON = "3.12"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    places.add_options(parser)
    add = parser.add_argument
    add("--plat", default="", metavar="P", help="the platform tag that wheels have, or a better")
    add("--reports", type=Path, metavar="DIR", required=True, help="where the report goes")
    return parser.parse_args()


def groups(wheels: list[str], asked: argparse.Namespace) -> dict[Place | None, list[str]]:
    """Return which wheels are verified together: in a container that has their interpreters."""
    from wheelkit.metadata import identify

    if asked.engine == "none":
        return {None: wheels}
    if asked.image:
        return {places.of_image(asked.image): wheels}
    found: dict[Place | None, list[str]] = {}
    for wheel in wheels:
        found.setdefault(places.verifying(identify(wheel).python), []).append(wheel)
    return found


def report_of(place: Place | None) -> str:
    """Return the name of a group's report."""
    return f"verify.{place.name if place else 'here'}.json"


def verify(place: Place | None, wheels: list[str], asked: argparse.Namespace) -> int:
    """Verify some wheels together; return the exit status."""
    options = ["--layouts", "install", *(["--plat", asked.plat] if asked.plat else [])]
    if place is None:
        files = [str(asked.folder / wheel) for wheel in wheels]
        report = str(asked.reports / report_of(place))
        script = str(SCRIPTS / "verify_wheel.py")
        command = [sys.executable, script, *files, *options, "--report", report]
        return subprocess.run(command, check=False).returncode
    mounts = [
        Mount(Path.cwd(), places.PROJECT),
        Mount(SCRIPTS, "/scripts"),
        Mount(asked.folder, "/dist"),
        Mount(asked.reports, "/reports", writable=True),
    ]
    files = [f"/dist/{wheel}" for wheel in wheels]
    words = ["/scripts/with_tools.py", "verify_wheel.py", *files, *options]
    words += ["--report", f"/reports/{report_of(place)}"]
    return places.run(place, TOOLS_PYTHON, mounts, words, gpu=False)


def main() -> int:
    """Verify all wheels; verify_wheel.py's verdict is this script's."""
    asked = parse()
    from wheelkit import seal

    try:
        hashes = seal.opened(asked.folder, asked.seal)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    wheels = [name for name in hashes if name.endswith(".whl")]
    if not wheels:
        raise MisusedError(f"{asked.folder} holds no wheel to verify")
    if asked.engine != "none":
        # Before anything is tried: without an engine, nothing can be.
        containers.find_engine()
    asked.reports.mkdir(parents=True, exist_ok=True)
    statuses = []
    for place, group in groups(wheels, asked).items():
        # An older verdict must not pass for this run's, should it end without one.
        (asked.reports / report_of(place)).unlink(missing_ok=True)
        statuses.append(verify(place, group, asked))
    return places.verdict(statuses)


if __name__ == "__main__":
    sys.exit(run(main))
