"""The clean containers in which finished wheels are tried, and how one is run.

None has a CUDA toolkit. The images are named by the digest or the date of a release; they are no
part of what is published.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import containers
from wheelkit.report import LackingError, Status

# Whether finished wheels are tried in containers, or by this machine's own interpreters.
ENGINES = ("any", "none")
# Where a container has the project, the current folder.
PROJECT = "/project"
# Names one image that stands for all, where those below cannot be pulled.
IMAGE_VARIABLE = "PLACES_IMAGE"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of each stage that tries sealed distributions in places."""
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="what seal_release.py printed")
    add(
        "--engine",
        choices=ENGINES,
        required=True,
        help="any: in containers of docker or podman; none: with this machine's interpreters",
    )
    add(
        "--image",
        default=os.environ.get(IMAGE_VARIABLE),
        help="one image laid out as manylinux's are, for those of places.py (default: "
        f"${IMAGE_VARIABLE})",
    )


@dataclass(frozen=True)
class Place:
    """A container: its image, which interpreters it has, and what it lacks at first.

    `python` is a template of the interpreter's path: ``{tag}`` is ``cp37-cp37m`` and ``{version}``
    is ``3.7``. `smokes` are the versions for which what the wheel needs at run time is to be had;
    all if None.
    """

    name: str
    image: str
    python: str
    versions: tuple[str, ...]
    prepare: str = "true"
    smokes: tuple[str, ...] | None = None

    def smoke_tests(self, version: str) -> bool:
        """Whether wheels for this CPython can compute there."""
        return version in (self.versions if self.smokes is None else self.smokes)


def _cpythons(oldest: int, newest: int) -> tuple[str, ...]:
    return tuple(f"3.{minor}" for minor in range(oldest, newest + 1))


# The oldest system first.
PLACES = (
    # The oldest glibc of the tag, 2.17; the last such image that has CPython 3.7 and 3.8.
    Place(
        "manylinux2014-2025",
        "quay.io/pypa/manylinux2014_x86_64:2025.05.03-1",
        "/opt/python/{tag}/bin/python",
        _cpythons(7, 8),
    ),
    # NumPy itself needs glibc 2.28 from CPython 3.14 on.
    Place(
        "manylinux2014",
        "quay.io/pypa/manylinux2014_x86_64"
        "@sha256:55df5597db86b0a03d5f21a03b060271efffc78ef97123c60ee9c7ce0f10ec31",
        "/opt/python/{tag}/bin/python",
        _cpythons(9, 15),
        smokes=_cpythons(9, 13),
    ),
    Place(
        "manylinux_2_28",
        "quay.io/pypa/manylinux_2_28_x86_64"
        "@sha256:b74a5b6f1705ecff17be8bd792589bef9b3b039766d12205720ecd2a9e919192",
        "/opt/python/{tag}/bin/python",
        _cpythons(14, 15),
    ),
    Place("debian", "python:{version}-slim-bookworm", "python", _cpythons(7, 14)),
    # Its own Python, in its own layout of the file system (lib64).
    Place("fedora", "fedora:42", "python3", ("3.13",), "dnf install --quiet --assumeyes python3"),
)


def tag_of(version: str) -> str:
    """Return the interpreter and ABI tag of a CPython: ``cp37-cp37m``, ``cp313-cp313t``."""
    plain = "cp" + version.rstrip("t").replace(".", "")
    suffix = "m" if version == "3.7" else "t" if version.endswith("t") else ""
    return f"{plain}-{plain}{suffix}"


def verifying(version: str) -> Place:
    """Return the place with the oldest system that has this CPython."""
    return _some(version, [place for place in PLACES if version in place.versions])[0]


def smoking(version: str) -> list[Place]:
    """Return the places where wheels for this CPython can compute, the oldest system first."""
    return _some(version, [place for place in PLACES if place.smoke_tests(version)])


def of_image(image: str) -> Place:
    """Return a place for another image that is laid out like those of manylinux."""
    name = image.rpartition("/")[2].partition(":")[0]
    return Place(name, image, "/opt/python/{tag}/bin/python", _cpythons(7, 15))


def _some(version: str, found: list[Place]) -> list[Place]:
    if not found:
        raise LackingError(f"no container of places.py has CPython {version}; add one there")
    return found


@dataclass(frozen=True)
class Mount:
    """A folder of this machine and where the container has it."""

    folder: Path
    at: str
    writable: bool = False

    def option(self) -> str:
        """Return it as the engines take it."""
        return f"{self.folder.resolve()}:{self.at}:{'rw' if self.writable else 'ro'}"


def run(
    place: Place, version: str, mounts: Sequence[Mount], words: Sequence[str], gpu: bool
) -> int:
    """Run ``PYTHON words…`` in a new container of a place; return its exit status.

    Parameters
    ----------
    words
        The arguments of the place's interpreter, with paths as in the container.
    gpu
        Whether the container sees the GPUs.
    """
    image = place.image.format(version=version)
    engine = _engine(image)
    settings = containers.pip_environment()
    # pip's settings may name files of this machine, which the container then sees.
    if any(containers.HOST in value for value in settings.values()):
        mounts = [*mounts, Mount(Path("/"), containers.HOST)]
    # There verify_wheel.py finds what the project declares of its wheels.
    options = [f"--workdir={PROJECT}", *(f"--volume={mount.option()}" for mount in mounts)]
    options += [f"--env={name}={value}" for name, value in settings.items()]
    if gpu:
        options += ["--gpus=all"] if engine.name == "docker" else ["--device=nvidia.com/gpu=all"]
    python = place.python.format(tag=tag_of(version), version=version)
    # The words are arguments of the shell, so that none of them is read by it.
    script = f'{place.prepare} && exec "$0" "$@"'
    command = [engine.name, "run", "--rm", *options, image, "sh", "-c", script, python, *words]
    environment = {**os.environ, **engine.environment}
    return subprocess.run(command, check=False, env=environment).returncode


@functools.cache
def _engine(image: str) -> containers.Engine:
    return containers.make_runnable(containers.find_engine(), image)


def verdict(statuses: Iterable[int]) -> int:
    """Return the exit status of several runs; an engine's own status is the machine's doing."""
    worst = next((status for status in statuses if status), Status.DONE)
    return worst if worst in tuple(Status) else Status.LACKING
