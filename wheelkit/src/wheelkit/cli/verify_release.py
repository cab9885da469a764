"""Verify every wheel of a sealed folder with `wheelkit verify`.

This happens in the container with the oldest glibc, or with --engine none on this machine. Each
wheel is installed in every way, by its own interpreter. Each container writes a report.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from wheelkit.base import github
from wheelkit.containers import copy_of_wheelkit, engines, images
from wheelkit.containers.images import TestImage
from wheelkit.release import seal
from wheelkit.target.report import MisusedError
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import X86_64


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit verify-release", description=__doc__)
    images.add_options(parser)
    add = parser.add_argument
    add("--plat", default="", metavar="P", help="the platform tag that wheels must have")
    add("--reports", type=Path, metavar="DIR", required=True, help="the folder for the reports")
    return parser.parse_args(arguments)


def groups(wheels: list[str], asked: argparse.Namespace) -> dict[TestImage | None, list[str]]:
    """Return which wheels are verified together: in a container that has their interpreters."""
    if asked.engine == "none":
        return {None: wheels}
    if asked.image:
        return {images.of_image(asked.image): wheels}
    found: dict[TestImage | None, list[str]] = {}
    for wheel in wheels:
        identity = identify(wheel)
        image = images.verifying(identity.python, Path.cwd(), identity.architecture or X86_64)
        found.setdefault(image, []).append(wheel)
    return found


def report_of(image: TestImage | None) -> str:
    """Return the name of a group's report."""
    return f"verify.{image.name if image else 'here'}.json"


def verify(image: TestImage | None, wheels: list[str], asked: argparse.Namespace) -> int:
    """Verify some wheels together; return the exit status."""
    options = ["--layouts", "install", *(["--plat", asked.plat] if asked.plat else [])]
    if image is None:
        files = [str(asked.folder / wheel) for wheel in wheels]
        report = str(asked.reports / report_of(image))
        command = [sys.executable, "-m", "wheelkit", "verify", *files, *options, "--report", report]
        return subprocess.run(command, check=False).returncode
    files = [f"/dist/{wheel}" for wheel in wheels]
    words = [images.PROGRAMS, "bootstrap", "verify", *files, *options]
    words += ["--report", f"/reports/{report_of(image)}"]
    with tempfile.TemporaryDirectory(prefix="wheelkit-") as folder:
        mounts = images.mounts(copy_of_wheelkit.write(Path(folder)), asked.folder, asked.reports)
        return images.run(image, images.TOOLS_PYTHON, mounts, words, gpu=False)


def main(arguments: list[str] | None = None) -> int:
    """Verify all wheels; the first status other than 0 is that of all."""
    asked = parse(arguments)
    hashes = seal.opened(asked.folder, asked.seal)
    wheels = images.wheels_of(hashes, asked.architecture)
    if not wheels:
        kind = f"wheel for {asked.architecture}" if asked.architecture else "wheel"
        raise MisusedError(f"{asked.folder} holds no {kind} to verify")
    if asked.engine != "none":
        # Before anything is tried: without an engine, nothing can be.
        engines.find_engine()
    asked.reports.mkdir(parents=True, exist_ok=True)
    statuses = []
    with github.commands_stopped():
        for image, group in groups(wheels, asked).items():
            # An older verdict must not pass for this run's, should it end without one.
            (asked.reports / report_of(image)).unlink(missing_ok=True)
            statuses.append(verify(image, group, asked))
    return images.verdict(statuses)
