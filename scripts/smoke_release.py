"""Run the smoke test of a project on every sealed distribution, in clean containers or here.

Each wheel is installed in every container of places.py that has its interpreter, or, with
--engine none, in an environment of this machine's interpreter. No distribution is left out: where
nothing can run one, that is an error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import containers
import places
from interpreters import find_python, version_of
from places import Mount, Place
from wheelkit.report import FaultyError, MisusedError, Status, run

SCRIPTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Trial:
    """One distribution in one place; without a container, `place` is None."""

    file: str
    version: str
    place: Place | None

    def title(self, name: str) -> str:
        """Return what a person is told of it."""
        return f"{self.file} on CPython {self.version}, {name}"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    places.add_options(parser)
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), required=True, help="where the kernels must run")
    add("--place", metavar="NAME", default="", help="the name of this GPU runner")
    add("--smoke", type=Path, metavar="SCRIPT", required=True, help="the project's smoke test")
    add("--requirements", type=Path, metavar="FILE", help="what it needs at run time, by hash")
    add("--reports", type=Path, metavar="DIR", required=True, help="where the reports go")
    asked = parser.parse_args()
    for path in filter(None, (asked.smoke, asked.requirements)):
        # The containers see this folder, and no other of the project's.
        if not path.resolve().is_relative_to(Path.cwd()) or not path.is_file():
            raise MisusedError(f"{path} is no file below {Path.cwd()}; run this in the project")
    return asked


def trials(files: list[str], asked: argparse.Namespace) -> Iterator[Trial]:
    """Yield what must be tried; on a GPU runner each wheel once, for its driver is the host's."""
    from wheelkit.metadata import identify

    for file in files:
        if file.endswith(".whl"):
            for version in identify(file).pythons:
                yield from (Trial(file, version, place) for place in places_for(version, asked))
        elif not asked.place:
            # The compiler and headers that it needs are this machine's; no container has them. A
            # runner that has a name is there for its GPU, and the sources were tried before.
            yield Trial(file, str(version_of(Path(sys.executable))), None)


def places_for(version: str, asked: argparse.Namespace) -> Sequence[Place | None]:
    """Return where the wheel for an interpreter is tried."""
    if asked.engine == "none":
        return [None]
    if asked.image:
        return [places.of_image(asked.image)]
    return places.smoking(version)[: 1 if asked.device == "cuda" else None]


def perform(trial: Trial, asked: argparse.Namespace) -> int:
    """Run a trial; return its exit status."""
    name = asked.place or (trial.place.name if trial.place else "here")
    report = f"smoke.{asked.device}.{name}.{trial.version}.{trial.file}.json"
    options = ["--device", asked.device, "--place", name]
    if trial.place is None:
        words = [str(SCRIPTS / "try_wheel.py"), str(asked.folder / trial.file), *options]
        words += ["--smoke", str(asked.smoke), "--report", str(asked.reports / report)]
        if asked.requirements:
            words += ["--requirements", str(asked.requirements)]
        return subprocess.run([find_python(trial.version), *words], check=False).returncode
    within = {
        path: f"{places.PROJECT}/{path.resolve().relative_to(Path.cwd())}" for path in given(asked)
    }
    words = ["/scripts/try_wheel.py", f"/dist/{trial.file}", *options]
    words += ["--smoke", within[asked.smoke], "--report", f"/reports/{report}"]
    if asked.requirements:
        words += ["--requirements", within[asked.requirements]]
    mounts = [
        Mount(Path.cwd(), places.PROJECT),
        Mount(SCRIPTS, "/scripts"),
        Mount(asked.folder, "/dist"),
        Mount(asked.reports, "/reports", writable=True),
    ]
    return places.run(trial.place, trial.version, mounts, words, gpu=asked.device == "cuda")


def given(asked: argparse.Namespace) -> list[Path]:
    """Return the project's files that the trial reads."""
    return [path for path in (asked.smoke, asked.requirements) if path]


def run_all(todo: list[Trial], asked: argparse.Namespace) -> list[tuple[str, int]]:
    """Run every trial, whatever the others come to; return each one's title and status."""
    results = []
    for trial in todo:
        title = trial.title(trial.place.name if trial.place else "this machine")
        print(f"smoke_release.py: {title}", file=sys.stderr, flush=True)
        results.append((title, perform(trial, asked)))
    return results


def main() -> int:
    """Try everything; the table comes last."""
    asked = parse()
    from wheelkit import seal

    try:
        hashes = seal.opened(asked.folder, asked.seal)
    except FaultyError as error:
        print(error, file=sys.stderr)
        return Status.FAULTY
    if asked.engine != "none":
        # Before anything is tried: without an engine, nothing can be.
        containers.find_engine()
    todo = list(trials(list(hashes), asked))
    asked.reports.mkdir(parents=True, exist_ok=True)
    results = run_all(todo, asked)
    for title, status in results:
        print(f"{'ok' if status == 0 else f'FAILED (status {status})'}: {title}")
    return places.verdict(status for _, status in results)


if __name__ == "__main__":
    sys.exit(run(main))
