"""Rehearse the workflows: run wheels.yml itself on this machine, for each event that starts it.

act executes the file. Each action of others is replaced by a stand-in that does the same on this
machine (scripts/release/standins), the package indexes are servers on loopback, and a GPU runner is
this machine, whose CPU computes. GitHub's own expression engine is asked whether it would start the
same jobs. The first event really builds the wheels; the others take the same wheels. At the end the
release is installed from the index and its kernels are run, and the workflow of docs/your_wheels.md
is run in a repository of its own, for a small project.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from container import leftovers
from container.leftovers import Run
from release import example_project, workflow_run
from release.scenes import NAME, Played, Scene, scenes, version
from release.stage import Stage, environment_of, make_repository
from shared.ledger import BUILD, PROJECT
from wheelkit.base import source_files
from wheelkit.base.cpythons import parse_version, tag_of
from wheelkit.containers import engines
from wheelkit.install.pythons import find_python, make_venv
from wheelkit.release.loopback_index import serving
from wheelkit.target.report import MisusedError, Status

# One of each cibuildwheel, so that both build jobs have something to do.
PYTHONS = ("3.7", "3.12")
# Each run has its temporary files in a folder below this one.
WORK = BUILD / "rehearsals"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--python",
        action="append",
        metavar="X.Y",
        help=f"build for this CPython (may be repeated; default: {' and '.join(PYTHONS)})",
    )
    add(
        "--event",
        action="append",
        metavar="NAME",
        choices=[*(scene.name for scene in scenes()), example_project.SCENE.name],
        help="rehearse only this event (may be repeated): %(choices)s",
    )
    add("--wheels", type=Path, metavar="DIR", help="take these wheels and build none")
    add(
        "--folder",
        type=Path,
        default=BUILD / "rehearsal",
        help="the folder in which it works; it is removed first (default: %(default)s)",
    )
    return parser.parse_args()


def table(played: list[Played], jobs: list[str], built: str) -> str:
    """Return a table with a row for each event and a column for each job."""
    marks = {"success": "ok", "failure": "FAILED", "skipped": "-"}
    rows = [["event", *jobs, "on the index", "on GitHub"]]
    for one in played:
        cells = [marks[one.results[job]] for job in jobs]
        rows.append([one.scene.title, *cells, f"{len(one.published)} files", one.released])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, built])


def install_and_compute(folder: Path, python: str, wheels: Path) -> str:
    """Install the release from the index and smoke-test it; return the result line."""
    with serving(folder / "index") as address, tempfile.TemporaryDirectory() as scratch:
        venv_python = make_venv(find_python(python), Path(scratch) / "venv")
        pip: list[str | Path] = [
            venv_python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--only-binary=:all:",
        ]
        numpy = PROJECT / "requirements" / "numpy.txt"
        subprocess.run([*pip, "--require-hashes", "--requirement", numpy], check=True)
        # Only the loopback index: a release on another index must not be taken for this one.
        own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        own["PIP_CONFIG_FILE"] = os.devnull
        install = [*pip, "--no-deps", "--index-url", f"{address}/simple/", f"{NAME}=={version()}"]
        subprocess.run(install, check=True, env=own)
        (wheel,) = wheels.glob(f"*-{tag_of(python)}-*.whl")
        script = PROJECT / "scripts" / "smoke_test.py"
        smoke: list[str | Path] = [venv_python, script, "--wheel", wheel]
        done = subprocess.run(
            [*smoke, "--device", "cpu"], check=True, cwd=scratch, stdout=subprocess.PIPE, text=True
        )
    return str(done.stdout).strip().splitlines()[-1]


def check_wheels(folder: Path, pythons: list[str]) -> None:
    """Refuse a folder of --wheels that lacks one of the wheels."""
    for python in pythons:
        found = [path.name for path in folder.glob(f"{NAME}-*-{tag_of(python)}-*.whl")]
        if len(found) != 1:
            names = ", ".join(found) or "none"
            raise MisusedError(
                f"--wheels {folder}: expected one wheel of CPython {python}: {names}"
            )


def make_stage(folder: Path, pythons: list[str], wheels: Path, run: Run) -> Stage:
    """Make the repository, the stand-ins of actions, and the environment of steps."""
    repository = make_repository(folder)
    standins = workflow_run.make_standins(repository, folder / "actions")
    environment = environment_of(folder, run.engine, pythons, wheels)
    environment["TMPDIR"] = str(run.folder)
    return Stage(folder, repository, standins, environment)


def play_scenes(stage: Stage, chosen: list[Scene], wheels: Path) -> list[Played]:
    """Play the scenes of wheels.yml; the first builds, unless there are wheels."""
    played = []
    for scene in chosen:
        build = not wheels.is_dir()
        played.append(stage.play(scene, build))
        if build:
            keep_wheels(stage.folder / scene.name / "artifacts", wheels)
    return played


def play_example(stage: Stage) -> Played:
    """Run the workflow of the documentation in a repository of its own; it builds too."""
    repository = example_project.make(stage.folder / "example-project", stage.repository)
    origin = stage.repository.with_name(f"{stage.repository.name}.git")
    environment = example_project.environment(stage.environment, origin)
    own = Stage(stage.folder, repository, stage.standins, environment)
    return own.play(example_project.SCENE, build=True)


def keep_wheels(artifacts: Path, folder: Path) -> None:
    """Keep the wheels that a scene has built, for the later ones."""
    folder.mkdir()
    for wheel in artifacts.glob("built-*/*.whl"):
        shutil.copy(wheel, folder)


def report(played: list[Played], workflow: Path, note: str) -> bool:
    """Print the table of the events of one workflow; return whether all ended as they must."""
    jobs = workflow_run.jobs_of(workflow)
    print(table(played, jobs, note), end="\n\n")
    wrong = [one for one in played if one.results != one.scene.expected(jobs)]
    for one in wrong:
        print(f"error: {one.scene.title}: expected {one.scene.expected(jobs)}", file=sys.stderr)
    return not wrong


def rehearse(asked: argparse.Namespace, pythons: list[str], folder: Path, run: Run) -> bool:
    """Play the events; return whether all ended as they must. The tables come last."""
    wheels = (asked.wheels or folder / "wheels").resolve()
    stage = make_stage(folder, pythons, wheels, run)
    chosen = [scene for scene in scenes() if not asked.event or scene.name in asked.event]
    good = True
    if chosen:
        played = play_scenes(stage, chosen, wheels)
        note = f"built: {asked.wheels or chosen[0].title}; the other events took these wheels"
        good = report(played, PROJECT / workflow_run.WORKFLOW, note)
        if good and "publish" in chosen[-1].green:
            for python in pythons:
                verdict = install_and_compute(stage.state(chosen[-1]), python, wheels)
                print(f"installed from the index, CPython {python}: {verdict}")
    if not asked.event or example_project.SCENE.name in asked.event:
        example = play_example(stage)
        workflow = stage.folder / "example-project" / workflow_run.WORKFLOW
        good &= report([example], workflow, "built: here, for the Python of the rehearsal")
    return good


def main() -> int:
    """Run the command."""
    asked = parse()
    pythons = [parse_version(python) for python in asked.python or PYTHONS]
    if asked.wheels:
        check_wheels(asked.wheels, pythons)
    folder = asked.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_files.date(PROJECT))
    with leftovers.run_folder(WORK, engines.find_engine()) as run:
        good = rehearse(asked, pythons, folder, run)
    return Status.DONE if good else Status.FAULTY
