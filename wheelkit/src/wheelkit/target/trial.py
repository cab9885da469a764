"""Try one distribution in a clean environment of the interpreter that runs this.

It makes a virtual environment, installs the hash-pinned requirements and the distribution (a
source distribution is built first), and runs `wheelkit smoke` there with the kernels of the
project. The report gets the name of the place, and is refused if no kernel ran. It needs the
standard library only, and CPython 3.7 or newer, so that it runs in any container.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, List, Union

from wheelkit.target.report import (
    LackingError,
    MisusedError,
    Status,
    prepare_report,
    say,
    sha256,
    write_whole,
)

OLDEST = (3, 7)
# Runs the programs of this folder, under any interpreter.
PROGRAMS = Path(__file__).resolve().parent

Command = List[Union[str, Path]]
# The distribution must find its modules and libraries without these.
SEARCH_VARIABLES = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHOME"})


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit trial", description=__doc__)
    add = parser.add_argument
    add("distribution", metavar="FILE", type=Path, help="a wheel or a source distribution")
    add("--kernels", required=True, metavar="FILE", type=Path, help="what runs the kernels")
    add("--requirements", metavar="FILE", type=Path, help="what it needs at run time, by hash")
    add("--device", required=True, choices=("cpu", "cuda"), help="where the kernels must run")
    add("--place", required=True, metavar="NAME", help="what the report calls this machine")
    add("--report", required=True, metavar="FILE", type=Path, help="where the report goes")
    return parser.parse_args(arguments)


def checked(command: Command, failure: str) -> None:
    """Run a command that prepares the trial."""
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
        raise LackingError(failure)


def prepare(folder: Path, requirements: Path | None) -> Path:
    """Make the environment; return its interpreter."""
    failure = f"{sys.executable} cannot make a virtual environment (Debian: python3-venv)"
    checked([sys.executable, "-m", "venv", folder], failure)
    python = folder / "bin" / "python"
    if requirements is not None:
        command: Command = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        command += ["--require-hashes", "--requirement", requirements]
        checked(command, f"pip could not install {requirements}")
    return python


def built(python: Path, distribution: Path, folder: Path) -> Path | None:
    """Return the wheel: the distribution itself, or what is built from the sources."""
    if distribution.suffix == ".whl":
        return distribution
    command: Command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", folder, distribution], check=False, stdout=sys.stderr)
    wheels = list(folder.glob("*.whl"))
    return wheels[0] if len(wheels) == 1 else None


def smoke(python: Path, wheel: Path, asked: argparse.Namespace, report: Path) -> int:
    """Install the wheel and run the smoke test outside of the sources; return its status."""
    install: Command = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    if subprocess.run([*install, wheel], check=False, stdout=sys.stderr).returncode:
        return Status.FAULTY
    command: Command = [python, PROGRAMS, "smoke", "--kernels", asked.kernels.resolve()]
    command += ["--wheel", wheel]
    command += ["--device", asked.device, "--report", report]
    if wheel != asked.distribution.resolve():
        # Built from the sources a moment ago, and not repaired.
        command.append("--built-here")
    clean = {name: value for name, value in os.environ.items() if name not in SEARCH_VARIABLES}
    return subprocess.run(command, check=False, cwd=str(python.parent), env=clean).returncode


def content_of(report: Path) -> dict[str, Any]:
    """Return what the smoke test reports; nothing if it wrote no whole report."""
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def kernels_of(content: dict[str, Any]) -> int:
    """Count the kernels that the report lists."""
    kernels = content.get("kernels")
    return len(kernels) if isinstance(kernels, list) else 0


def hand_over(content: dict[str, Any], asked: argparse.Namespace) -> None:
    """Write the report, which is of the distribution even where a wheel was built from it."""
    file = asked.distribution
    content["wheel"] = {"name": file.name, "sha256": sha256(file)}
    content["place"] = asked.place
    write_whole(asked.report, json.dumps(content, indent=2))


def trial(asked: argparse.Namespace) -> int:
    """Try the distribution; return the exit status."""
    # By its real path: pip compares what it installs with what it was given.
    with tempfile.TemporaryDirectory(prefix="try-") as scratch:
        folder = Path(scratch).resolve()
        python = prepare(folder / "venv", asked.requirements)
        wheel = built(python, asked.distribution.resolve(), folder)
        if wheel is None:
            say(f"error: {asked.distribution.name} does not build", error=True)
            return Status.FAULTY
        status = smoke(python, wheel, asked, folder / "report.json")
        content = content_of(folder / "report.json")
    if content:
        hand_over(content, asked)
    if status == Status.DONE and not kernels_of(content):
        say(f"error: {asked.kernels} reports no kernel that ran; expected some", error=True)
        return Status.FAULTY
    return status


def main(arguments: list[str]) -> int:
    """Run the program."""
    asked = parse(arguments)
    for path in filter(None, (asked.distribution, asked.kernels, asked.requirements)):
        if not path.is_file():
            raise MisusedError(f"no such file: {path}")
    prepare_report(asked.report, asked.distribution)
    return trial(asked)
