"""Run the two pinned cibuildwheels on this machine, and read what they say.

Both take the configuration from pyproject.toml; only what is chosen on a command line, and where
this machine's pip has packages from, is handed to them in environment variables.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import children
from shared.ledger import PROJECT
from wheelkit.base import source_files
from wheelkit.containers.cibuildwheel import Builder, identifier
from wheelkit.containers.engines import Engine, pip_settings
from wheelkit.install.pythons import make_venv
from wheelkit.target.report import LackingError

# The oldest on which cibuildwheel 4.3 runs.
OLDEST = (3, 11)
# What cibuildwheel says of its steps.
BEGUN = re.compile(r"^Building (cp\d+t?-manylinux_x86_64) wheel")
STEP = re.compile(r"^(?:\x1b\[\d+m)*(Building|Repairing|Testing) wheel\.\.\.")
ENDED = re.compile(r"✓\S* ([\d.]+)s$")
# The last line of pytest, with or without --quiet, if no test failed.
TESTED = re.compile(r"^(?:=+ )?(\d+ passed(?:, \d+ (?!failed|error)\w+)*) in [\d.]+s")


class WheelBuildError(Exception):
    """The wheels do not come about, or are not what they should be."""


@dataclass
class Steps:
    """The seconds of each step for one wheel, and the last line of its tests."""

    seconds: list[float] = field(default_factory=list)
    tests: str = ""


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
    pins = PROJECT / "requirements" / builder.pins
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--require-hashes"]
    command += ["--only-binary=:all:", "--requirement", pins]
    if subprocess.run(command, check=False).returncode:
        raise LackingError(f"pip could not install {builder.pins}; its messages are above")
    return python


def environment(
    engine: Engine, image: str, versions: Sequence[str], project: Path
) -> dict[str, str]:
    """Return cibuildwheel's environment: which wheels, in what; all else is pyproject.toml's."""
    pip = pip_settings()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    words = " ".join(engine.container_options(pip.mounts, {}))
    # The variable replaces the table of pyproject.toml, which forbids the mount of / too.
    options = [engine.name, "disable_host_mount: true", *([f"create_args: {words}"] * bool(words))]
    return {
        **own,
        **engine.environment,
        **pip.variables,
        "CIBW_BUILD": " ".join(map(identifier, versions)),
        "CIBW_CONTAINER_ENGINE": "; ".join(options),
        "CIBW_MANYLINUX_X86_64_IMAGE": image,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join([*pip.variables, "WHEELKIT_IMAGE"]),
        # `wheelkit sbom`, in the container, cannot know it otherwise.
        "WHEELKIT_IMAGE": engine.reference(image),
        "SOURCE_DATE_EPOCH": source_files.date(project),
    }


def run_logged(command: children.Command, log: Path, **options: Any) -> Iterator[str]:
    """Run a command; show, log and yield each line that it says."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with (
        log.open("w", buffering=1, encoding="utf-8") as copy,
        children.started(command, **pipes, **options) as process,
    ):
        for line in process.stdout or ():
            sys.stderr.write(line)
            copy.write(line)
            yield line
    if process.returncode:
        name = Path(command[0]).name
        raise WheelBuildError(f"{name} ended with status {process.returncode}; its log is {log}")


def read_steps(lines: Iterable[str]) -> dict[str, Steps]:
    """Return, by cibuildwheel's name of each wheel, what was said of its steps.

    They are building, repairing and testing.
    """
    found: dict[str, Steps] = {}
    wheel, step = "", ""
    for line in lines:
        if match := BEGUN.match(line):
            wheel = match[1]
            found[wheel] = Steps()
        elif match := STEP.match(line):
            step = match[1]
        elif step and wheel and (match := ENDED.search(line.rstrip())):
            found[wheel].seconds.append(float(match[1]))
            step = ""
        elif step == "Testing" and wheel and (match := TESTED.match(line)):
            found[wheel].tests = match[1]
    return found


def build_wheels(
    builder: Builder, settings: dict[str, str], out: Path, work: Path, folder: Path
) -> dict[str, Steps]:
    """Run cibuildwheel; return what it said of each wheel's steps, by its name for the wheel.

    Parameters
    ----------
    builder, settings
        The cibuildwheel, and its environment.
    out
        Where the wheels go.
    work
        A folder for the environment of cibuildwheel, and its log.
    folder
        A folder for temporary files, such as a copy of the sources.
    """
    python = install_builder(builder, work)
    name = Path(builder.pins).stem
    sources = folder / f"sources-{name}"
    # cibuildwheel copies all that it finds in a folder.
    source_files.export(PROJECT, sources)
    command: children.Command = [python, "-m", "cibuildwheel", "--platform", "linux"]
    command = [*command, "--output-dir", out]
    environment = {**settings, "TMPDIR": str(folder)}
    return read_steps(run_logged(command, work / f"{name}.log", cwd=sources, env=environment))
