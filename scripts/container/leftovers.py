"""What a build or a rehearsal makes for itself, and how it is removed, also after SIGKILL.

Each run has a folder for all its temporary files, which it locks, and its containers have that
folder for a label. A run that is interrupted removes both. What a killed run has left is removed by
the next one, which finds the folder unlocked.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from shared.steps import say
from wheelkit.containers.engines import Engine

# The name of the label of each container; its value is the folder of the run.
LABEL = "cyfes.wheelhouse"
PREFIX = "run-"


@dataclass(frozen=True)
class Run:
    """One run: its folder, an engine that labels containers, and whether no other run goes on."""

    folder: Path
    engine: Engine
    alone: bool


@contextlib.contextmanager
def run_folder(work: Path, engine: Engine) -> Iterator[Run]:
    """Make the folder of a run below `work`, and remove at the end what the run has made."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as beginning:
        # No other run begins meanwhile, and takes the folder for one of a killed run.
        fcntl.flock(beginning, fcntl.LOCK_EX)
        others = remove_leftovers(work, engine)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=work))
        lock = lock_of(folder).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield Run(folder, replace(engine, label=f"{LABEL}={folder}"), alone=not others)
    finally:
        tempfile.tempdir = before
        remove(folder, engine)
        lock.close()


def remove_leftovers(work: Path, engine: Engine) -> list[Path]:
    """Remove what killed runs have left; return the folders of the runs that go on."""
    folders = {path for path in work.glob(f"{PREFIX}*") if path.is_dir()}
    # Somebody may have removed a folder whose container still runs.
    for container in engine.containers(LABEL):
        folder = Path(engine.labels(container).get(LABEL, "/"))
        if folder.parent == work:
            folders.add(folder)
    alive = [folder for folder in folders if is_locked(folder)]
    for folder in folders.difference(alive):
        say(f"removing what a killed run has left: {folder} and its containers")
        remove(folder, engine)
    return alive


def remove(folder: Path, engine: Engine) -> None:
    """Remove the containers and the folder of a run."""
    for container in engine.containers(f"{LABEL}={folder}"):
        engine.run("rm", "--force", "--volumes", container)
    shutil.rmtree(folder, ignore_errors=True)


def lock_of(folder: Path) -> Path:
    """Return the file that a run locks."""
    return folder / "lock"


def is_locked(folder: Path) -> bool:
    """Tell whether a run goes on in a folder."""
    try:
        lock: IO[str] = lock_of(folder).open()
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
