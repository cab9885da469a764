"""Run a script of this folder in a new environment that holds its pinned dependencies.

For a machine that has nothing but CPython 3.10 or newer, such as a clean container. All arguments
after the script's name go to it, and its exit status comes back.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from wheelkit.report import LackingError, MisusedError, run

SCRIPTS = Path(__file__).resolve().parent


def main() -> int:
    """Install the dependencies and run the script."""
    if len(sys.argv) < 2 or not (SCRIPTS / sys.argv[1]).is_file():
        raise MisusedError(f"usage: with_tools.py SCRIPT [ARGUMENT]…; SCRIPT is in {SCRIPTS}")
    with tempfile.TemporaryDirectory(prefix="tools-") as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        pip += ["--require-hashes", "--requirement", SCRIPTS / "requirements.txt"]
        if subprocess.run(pip, check=False, stdout=sys.stderr).returncode:
            raise LackingError("pip could not install the pinned tools; see its messages above")
        return subprocess.run(
            [python, SCRIPTS / sys.argv[1], *sys.argv[2:]], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(run(main))
