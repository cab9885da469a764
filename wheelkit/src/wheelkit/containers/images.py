"""The images of the clean containers in which finished wheels are tried, and how one is run.

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

from wheelkit.base.cpythons import CPYTHONS, between, tag_of
from wheelkit.containers import engines
from wheelkit.target.report import LackingError, Status

# Whether finished wheels are tried in containers, or by this machine's own interpreters.
ENGINES = ("any", "none")
# Where a container has the project, the current folder, and a copy of wheelkit.
PROJECT = "/project"
WHEELKIT = "/wheelkit"
# What runs under an interpreter of a container.
PROGRAMS = f"{WHEELKIT}/wheelkit/target"
# Names one image that stands for all, where those below cannot be pulled.
IMAGE_VARIABLE = "WHEELKIT_TEST_IMAGE"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of each verb that tries sealed distributions."""
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="what `wheelkit seal` printed")
    add(
        "--engine",
        choices=ENGINES,
        required=True,
        help="any: in containers of docker or podman; none: with this machine's interpreters",
    )
    add(
        "--image",
        default=os.environ.get(IMAGE_VARIABLE),
        help="one image laid out as manylinux's are, for those of images.py (default: "
        f"${IMAGE_VARIABLE})",
    )


@dataclass(frozen=True)
class TestImage:
    """An image, which interpreters it has, and what must be done in it first.

    `reference` is what an engine pulls. `python` is a template of the interpreter's path:
    ``{tag}`` is ``cp37-cp37m`` and ``{version}`` is ``3.7``. `prepare` is a shell command.
    `smokes` are the versions for which what the wheel needs at run time is to be had; all if None.
    """

    name: str
    reference: str
    python: str
    versions: tuple[str, ...]
    prepare: str = "true"
    smokes: tuple[str, ...] | None = None

    def smoke_tests(self, version: str) -> bool:
        """Tell whether wheels for this CPython can compute there."""
        return version in (self.versions if self.smokes is None else self.smokes)


# The oldest system first.
IMAGES = (
    # The oldest glibc of the tag, 2.17; the last such image that has CPython 3.7 and 3.8.
    TestImage(
        "manylinux2014-2025",
        "quay.io/pypa/manylinux2014_x86_64:2025.05.03-1",
        "/opt/python/{tag}/bin/python",
        between("3.7", "3.8"),
    ),
    # NumPy itself needs glibc 2.28 from CPython 3.14 on.
    TestImage(
        "manylinux2014",
        "quay.io/pypa/manylinux2014_x86_64"
        "@sha256:55df5597db86b0a03d5f21a03b060271efffc78ef97123c60ee9c7ce0f10ec31",
        "/opt/python/{tag}/bin/python",
        between("3.9"),
        smokes=between("3.9", "3.13"),
    ),
    TestImage(
        "manylinux_2_28",
        "quay.io/pypa/manylinux_2_28_x86_64"
        "@sha256:b74a5b6f1705ecff17be8bd792589bef9b3b039766d12205720ecd2a9e919192",
        "/opt/python/{tag}/bin/python",
        between("3.14"),
    ),
    TestImage("debian", "python:{version}-slim-bookworm", "python", between("3.7", "3.14")),
    # Its own Python, in its own layout of the file system (lib64).
    TestImage(
        "fedora", "fedora:42", "python3", ("3.13",), "dnf install --quiet --assumeyes python3"
    ),
)


def verifying(version: str) -> TestImage:
    """Return the image of the oldest system that has this CPython."""
    return _some(version, [image for image in IMAGES if version in image.versions])[0]


def smoking(version: str) -> list[TestImage]:
    """Return the images where wheels for this CPython can compute, the oldest system first."""
    return _some(version, [image for image in IMAGES if image.smoke_tests(version)])


def of_image(image: str) -> TestImage:
    """Return another image that is laid out like those of manylinux."""
    name = image.rpartition("/")[2].partition(":")[0]
    return TestImage(name, image, "/opt/python/{tag}/bin/python", CPYTHONS)


def _some(version: str, found: list[TestImage]) -> list[TestImage]:
    if not found:
        raise LackingError(f"no image of images.py has CPython {version}; add one there")
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


def mounts(wheelkit: Path, distributions: Path, reports: Path) -> list[Mount]:
    """Return what a container sees: the current folder, a copy of wheelkit, and two folders."""
    return [
        Mount(Path.cwd(), PROJECT),
        Mount(wheelkit, WHEELKIT),
        Mount(distributions, "/dist"),
        Mount(reports, "/reports", writable=True),
    ]


def run(
    image: TestImage, version: str, mounts: Sequence[Mount], words: Sequence[str], gpu: bool
) -> int:
    """Run ``PYTHON words…`` in a new container of an image; return its exit status.

    Parameters
    ----------
    words
        The arguments of the interpreter, with paths as in the container.
    gpu
        Whether the container sees the GPUs.
    """
    reference = image.reference.format(version=version)
    engine = _engine(reference)
    settings = engines.pip_settings()
    # pip's settings may name files of this machine, which the container then sees.
    mounts = [*mounts, *(Mount(path, at) for path, at in settings.mounts.items())]
    # In the project `wheelkit verify` finds what is declared of its wheels.
    options = [f"--workdir={PROJECT}", *(f"--volume={mount.option()}" for mount in mounts)]
    options += [f"--env={name}={value}" for name, value in settings.variables.items()]
    if gpu:
        options += ["--gpus=all"] if engine.name == "docker" else ["--device=nvidia.com/gpu=all"]
    python = image.python.format(tag=tag_of(version), version=version)
    # The words are arguments of the shell, so that none of them is read by it.
    script = f'{image.prepare} && exec "$0" "$@"'
    command = [engine.name, "run", "--rm", *options, reference, "sh", "-c", script, python, *words]
    environment = {**os.environ, **engine.environment}
    return subprocess.run(command, check=False, env=environment).returncode


@functools.cache
def _engine(image: str) -> engines.Engine:
    return engines.make_runnable(engines.find_engine(), image)


def verdict(statuses: Iterable[int]) -> int:
    """Return the exit status of several runs; an engine's own status is the machine's doing."""
    worst = next((status for status in statuses if status), Status.DONE)
    return worst if worst in tuple(Status) else Status.LACKING
