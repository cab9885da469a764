"""Build the repaired wheel of the project in the current folder with cibuildwheel.

The configuration is the project's own [tool.cibuildwheel], but for the repair: `wheelkit repair`
runs in the container, with its pinned tools, and finds there what the project's before-all has
installed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from wheelkit.base.cpythons import parse_version
from wheelkit.target.report import MisusedError, Status

# Every image of manylinux has this CPython.
TOOLS_PYTHON = "/opt/python/cp312-cp312/bin/python"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit build", description=__doc__)
    add = parser.add_argument
    add("--python", required=True, metavar="X.Y", type=parse_version, help="the CPython")
    add("--out", metavar="DIR", type=Path, default=Path("dist"), help="where the wheel goes")
    return parser.parse_args(arguments)


def environment(version: str, wheelkit: Path) -> dict[str, str]:
    """Return the environment in which cibuildwheel builds for one interpreter.

    `wheelkit` is the folder of this machine with a copy of wheelkit, which the container sees.
    """
    from wheelkit.containers.cibuildwheel import identifier
    from wheelkit.containers.engines import HOST

    # A shell reads the command, and the path may have a space.
    program = shlex.quote(f"{HOST}{wheelkit.resolve()}/wheelkit/target")
    return {
        **os.environ,
        "CIBW_BUILD": identifier(version),
        "CIBW_REPAIR_WHEEL_COMMAND_LINUX": (
            f"{TOOLS_PYTHON} {program} bootstrap repair {{wheel}} {{dest_dir}}"
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    """Build one wheel; its path is the last line."""
    asked = parse(arguments)
    if not Path("pyproject.toml").is_file():
        raise MisusedError(f"{Path.cwd()} has no pyproject.toml; run this in a project")
    from wheelkit.containers import cibuildwheel, copy_of_wheelkit

    builder = cibuildwheel.builder_for(asked.python)
    asked.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".build-", dir=asked.out) as scratch,
        tempfile.TemporaryDirectory(prefix="wheelkit-") as work,
    ):
        python = cibuildwheel.install_builder(builder, Path(work))
        tools = copy_of_wheelkit.write(Path(work) / "copy")
        command: list[str | Path] = [python, "-m", "cibuildwheel", "--platform", "linux"]
        command += ["--output-dir", scratch, "."]
        done = subprocess.run(command, check=False, env=environment(asked.python, tools))
        made = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(made) != 1:
            found = f"status {done.returncode} and {len(made)} wheels"
            print(f"error: cibuildwheel ended with {found}; expected one wheel", file=sys.stderr)
            return Status.FAULTY
        print(made[0].replace(asked.out / made[0].name))
    return Status.DONE
