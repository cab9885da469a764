"""Run the kernels of a project from every file of a sealed folder.

Each wheel is installed in a new container of every image that has its interpreter. With --engine
none, it is installed in a new environment of an interpreter of this machine instead. It is an error
if a distribution can be run nowhere.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelkit.base import github
from wheelkit.containers import copy_of_wheelkit, engines, images
from wheelkit.containers.images import TestImage
from wheelkit.install.pythons import find_python, version_of
from wheelkit.release import seal
from wheelkit.target.report import MisusedError, say
from wheelkit.target.trial import PROGRAMS
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import X86_64


@dataclass(frozen=True)
class Trial:
    """One distribution in a container of one image; `image` is None for this machine itself."""

    file: str
    version: str
    image: TestImage | None

    def title(self, name: str) -> str:
        """Return the trial in words."""
        return f"{self.file} on CPython {self.version}, {name}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit smoke-release", description=__doc__)
    images.add_options(parser)
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), required=True, help="where the kernels must run")
    add("--place", metavar="NAME", default="", help="the name of this GPU runner, for the report")
    add(
        "--kernels",
        type=Path,
        metavar="FILE",
        required=True,
        help="the Python file that runs the kernels",
    )
    add("--requirements", type=Path, metavar="FILE", help="the pinned requirements of the wheels")
    add("--reports", type=Path, metavar="DIR", required=True, help="the folder for the reports")
    asked = parser.parse_args(arguments)
    if asked.place and not seal.NAME.fullmatch(asked.place):
        # It becomes a part of the names of reports.
        raise MisusedError(
            f"--place {asked.place!r}: give the runner a label of letters, digits and . _ -"
        )
    for path in filter(None, (asked.kernels, asked.requirements)):
        # The containers see this folder, and no other of the project's.
        if not path.resolve().is_relative_to(Path.cwd()) or not path.is_file():
            raise MisusedError(f"{path} is no file below {Path.cwd()}; run this in the project")
    return asked


def trials(files: list[str], asked: argparse.Namespace) -> Iterator[Trial]:
    """Yield what must be tried; on a GPU runner each wheel once, for its driver is the host's."""
    wheels = images.wheels_of(files, asked.architecture)
    for file in files:
        if file in wheels:
            identity = identify(file)
            for version in identity.pythons:
                found = images_for(version, identity.architecture or X86_64, asked)
                yield from (Trial(file, version, image) for image in found)
        elif file.endswith(".whl"):
            continue
        elif not asked.place:
            # The compiler and headers that it needs are this machine's; no container has them. A
            # runner that has a name is there for its GPU, and the sources were tried before.
            yield Trial(file, str(version_of(Path(sys.executable))), None)


def images_for(
    version: str, architecture: str, asked: argparse.Namespace
) -> Sequence[TestImage | None]:
    """Return where the wheel for an interpreter is tried."""
    if asked.engine == "none":
        return [None]
    if asked.image:
        return [images.of_image(asked.image)]
    return images.smoking(version, Path.cwd(), architecture)[
        : 1 if asked.device == "cuda" else None
    ]


def perform(trial: Trial, asked: argparse.Namespace) -> int:
    """Run a trial; return its exit status."""
    name = asked.place or (trial.image.name if trial.image else "here")
    report = f"smoke.{asked.device}.{name}.{trial.version}.{trial.file}.json"
    options = ["--device", asked.device, "--place", name]
    if trial.image is None:
        files = {"kernels": str(asked.kernels), "requirements": str(asked.requirements or "")}
        words = [str(PROGRAMS), "trial", str(asked.folder / trial.file), *options]
        words += [*as_options(files), "--report", str(asked.reports / report)]
        return subprocess.run([find_python(trial.version), *words], check=False).returncode
    files = {"kernels": within(asked.kernels), "requirements": within(asked.requirements)}
    words = [images.PROGRAMS, "trial", f"/dist/{trial.file}", *options]
    words += [*as_options(files), "--report", f"/reports/{report}"]
    with tempfile.TemporaryDirectory(prefix="wheelkit-") as folder:
        mounts = images.mounts(copy_of_wheelkit.write(Path(folder)), asked.folder, asked.reports)
        return images.run(trial.image, trial.version, mounts, words, gpu=asked.device == "cuda")


def within(path: Path | None) -> str:
    """Return where a container has a file of the project; nothing for no file."""
    return f"{images.PROJECT}/{path.resolve().relative_to(Path.cwd())}" if path else ""


def as_options(files: dict[str, str]) -> Iterator[str]:
    """Yield the options of the files that there are."""
    for name, path in files.items():
        if path:
            yield from (f"--{name}", path)


def run_all(todo: list[Trial], asked: argparse.Namespace) -> list[tuple[str, int]]:
    """Run every trial, also after one has failed; return the title and status of each."""
    results = []
    for trial in todo:
        title = trial.title(trial.image.name if trial.image else "this machine")
        say(f"wheelkit smoke-release: {title}", error=True)
        results.append((title, perform(trial, asked)))
    return results


def main(arguments: list[str] | None = None) -> int:
    """Try everything; the table comes last."""
    asked = parse(arguments)
    hashes = seal.opened(asked.folder, asked.seal)
    if asked.engine != "none":
        # Before anything is tried: without an engine, nothing can be.
        engines.find_engine()
    todo = list(trials(list(hashes), asked))
    if not todo:
        raise MisusedError(f"{asked.folder} holds nothing to try on {asked.architecture}")
    asked.reports.mkdir(parents=True, exist_ok=True)
    with github.commands_stopped():
        results = run_all(todo, asked)
    for title, status in results:
        say(f"{'ok' if status == 0 else f'FAILED (status {status})'}: {title}")
    return images.verdict(status for _, status in results)
