"""Build unrepaired wheels of this project, one for each interpreter that the command line names.

``pip wheel`` builds each wheel in a separate virtual environment. The wheel does not contain the
CUDA runtime, because auditwheel grafts it later.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from kernels import install_cuda
from shared import steps
from shared.ledger import PROJECT
from shared.steps import say
from wheelkit.base.cpythons import parse_version
from wheelkit.install.pythons import find_python, make_venv, version_of
from wheelkit.target.report import LackingError, MisusedError, Status

# The repair grafts libcudart into the wheel; the build must not copy it in as well.
CMAKE_DEFINE = "CUFES_BUNDLE_RUNTIME=OFF"
# The earliest time that a zip archive can hold: 1980-01-01.
ZIP_EPOCH = "315532800"


class BuildError(Exception):
    """The sources do not build."""


def cuda_home() -> Path:
    """Return the toolkit's folder: CUDA_HOME if set, else build/cuda with the pinned toolkit."""
    if os.environ.get("CUDA_HOME"):
        home = Path(os.environ["CUDA_HOME"]).resolve()
        if not home.is_dir():
            raise MisusedError(f"CUDA_HOME={home} is not a directory; correct it or unset it")
        return home
    home = PROJECT / "build" / "cuda"
    if not install_cuda.is_complete(home, install_cuda.read_pins(install_cuda.PINS)):
        say(f"downloading the CUDA toolkit to {home}")
    say(f"CUDA toolkit {install_cuda.install(home)}: {home}")
    return home


def check_compiler() -> None:
    """Raise an error if there is no C++ compiler: CMake would report it late and at length."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    if not any(shutil.which(name.split()[0]) for name in names):
        raise LackingError(
            f"no C++ compiler found ({', '.join(names)}); install one (g++) or set CXX"
        )


def check_headers(python: Path) -> None:
    """Raise an error if an interpreter lacks its C headers, which are a separate Debian package."""
    probe = "import sysconfig; print(sysconfig.get_path('include'))"
    done = subprocess.run([python, "-I", "-c", probe], check=True, capture_output=True, text=True)
    header = Path(done.stdout.strip()) / "Python.h"
    if not header.is_file():
        raise LackingError(
            f"{python} has no {header}; install its headers (Debian and Ubuntu: apt install "
            "python3-dev; Fedora: dnf install python3-devel)"
        )


def source_date() -> str:
    """Return the time for the members of the wheel, so that a second build gives the same bytes."""
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return os.environ["SOURCE_DATE_EPOCH"]
    if shutil.which("git"):
        command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    say(f"no git history here, so SOURCE_DATE_EPOCH={ZIP_EPOCH} (1980-01-01) is used")
    return ZIP_EPOCH


def build_environment(home: Path) -> dict[str, str]:
    """Return the variables for ``pip wheel``: the user's, PIP_* included, and the project's."""
    images = f"CUFES_IMAGE_CACHE={PROJECT / 'build' / 'images'}"
    defines = filter(None, [images, os.environ.get("SKBUILD_CMAKE_DEFINE"), CMAKE_DEFINE])
    return {
        **os.environ,
        "CUDA_HOME": str(home),
        "SKBUILD_CMAKE_DEFINE": ";".join(defines),
        "SOURCE_DATE_EPOCH": source_date(),
    }


def build_wheel(python: Path, environment: dict[str, str], work: Path) -> Path:
    """Build the wheel for one interpreter below `work`; return its path."""
    venv_python = make_venv(python, work / "venv")
    command: list[str | Path] = [venv_python, "-m", "pip", "wheel", "--no-deps"]
    command += ["--wheel-dir", work / "out", PROJECT]
    # --verbose: pip prints the name of each file that is compiled.
    title = f"pip wheel for CPython {version_of(python)}"
    done = steps.run(title, [*command, "--verbose"], environment=environment, shown=False)
    wheels = list((work / "out").glob("*.whl"))
    if done.status or len(wheels) != 1:
        raise BuildError(
            f"pip wheel with {python} ended with status {done.status} and {len(wheels)} "
            "wheels instead of one; its messages are above"
        )
    return wheels[0]


def build_into(out: Path, python: Path, environment: dict[str, str]) -> Path:
    """Build the wheel for one interpreter and, when it is complete, move it to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out) as scratch:
        wheel = build_wheel(python, environment, Path(scratch))
        return wheel.replace(out / wheel.name)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python",
        metavar="X.Y",
        action="append",
        help="build for this CPython (may be repeated; default: the one that runs this)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=PROJECT / "build" / "wheels",
        help="the folder for the wheels (default: %(default)s)",
    )
    return parser.parse_args()


def chosen_pythons(versions: list[str] | None) -> list[Path]:
    """Return an interpreter for each version; a missing one is an error before any build."""
    if not versions:
        return [Path(sys.executable)]
    return [find_python(parse_version(version)) for version in dict.fromkeys(versions)]


def main() -> int:
    """Run the command; print the path of each wheel on a line."""
    arguments = parse_arguments()
    pythons = chosen_pythons(arguments.python)
    check_compiler()
    for python in pythons:
        check_headers(python)
    environment = build_environment(cuda_home())
    try:
        for python in pythons:
            say(f"building with {python}")
            print(build_into(arguments.out.resolve(), python, environment), flush=True)
    except BuildError as error:
        say(f"error: {error}")
        return Status.FAULTY
    return Status.DONE
