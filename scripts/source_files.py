"""The sources of a project as git sees them: what it tracks, and what it would add."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from wheelkit.report import LackingError


def listed(project: Path) -> list[str]:
    """Return the files, relative to the project; what git ignores is no source.

    Raises
    ------
    LackingError
        It is no git repository, or there is no git.
    """
    command = ["git", "-C", str(project), "ls-files", "-z", "-co", "--exclude-standard"]
    if shutil.which("git") is None:
        raise LackingError("no git here, which lists the sources; install it")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(f"git cannot list the sources ({done.stderr.strip()}); build in a clone")
    return [name for name in done.stdout.split("\0") if name and (project / name).is_file()]


def export(project: Path, folder: Path) -> None:
    """Copy the files to a folder, with their dates and modes."""
    for name in listed(project):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, folder / name)
