"""A copy of the installed wheelkit that a container can be shown, without its dependencies."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from wheelkit.target.report import LackingError


def write(folder: Path) -> Path:
    """Copy the package and its metadata to an empty `folder`; return the folder.

    Raises
    ------
    LackingError
        wheelkit is not installed as a wheel, so that its metadata lists no files of the package.
    """
    files = metadata.distribution("wheelkit").files or []
    own = [file for file in files if ".." not in file.parts and file.suffix != ".pyc"]
    if not any(file.as_posix() == "wheelkit/__init__.py" for file in own):
        raise LackingError(
            "wheelkit is installed in development mode; install it from its folder: "
            "python -m pip install FOLDER_OF_WHEELKIT"
        )
    for file in own:
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)
    return folder
