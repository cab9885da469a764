"""Find CPython interpreters on this machine and make virtual environments with them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from wheelkit.target.report import LackingError, MisusedError

_PROBE = (
    "import platform, sys, sysconfig;"
    "print(platform.python_implementation(), '%d.%d' % sys.version_info[:2]"
    " + ('t' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''))"
)


def parse_version(text: str) -> str:
    """Return `text` if it names a CPython such as 3.7 or 3.13t."""
    if not re.fullmatch(r"3\.\d+t?", text):
        raise MisusedError(f"'{text}' is no CPython version; write 3.10 or, free-threaded, 3.13t")
    return text


def version_of(python: Path) -> str | None:
    """Ask an interpreter for its version; None where it is no CPython or does not run."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], check=False, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    implementation, _, version = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and implementation == "CPython" else None


def candidates(version: str) -> list[Path]:
    """List where an interpreter of this version may be, the most likely first.

    A pyenv shim on the path may refuse to run although pyenv has the interpreter, so the
    versions of pyenv are listed after the path.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    folders += sorted(pyenv.glob(f"versions/{version}.*/bin"))
    found = [folder / f"python{version}" for folder in folders]
    return [Path(sys.executable), *(python for python in found if os.access(python, os.X_OK))]


def find_python(version: str) -> Path:
    """Return an interpreter of this version that runs.

    Raises
    ------
    LackingError
        None runs; the message lists those that were tried.
    """
    tried = candidates(version)
    for python in tried:
        if version_of(python) == version:
            return python
    broken = ", ".join(map(str, tried[1:])) or "none on the path or in pyenv"
    raise LackingError(
        f"no CPython {version} runs here (tried: {broken}); install it or leave --python {version}"
    )


def make_venv(python: Path, folder: Path) -> Path:
    """Make a virtual environment with pip at `folder`; return its interpreter."""
    command: list[str | Path] = [python, "-m", "venv", "--clear", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
        raise LackingError(
            f"{python} cannot make a virtual environment ({reason[0]}); "
            "on Debian and Ubuntu install its python3-venv package"
        )
    return folder / "bin" / "python"
