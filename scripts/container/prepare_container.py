"""Make a manylinux container fit to build this project: cibuildwheel's before-all.

It brings what no manylinux image has: the pinned CUDA toolkit, an environment with the tools of
the repair, and libcufes, compiled once for all interpreters of the container.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

# The first of ours: it offers the wheelkit of the checkout, because none is installed yet.
from kernels import install_cuda
from shared import install_wheelkit
from shared.ledger import PROJECT
from shared.steps import say
from wheelkit.install.pythons import make_venv
from wheelkit.target.report import Status
from wheels.build_wheels import CMAKE_DEFINE

# Where pyproject.toml looks for all this.
ROOT = Path("/opt/cyfes")
# What wheelkit needs, and the CMake and Ninja that the wheels are built with.
PINNED = (install_wheelkit.REQUIREMENTS, PROJECT / "requirements" / "build.txt")

Command = list[str | Path]


class LibraryBuildError(Exception):
    """The sources of libcufes do not build."""


def install_tools(folder: Path) -> Path:
    """Make the environment of the repair and the build; return its bin folder."""
    python = make_venv(Path(sys.executable), folder)
    install_wheelkit.install(python, *PINNED)
    return python.parent


def build_libcufes(tools: Path, toolkit: Path, folder: Path) -> Path:
    """Compile libcufes and install it below `folder`, which CUFES_PREBUILT then names."""
    build = folder / "build"
    cmake = tools / "cmake"
    configure: Command = [cmake, "-S", PROJECT, "-B", build, "-G", "Ninja", f"-D{CMAKE_DEFINE}"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}", f"-DCUDA_HOME={toolkit}"]
    configure += [f"-DPython_EXECUTABLE={sys.executable}"]
    commands: list[Command] = [
        configure,
        [cmake, "--build", build, "--verbose"],
        # Stripped, as scikit-build-core does it for what it has built itself.
        [cmake, "--install", build, "--strip", "--prefix", folder],
    ]
    for command in commands:
        status = subprocess.run(command, check=False).returncode
        if status:
            raise LibraryBuildError(
                f"{' '.join(map(str, command[:3]))} … ended with status {status}"
            )
    return folder / "cufes" / "libcufes.so"


def prepare(root: Path) -> None:
    """Bring toolkit, tools and libcufes."""
    toolkit = root / "cuda"
    say(f"CUDA toolkit {install_cuda.install(toolkit)}: {toolkit}")
    tools = install_tools(root / "tools")
    say(f"tools installed: {tools}")
    library = build_libcufes(tools, toolkit, root / "libcufes")
    say(f"libcufes compiled: {library}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory",
        metavar="DIR",
        type=Path,
        nargs="?",
        default=ROOT,
        help="where all this goes (default: %(default)s)",
    )
    root = parser.parse_args().directory.resolve()
    try:
        prepare(root)
    except LibraryBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    return Status.DONE
