"""The sources of a project as git sees them: what it tracks, and what it would add."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from wheelkit.target.report import LackingError, say

# The earliest time that a zip archive can hold: 1980-01-01.
ZIP_EPOCH = "315532800"


def listed(project: Path) -> list[str]:
    """Return the files, relative to the project; what git ignores is no source.

    Raises
    ------
    LackingError
        It is no git repository, or there is no git.
    """
    command = ["git", "-C", str(project), "ls-files", "-z", "-co", "--exclude-standard"]
    if shutil.which("git") is None:
        raise LackingError("git is not installed; it lists the sources, so install it")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(f"git cannot list the sources ({done.stderr.strip()}); build in a clone")
    return [name for name in done.stdout.split("\0") if name and (project / name).is_file()]


def export(project: Path, folder: Path) -> None:
    """Copy the files to a folder, with their dates and modes."""
    for name in listed(project):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, folder / name)


def date(project: Path) -> str:
    """Return the time that archive members get, so that distributions rebuild identically.

    It is SOURCE_DATE_EPOCH if that is set, else the time of the last commit in `project`.
    """
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return os.environ["SOURCE_DATE_EPOCH"]
    if shutil.which("git"):
        command = ["git", "-C", str(project), "log", "-1", "--format=%ct"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    message = f"no git history in {project}, so SOURCE_DATE_EPOCH={ZIP_EPOCH} (1980-01-01)"
    say(f"wheelkit: {message}", error=True)
    return ZIP_EPOCH
