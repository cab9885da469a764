"""Prepare a manylinux container for building this project: cibuildwheel's before-all.

It installs what no manylinux image has: the pinned CUDA toolkit, an environment with the tools that
repair wheels, and libcufes, which is compiled once for all interpreters of the container.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

# Imported before the project's other modules, because it puts the checkout's wheelkit on sys.path;
# wheelkit is not installed yet.
from kernels import install_cuda
from shared import install_wheelkit
from shared.ledger import PROJECT
from shared.steps import say
from wheelkit.install.pythons import make_venv
from wheelkit.target.report import Status
from wheels.build_wheels import CMAKE_DEFINE

# The folder that pyproject.toml names to cibuildwheel.
ROOT = Path("/opt/cyfes")
# What wheelkit needs, and the CMake and Ninja that the wheels are built with.
PINNED = (install_wheelkit.REQUIREMENTS, PROJECT / "requirements" / "build.txt")

Command = list[str | Path]


class LibraryBuildError(Exception):
    """The sources of libcufes do not build."""


def install_tools(folder: Path) -> Path:
    """Make the environment with the tools of repair and build; return its bin folder."""
    python = make_venv(Path(sys.executable), folder)
    install_wheelkit.install(python, *PINNED)
    return python.parent


def build_libcufes(tools: Path, toolkit: Path, folder: Path) -> Path:
    """Compile libcufes and install it below `folder`, for which CUFES_PREBUILT stands later."""
    build = folder / "build"
    cmake = tools / "cmake"
    configure: Command = [cmake, "-S", PROJECT, "-B", build, "-G", "Ninja", f"-D{CMAKE_DEFINE}"]
    configure += [f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}", f"-DCUDA_HOME={toolkit}"]
    configure += [f"-DPython_EXECUTABLE={sys.executable}"]
    commands: list[Command] = [
        configure,
        [cmake, "--build", build, "--verbose"],
        # scikit-build-core strips the libraries that it builds; this one is stripped likewise.
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
    """Install the toolkit, the tools and libcufes below `root`."""
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
        help="the folder for the toolkit, the tools and libcufes (default: %(default)s)",
    )
    root = parser.parse_args().directory.resolve()
    try:
        prepare(root)
    except LibraryBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.FAULTY
    return Status.DONE
