"""Install this checkout's wheelkit into an environment, with hash-pinned requirements.

pip cannot compare a folder with a hash. So the requirements, which contain the build back end of
wheelkit, are installed first by hash, and then the folder of wheelkit without dependencies.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from shared.ledger import PROJECT
from wheelkit.target.report import LackingError, Status

WHEELKIT = PROJECT / "wheelkit"
REQUIREMENTS = WHEELKIT / "src" / "wheelkit" / "requirements.txt"


def sources() -> list[Path]:
    """Return the files that wheelkit's distribution is made from."""
    found = [path for path in (WHEELKIT / "src").rglob("*") if path.is_file()]
    return [WHEELKIT / "pyproject.toml", *(path for path in found if path.suffix != ".pyc")]


def install(python: Path, *requirements: Path) -> None:
    """Install requirements, which must list all that wheelkit needs, and then wheelkit.

    Raises
    ------
    LackingError
        pip could not install something, or the installed packages conflict.
    """
    listed = [f"--requirement={file}" for file in requirements]
    hashed = ["install", "--require-hashes", "--only-binary=:all:", *listed]
    if subprocess.run([*pip(python), *hashed], check=False).returncode:
        names = " and ".join(str(file.relative_to(PROJECT)) for file in requirements)
        raise LackingError(f"pip could not install {names}; its messages are above")
    install_folder(python)


def install_folder(python: Path) -> None:
    """Install wheelkit without its dependencies, which must be installed already.

    Raises
    ------
    LackingError
        pip could not install wheelkit, or the installed packages conflict.
    """
    wheelkit_only = ["install", "--no-deps", "--no-build-isolation", WHEELKIT]
    for arguments in (wheelkit_only, ["check"]):
        if subprocess.run([*pip(python), *arguments], check=False).returncode:
            raise LackingError(f"pip could not install {WHEELKIT}; its messages are above")


def pip(python: Path) -> list[str | Path]:
    """Return the first words of a pip command."""
    return [python, "-m", "pip", "--disable-pip-version-check"]


def main() -> int:
    """Install into the environment of the running interpreter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "requirements",
        metavar="FILE",
        type=Path,
        nargs="*",
        default=[REQUIREMENTS],
        help="hash-pinned requirements that list all that wheelkit needs (default: %(default)s)",
    )
    asked = parser.parse_args().requirements
    install(Path(sys.executable), *(path.resolve() for path in asked))
    return Status.DONE
