"""The two cibuildwheels that build the release wheels: one for old CPythons, one for the rest.

Both take the configuration from pyproject.toml; only what is chosen on a command line, and where
this machine's pip has packages from, is handed to them in environment variables.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import source_files
import tomli
from build_wheels import source_date
from containers import Engine, pip_environment
from interpreters import make_venv
from ledger import BUILD, PROJECT
from wheelkit.report import LackingError

WORK = BUILD / "wheelhouse"
# The oldest on which cibuildwheel 4.3 runs.
OLDEST = (3, 11)
IMAGE_KEY = "manylinux-x86_64-image"
# What cibuildwheel says of its steps.
BEGUN = re.compile(r"^Building (cp\d+)-manylinux_x86_64 wheel")
STEP = re.compile(r"^(?:\x1b\[\d+m)*(Building|Repairing|Testing) wheel\.\.\.")
ENDED = re.compile(r" ([\d.]+)s$")


class BuildError(Exception):
    """The wheels do not come about, or are not what they should be."""


@dataclass(frozen=True)
class Builder:
    """A cibuildwheel: the file that pins it, and the CPythons that it is for."""

    pins: str
    oldest: int
    newest: int

    def selected(self, versions: Sequence[str]) -> list[str]:
        """Return those of the versions that it builds."""
        return [v for v in versions if self.oldest <= int(v.split(".")[1]) <= self.newest]


BUILDERS = (Builder("cibuildwheel-2.txt", 7, 8), Builder("cibuildwheel.txt", 9, 15))


def identifier(version: str) -> str:
    """Return cibuildwheel's name for the wheel of a CPython."""
    return f"cp{version.replace('.', '')}-manylinux_x86_64"


def check_python() -> None:
    """Refuse to begin with a Python on which no cibuildwheel runs."""
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise LackingError(
            f"cibuildwheel needs Python {wanted} or newer and {sys.executable} is older; run this "
            "with a newer one"
        )


def install_builder(builder: Builder) -> Path:
    """Install the pinned cibuildwheel in an environment of its own; return its Python."""
    python = make_venv(Path(sys.executable), WORK / Path(builder.pins).stem)
    pins = PROJECT / "requirements" / builder.pins
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    command += ["--only-binary=:all:", "--requirement", pins]
    if subprocess.run(command, check=False).returncode:
        raise LackingError(f"pip could not install {builder.pins}; its messages are above")
    return python


def environment(engine: Engine, image: str, versions: Sequence[str]) -> dict[str, str]:
    """Return cibuildwheel's environment: which wheels, in what; all else is pyproject.toml's."""
    pip = pip_environment()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **own,
        **engine.environment,
        **pip,
        "CIBW_BUILD": " ".join(map(identifier, versions)),
        "CIBW_CONTAINER_ENGINE": engine.name,
        "CIBW_MANYLINUX_X86_64_IMAGE": image,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join([*pip, "WHEELKIT_IMAGE"]),
        # write_sbom.py, in the container, cannot know it otherwise.
        "WHEELKIT_IMAGE": engine.reference(image),
        "SOURCE_DATE_EPOCH": source_date(),
    }


def pinned_image(version: str) -> str:
    """Return the image that pyproject.toml pins for a CPython."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    table = tomli.loads(text)["tool"]["cibuildwheel"]
    for override in table["overrides"]:
        if fnmatchcase(identifier(version), override["select"]) and IMAGE_KEY in override:
            return str(override[IMAGE_KEY])
    return str(table[IMAGE_KEY])


def run_logged(command: Sequence[str | Path], log: Path, **options: Any) -> Iterator[str]:
    """Run a command; show, log and yield each line that it says."""
    with (
        log.open("w", buffering=1, encoding="utf-8") as copy,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **options,
        ) as process,
    ):
        for line in process.stdout or ():
            sys.stderr.write(line)
            copy.write(line)
            yield line
    if process.returncode:
        raise BuildError(f"cibuildwheel ended with status {process.returncode}; its log is {log}")


def read_times(lines: Iterable[str]) -> dict[str, list[float]]:
    """Return, by Python tag, the seconds of the steps: building, repairing, testing."""
    times: dict[str, list[float]] = {}
    tag, step = "", False
    for line in lines:
        if match := BEGUN.match(line):
            tag = match[1]
            times[tag] = []
        elif STEP.match(line):
            step = True
        elif step and tag and (match := ENDED.search(line.rstrip())):
            times[tag].append(float(match[1]))
            step = False
    return times


def build_wheels(builder: Builder, settings: dict[str, str], out: Path) -> dict[str, list[float]]:
    """Run cibuildwheel; return the seconds that each wheel's steps took, by its Python tag."""
    python = install_builder(builder)
    log = WORK / f"{Path(builder.pins).stem}.log"
    with tempfile.TemporaryDirectory(prefix="sources-", dir=WORK) as sources:
        # cibuildwheel copies all that it finds in a folder.
        source_files.export(PROJECT, Path(sources))
        command = [
            str(python),
            "-m",
            "cibuildwheel",
            "--platform",
            "linux",
            "--output-dir",
            str(out),
        ]
        return read_times(run_logged(command, log, cwd=sources, env=settings))
