"""The CPython interpreters of this machine, and which of them a wheel is for."""

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

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags

# Runs on any Python 3; the real path leads out of virtual environments and past shims.
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
    "path": os.path.realpath(sys.executable),
    "version": "%d.%d" % sys.version_info[:2],
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "debian": sysconfig.get_path("purelib").endswith("/dist-packages"),
    "pip": home or (sorted(bundled) or [None])[-1],
}))
"""

# The oldest whose pip installs from today's wheels and whose ctypes the loading program needs.
OLDEST = (3, 7)


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
        numbers = tuple(map(int, self.version.rstrip("t").split(".")))
        threaded = self.version.endswith("t")
        suffix = "t" if threaded else "m" if numbers < (3, 8) else ""
        abi = f"cp{numbers[0]}{numbers[1]}{suffix}"
        platforms = list(platform_tags())
        interpreter = f"cp{numbers[0]}{numbers[1]}"
        return frozenset(
            (
                *cpython_tags(numbers, [abi], platforms),
                *compatible_tags(numbers, interpreter, platforms),
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


def _candidates() -> Iterator[Path]:
    yield Path(sys.executable)
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.get_exec_path() if folder]
    # Debian's own, which another Python may hide; pyenv's; those of manylinux images.
    folders += [Path("/usr/bin"), *sorted(home.glob("versions/*/bin"))]
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
    if told["implementation"] != "CPython" or _numbers(told["version"]) < OLDEST:
        return None
    version = told["version"] + ("t" if told["threaded"] else "")
    pip = Path(told["pip"]) if told["pip"] else None
    return Python(Path(told["path"]), version, told["debian"], pip)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
