"""Running the pinned tools of others that check finished wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import metadata

from wheelkit.base import pinned_tools
from wheelkit.target.report import INSTALL, LackingError
from wheelkit.wheel.reading import Wheel


def run(
    distribution: str, module: str, *arguments: str, wheel: Wheel
) -> subprocess.CompletedProcess[str]:
    """Run a pinned tool on the wheel, in an empty folder, where it finds no configuration.

    Raises
    ------
    LackingError
        It is missing or of another version.
    """
    wanted = pinned_tools.pinned(distribution)
    try:
        found = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        found = "not"
    if found != wanted:
        installed = f"{distribution} {found} is installed" if found != "not" else "it is missing"
        raise LackingError(f"{distribution} {wanted} is needed, {installed}; run: {INSTALL}")
    # One line a message.
    environment = {**os.environ, "COLUMNS": "10000"}
    command = [sys.executable, "-I", "-m", module, *arguments, str(wheel.archive.path.absolute())]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
