"""The CPython interpreters of this machine, which wheels they take, and environments of them."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wheelkit.base.cpythons import CPYTHONS, numbers, tag_of
from wheelkit.base.programs import last_words
from wheelkit.target.report import LackingError

if TYPE_CHECKING:
    from packaging.tags import Tag

# Runs on any Python 3. The base executable leads out of virtual environments, also of those that
# hold a copy of the interpreter; the real path leads past shims.
PROBE = """
import glob, json, os, platform, sys, sysconfig
try:
    import pip
    home = os.path.dirname(pip.__file__)
except ImportError:
    home = None
try:
    import ensurepip
    # A distribution may keep the wheel of pip in a folder of its own.
    folders = [os.path.dirname(ensurepip.__file__) + "/_bundled"]
    folders += filter(None, [sysconfig.get_config_var("WHEEL_PKG_DIR")])
    bundled = [path for folder in folders for path in glob.glob(folder + "/pip-*.whl")]
except ImportError:
    bundled = []
print(json.dumps({
    "implementation": platform.python_implementation(),
    "path": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": "%d.%d" % sys.version_info[:2],
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "debian": sysconfig.get_path("purelib").endswith("/dist-packages"),
    "pip": home or (sorted(bundled) or [None])[-1],
}))
"""

# The oldest whose pip installs from today's wheels and whose ctypes the loading program needs.
OLDEST = numbers(CPYTHONS[0])


@dataclass(frozen=True)
class Python:
    """An interpreter that is no virtual environment.

    `pip` is the package of a pip that runs on it, or a wheel of one; None if it has none.
    `debian` tells the system's Python of Debian, whose packages are in dist-packages.
    """

    path: Path
    version: str
    debian: bool
    pip: Path | None

    @property
    def name(self) -> str:
        """``3.11``, or ``3.11 (Debian)``."""
        return f"{self.version} (Debian)" if self.debian else self.version

    @property
    def tags(self) -> frozenset[Tag]:
        """Every tag of a wheel that it can install."""
        # Only here: the rest is used where nothing but the standard library is installed.
        from packaging import tags

        version = numbers(self.version)
        interpreter, _, abi = tag_of(self.version).partition("-")
        platforms = list(tags.platform_tags())
        return frozenset(
            (
                *tags.cpython_tags(version, [abi], platforms),
                *tags.compatible_tags(version, interpreter, platforms),
            )
        )


@functools.cache
def found() -> tuple[Python, ...]:
    """Return an interpreter of each version, the running one first, then as PATH has them."""
    chosen: dict[tuple[str, bool], Python] = {}
    for path in _candidates():
        python = probe(path)
        if python is not None:
            chosen.setdefault((python.version, python.debian), python)
    return tuple(chosen.values())


def _pyenv() -> Path:
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    # Debian's own, which another Python may hide; pyenv's; those of manylinux images.
    folders += [Path("/usr/bin"), *sorted(_pyenv().glob("versions/*/bin"))]
    folders += sorted(Path("/opt/python").glob("*/bin"))
    seen = set()
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.glob("python3*")):
            is_python = re.fullmatch(r"python3(\.\d+t?)?", path.name)
            if is_python and os.access(path, os.X_OK) and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def probe(path: Path) -> Python | None:
    """Ask an interpreter what it is; None if it does not run, or is no CPython of ours."""
    # -I: what it has by itself, not what a caller's PYTHONPATH adds.
    command = [str(path), "-I", "-c", PROBE]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        told = json.loads(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    if told["implementation"] != "CPython" or numbers(told["version"]) < OLDEST:
        return None
    version = told["version"] + ("t" if told["threaded"] else "")
    pip = Path(told["pip"]) if told["pip"] else None
    return Python(Path(told["path"]), version, told["debian"], pip)


def version_of(path: Path) -> str | None:
    """Ask an interpreter for its version; None where it is no CPython of ours or does not run."""
    python = probe(path)
    return python.version if python else None


def candidates(version: str) -> list[Path]:
    """List where an interpreter of this version may be, the most likely first.

    A pyenv shim on the path may refuse to run although pyenv has the interpreter, so the
    versions of pyenv are listed after the path.
    """
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    # pyenv calls a free-threaded one 3.14.2t.
    series, threaded = version.rstrip("t"), "t" if version.endswith("t") else ""
    folders += sorted(_pyenv().glob(f"versions/{series}.*{threaded}/bin"))
    named = [folder / f"python{version}" for folder in folders]
    return [Path(sys.executable), *(python for python in named if os.access(python, os.X_OK))]


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
    """Make a new virtual environment with pip at `folder`; return its interpreter.

    Raises
    ------
    LackingError
        The interpreter cannot make one.
    """
    command: list[str | Path] = [python, "-m", "venv", "--clear", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LackingError(
            f"{python} cannot make a virtual environment ({last_words(done)}); "
            "on Debian and Ubuntu install its python3-venv package"
        )
    return folder / "bin" / "python"
