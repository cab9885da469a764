"""Build the repaired wheel of the project in the current folder with cibuildwheel.

The configuration is the project's own [tool.cibuildwheel], but for the repair: repair_wheel.py
runs in the container, with its pinned tools, and finds there what the project's before-all has
installed. For projects that have no script of their own; this one has build_wheelhouse.py.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from cibuildwheels import BUILDERS, Builder, identifier, install_builder
from interpreters import parse_version
from wheelkit.report import MisusedError, Status, run

SCRIPTS = Path(__file__).resolve().parent
# cibuildwheel mounts the machine's files at /host. Every image of manylinux has this CPython.
TOOLS_PYTHON = "/opt/python/cp312-cp312/bin/python"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--python", required=True, metavar="X.Y", type=parse_version, help="the CPython")
    add("--out", metavar="DIR", type=Path, default=Path("dist"), help="where the wheel goes")
    return parser.parse_args(arguments)


def builder_for(version: str) -> Builder:
    """Return the pinned cibuildwheel that builds for a CPython."""
    for builder in BUILDERS:
        if builder.selected([version.rstrip("t")]):
            return builder
    raise MisusedError(f"--python {version}: no pinned cibuildwheel builds for it")


def environment(version: str) -> dict[str, str]:
    """Return the environment in which cibuildwheel builds for one interpreter."""
    # A shell reads the command, and the path may have a space.
    script = shlex.quote(f"/host{SCRIPTS}/with_tools.py")
    repair = f"{TOOLS_PYTHON} {script} repair_wheel.py {{wheel}} {{dest_dir}}"
    return {
        **os.environ,
        "CIBW_BUILD": identifier(version),
        "CIBW_REPAIR_WHEEL_COMMAND_LINUX": repair,
    }


def main(arguments: list[str] | None = None) -> int:
    """Build one wheel; its path is the last line."""
    asked = parse(arguments)
    if not Path("pyproject.toml").is_file():
        raise MisusedError(f"{Path.cwd()} has no pyproject.toml; run this in a project")
    python = install_builder(builder_for(asked.python))
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=asked.out) as scratch:
        command: list[str | Path] = [python, "-m", "cibuildwheel", "--platform", "linux"]
        command += ["--output-dir", scratch, "."]
        done = subprocess.run(command, check=False, env=environment(asked.python))
        made = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(made) != 1:
            found = f"status {done.returncode} and {len(made)} wheels"
            print(f"error: cibuildwheel ended with {found}; expected one wheel", file=sys.stderr)
            return Status.FAULTY
        print(made[0].replace(asked.out / made[0].name))
    return Status.DONE


if __name__ == "__main__":
    sys.exit(run(main))
