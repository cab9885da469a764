"""Run a verb of wheelkit in a new environment that holds its pinned dependencies.

For a machine that has nothing but CPython 3.10 or newer, such as a clean container. All arguments
go to wheelkit, and its exit status comes back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from wheelkit.target.report import OLDEST_PYTHON, REQUIREMENTS, LackingError, MisusedError

OLDEST = OLDEST_PYTHON
# The folder with the package, and with the metadata that states the pinned versions.
LOCATION = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Install the dependencies and run the verb."""
    if not arguments:
        raise MisusedError("no verb of wheelkit is named; see `wheelkit --help`")
    import venv

    with tempfile.TemporaryDirectory(prefix="wheelkit-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        install_dependencies(python)
        environment = {**os.environ, "PYTHONPATH": str(LOCATION)}
        command: list[str | Path] = [python, "-m", "wheelkit", *arguments]
        return subprocess.run(command, check=False, env=environment).returncode


def install_dependencies(python: Path) -> None:
    """Install all that wheelkit needs into the environment of an interpreter, by hash.

    Raises
    ------
    LackingError
        pip could not.
    """
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    pip += ["--disable-pip-version-check", "--require-hashes", "--requirement", REQUIREMENTS]
    if subprocess.run(pip, check=False, stdout=sys.stderr).returncode:
        raise LackingError("pip could not install the pinned tools; see its messages above")
