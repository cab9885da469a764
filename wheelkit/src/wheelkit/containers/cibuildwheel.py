"""The two cibuildwheels that build release wheels: one for old CPythons, one for the rest.

Both take the configuration from the pyproject.toml of the project; only what is chosen on a command
line, and where this machine's pip has packages from, is handed to them in environment variables.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelkit.base import source_files
from wheelkit.base.cpythons import between, python_tag
from wheelkit.containers.engines import Engine, pip_environment
from wheelkit.install.pythons import make_venv
from wheelkit.target.report import LackingError, MisusedError

# The oldest on which cibuildwheel 4.3 runs.
OLDEST = (3, 11)
# What cibuildwheel says of its steps.
BEGUN = re.compile(r"^Building (cp\d+)-manylinux_x86_64 wheel")
STEP = re.compile(r"^(?:\x1b\[\d+m)*(Building|Repairing|Testing) wheel\.\.\.")
ENDED = re.compile(r" ([\d.]+)s$")


class WheelBuildError(Exception):
    """The wheels do not come about, or are not what they should be."""


@dataclass(frozen=True)
class Builder:
    """A cibuildwheel: its name, the file that pins it by hash, and the CPythons that it is for."""

    name: str
    pins: str
    versions: tuple[str, ...]

    def selected(self, versions: Sequence[str]) -> list[str]:
        """Return those of the versions that it builds."""
        return [version for version in versions if version in self.versions]


# 2.23 is the last series that builds CPython 3.7; 4.3 builds none older than 3.9, and no
# free-threaded one older than 3.14.
BUILDERS = (
    Builder("cibuildwheel-2", "cibuildwheel-2.txt", between("3.7", "3.8")),
    Builder("cibuildwheel-4", "cibuildwheel.txt", (*between("3.9"), "3.14t", "3.15t")),
)


def builder_for(version: str) -> Builder:
    """Return the pinned cibuildwheel that builds for a CPython.

    Raises
    ------
    MisusedError
        None does.
    """
    for builder in BUILDERS:
        if builder.selected([version]):
            return builder
    raise MisusedError(f"--python {version}: no pinned cibuildwheel builds for it")


def identifier(version: str) -> str:
    """Return cibuildwheel's name for the wheel of a CPython."""
    threaded = "t" if version.endswith("t") else ""
    return f"{python_tag(version)}{threaded}-manylinux_x86_64"


def selection(versions: Sequence[str]) -> str:
    """Return the CIBW_BUILD that selects the wheels of these CPythons and no others."""
    return " ".join(map(identifier, versions))


def check_python() -> None:
    """Refuse to begin with a Python on which no cibuildwheel runs."""
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise LackingError(
            f"cibuildwheel needs Python {wanted} or newer and {sys.executable} is older; run this "
            "with a newer one"
        )


def install_builder(builder: Builder, work: Path) -> Path:
    """Install the pinned cibuildwheel in an environment below `work`; return its Python."""
    python = make_venv(Path(sys.executable), work / Path(builder.pins).stem)
    pins = Path(__file__).with_name(builder.pins)
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    command += ["--only-binary=:all:", "--requirement", pins]
    if subprocess.run(command, check=False).returncode:
        raise LackingError(f"pip could not install {builder.pins}; its messages are above")
    return python


def environment(
    engine: Engine, image: str, versions: Sequence[str], project: Path
) -> dict[str, str]:
    """Return cibuildwheel's environment: which wheels, in what; all else is pyproject.toml's."""
    pip = pip_environment()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {
        **own,
        **engine.environment,
        **pip,
        "CIBW_BUILD": selection(versions),
        "CIBW_CONTAINER_ENGINE": engine.name,
        "CIBW_MANYLINUX_X86_64_IMAGE": image,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join([*pip, "WHEELKIT_IMAGE"]),
        # `wheelkit sbom`, in the container, cannot know it otherwise.
        "WHEELKIT_IMAGE": engine.reference(image),
        "SOURCE_DATE_EPOCH": source_files.date(project),
    }


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
        raise WheelBuildError(
            f"cibuildwheel ended with status {process.returncode}; its log is {log}"
        )


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


def build_wheels(
    builder: Builder, settings: dict[str, str], project: Path, out: Path, work: Path
) -> dict[str, list[float]]:
    """Run cibuildwheel; return the seconds that each wheel's steps took, by its Python tag.

    Parameters
    ----------
    builder, settings
        The cibuildwheel, and its environment.
    project
        The folder of the project, in a git repository.
    out
        Where the wheels go.
    work
        A folder for the environment of cibuildwheel, its log, and a copy of the sources.
    """
    python = install_builder(builder, work)
    log = work / f"{Path(builder.pins).stem}.log"
    with tempfile.TemporaryDirectory(prefix="sources-", dir=work) as sources:
        # cibuildwheel copies all that it finds in a folder.
        source_files.export(project, Path(sources))
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
