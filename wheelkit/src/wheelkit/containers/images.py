"""The images of the clean containers in which finished wheels are tried, and how one is run.

They are those of the project's pyproject.toml: the images in which cibuildwheel builds, and the
further ones of [tool.wheelkit] test-images. None may have a CUDA toolkit, which would hide that a
wheel needs one.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelkit.base.cpythons import tag_of
from wheelkit.containers import configuration, engines
from wheelkit.target.report import MisusedError, Status
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import ARCHITECTURES, X86_64
from wheelkit.wheel.settings import MANYLINUX_PYTHON, TABLE, TEST_IMAGES, DeclaredImage, of_folder

# Whether finished wheels are tried in containers, or by this machine's own interpreters.
ENGINES = ("any", "none")
# Where a container has the project, the current folder, and a copy of wheelkit.
PROJECT = "/project"
WHEELKIT = "/wheelkit"
# What runs under an interpreter of a container.
PROGRAMS = f"{WHEELKIT}/wheelkit/target"
# The interpreter of the tools; those of the wheels are found by `wheelkit verify`.
TOOLS_PYTHON = "3.12"
# Names one image that stands for all, where those of the project cannot be pulled.
IMAGE_VARIABLE = "WHEELKIT_TEST_IMAGE"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of each verb that tries sealed distributions."""
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="the folder of the sealed distributions")
    add("--seal", required=True, metavar="SHA256", help="the seal that `wheelkit seal` printed")
    add(
        "--engine",
        choices=ENGINES,
        required=True,
        help="any: in containers of docker or podman; none: with this machine's interpreters",
    )
    add(
        "--architecture",
        choices=ARCHITECTURES,
        help="try only the wheels for this architecture, which must be that of this machine "
        "(default: all)",
    )
    add(
        "--image",
        default=os.environ.get(IMAGE_VARIABLE),
        help="one image with the folders of manylinux, in place of those of pyproject.toml "
        f"(default: ${IMAGE_VARIABLE})",
    )


def wheels_of(files: Iterable[str], architecture: str | None) -> list[str]:
    """Return the wheels among files that are for an architecture, or for any if it is None."""
    wheels = [file for file in files if file.endswith(".whl")]
    if architecture is None:
        return wheels
    return [wheel for wheel in wheels if identify(wheel).architecture in (architecture, None)]


@dataclass(frozen=True)
class Reference:
    """The name of an image in a registry, its tag, and the digest of what the tag has had once.

    An engine that is given both takes the digest; the tag says where newer ones come from.
    """

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``registry:port/name:tag@sha256:…``, of which all but a name may be missing."""
        tagged, _, digest = text.partition("@")
        folder, slash, last = tagged.rpartition("/")
        name, _, tag = last.partition(":")
        return cls(f"{folder}{slash}{name}", tag, digest)

    def __str__(self) -> str:
        """Return what an engine takes."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def title(self) -> str:
        """A short name for tables and file names."""
        name = self.repository.rpartition("/")[2]
        pin = self.tag or self.digest.rpartition(":")[2][:12]
        return f"{name}-{pin}" if pin else name


@dataclass(frozen=True)
class TestImage:
    """An image, and how an interpreter is called there.

    `reference` is what an engine pulls. `python` is a template of the interpreter's path:
    ``{tag}`` is ``cp37-cp37m``. `prepare` is a shell command that runs first.
    """

    reference: str
    python: str = MANYLINUX_PYTHON
    prepare: str = "true"

    @property
    def name(self) -> str:
        """What tables and reports call it."""
        return Reference.parse(self.reference).title


def built_in(version: str, project: Path, architecture: str = X86_64) -> TestImage | None:
    """Return the image in which the project's pyproject.toml has a wheel built, if it says one."""
    reference = configuration.read(project).image(version, architecture)
    return TestImage(reference) if reference else None


def verifying(version: str, project: Path, architecture: str = X86_64) -> TestImage:
    """Return the image in which the wheel for a CPython is verified: that of the oldest system.

    Raises
    ------
    MisusedError
        The project's pyproject.toml names none.
    """
    # wheelkit itself must run there as well.
    others = _declared(project, architecture, {version, TOOLS_PYTHON})
    own = built_in(version, project, architecture)
    found = [*([own] if own else []), *map(_test_image, others)]
    return _some(version, project, architecture, found)[0]


def smoking(version: str, project: Path, architecture: str = X86_64) -> list[TestImage]:
    """Return the images where wheels for a CPython compute, that of the oldest system first.

    The wheel computes where it was built if cibuildwheel tests it there.

    Raises
    ------
    MisusedError
        The project's pyproject.toml names none.
    """
    others = _declared(project, architecture, {version})
    own = built_in(version, project, architecture)
    tested = not configuration.read(project).skips_tests(version, architecture)
    found = [*([own] if own and tested else []), *map(_test_image, others)]
    return _some(version, project, architecture, found)


def of_image(image: str) -> TestImage:
    """Return another image whose folders are those of the manylinux images."""
    return TestImage(image)


def _declared(project: Path, architecture: str, versions: set[str]) -> list[DeclaredImage]:
    """Return the images of [tool.wheelkit] for an architecture that have all these CPythons."""
    return [
        image
        for image in of_folder(project).test_images
        if architecture in image.architectures and versions <= {*image.pythons}
    ]


def _test_image(declared: DeclaredImage) -> TestImage:
    return TestImage(declared.image, declared.python, declared.prepare or "true")


def _some(
    version: str, project: Path, architecture: str, found: list[TestImage]
) -> list[TestImage]:
    if not found:
        raise MisusedError(
            f"{project / 'pyproject.toml'} names no image in which the wheel for CPython {version} "
            f"on {architecture} can be tried; write {configuration.image_key(architecture)} in "
            f"{configuration.TABLE}, or an entry "
            f"of {TEST_IMAGES} in {TABLE}, as in "
            f'{{ image = "docker.io/library/python:{version}", pythons = ["{version}"], python = '
            '"python" }}'
        )
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
    reference = image.reference
    engine = _engine(reference)
    settings = engines.pip_settings()
    # pip's settings may name files of this machine, which the container then sees.
    mounts = [*mounts, *(Mount(path, at) for path, at in settings.mounts.items())]
    # In the project `wheelkit verify` finds what is declared of its wheels.
    options = [f"--workdir={PROJECT}", *(f"--volume={mount.option()}" for mount in mounts)]
    options += [f"--env={name}={value}" for name, value in settings.variables.items()]
    if gpu:
        options += ["--gpus=all"] if engine.name == "docker" else ["--device=nvidia.com/gpu=all"]
    python = image.python.format(tag=tag_of(version))
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
