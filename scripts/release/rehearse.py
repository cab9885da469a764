"""Rehearse the workflows: run wheels.yml itself on this machine, for each event that starts it.

act executes the file. Each action of others is replaced by a stand-in that does the same on this
machine (scripts/release/standins), the package indexes are servers on loopback, and a GPU runner is
this machine, whose CPU computes. GitHub's own expression engine is asked whether it would start the
same jobs. The first event really builds the wheels; the others take the same wheels. At the end the
release is installed from the index and its kernels are run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from container import standin_image
from container.run_cibuildwheel import environment
from release import workflow_run
from release.workflow_run import Event, Results
from shared.ledger import BUILD, PROJECT
from shared.steps import say
from wheelkit.base import source_files
from wheelkit.base.cpythons import CPYTHONS, parse_version, python_tag, tag_of
from wheelkit.containers import engines, images
from wheelkit.install.pythons import find_python, make_venv
from wheelkit.release.loopback_index import serving
from wheelkit.target.report import MisusedError, Status

NAME = "cyfes"
WORKFLOW = Path(".github/workflows/wheels.yml")
PROGRAMS = workflow_run.STANDINS / "programs"
GPU_RUNNER = "gpu-standin"
# One of each cibuildwheel, so that both build jobs have something to do.
PYTHONS = ("3.7", "3.12")

BUILT = ("plan", "sdist", "build-old", "build-new", "seal", "test", "verify", "gates")
TESTED = (*BUILT, "smoke-gpu")
PUBLISHED = (*TESTED, "rehearsal", "publish", "release")


@dataclass(frozen=True)
class Scene:
    """One event of the rehearsal: what happens, and how each job must end; the rest is skipped."""

    name: str
    title: str
    event: Event
    green: tuple[str, ...]
    red: tuple[str, ...] = ()
    # Whether a container on the GPU runner sees a GPU.
    gpu_works: bool = True
    # After so many uploads the package index answers no more.
    stall_after: int | None = None
    # The scene whose package index and release this one continues.
    continues: str = ""

    def expected(self, jobs: list[str]) -> Results:
        """Return the result that each job must have."""
        known = dict.fromkeys(self.green, "success") | dict.fromkeys(self.red, "failure")
        return {job: known.get(job, "skipped") for job in jobs}


@dataclass
class Played:
    """What a scene did: the result of each job, and what it published."""

    scene: Scene
    results: Results
    published: list[str] = field(default_factory=list)
    released: str = "none"


def version() -> str:
    """Return the version that the sources state."""
    text = (PROJECT / NAME / "_version.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.M)
    return str(found)


def push(reference: str) -> dict[str, str]:
    """Return the content of a push."""
    return {"ref": reference}


def pull_request(fork: bool) -> dict[str, object]:
    """Return the content of a pull request."""
    repository = {"full_name": "somebody/fork" if fork else "cyfes/cyfes", "fork": fork}
    return {"number": 1, "pull_request": {"number": 1, "head": {"repo": repository}}}


def scenes() -> tuple[Scene, ...]:
    """Return the events, in the order in which they are played."""
    runner = {"GPU_RUNNERS": json.dumps([GPU_RUNNER])}
    main, tag = push("refs/heads/main"), push(f"refs/tags/v{version()}")
    own, foreign = pull_request(fork=False), pull_request(fork=True)
    return (
        Scene("push", "push to main, no GPU runner", Event("push", main), BUILT),
        Scene("push-gpu", "push to main, GPU runner", Event("push", main, runner), TESTED),
        Scene("pull", "pull request", Event("pull_request", own, runner), BUILT),
        Scene(
            "fork",
            "pull request from a fork",
            Event("pull_request", foreign),
            BUILT,
        ),
        Scene("dispatch", "started by hand", Event("workflow_dispatch", main, runner), TESTED),
        Scene("tag-no-gpu", "tag, no GPU runner", Event("push", tag), BUILT[:-1], ("gates",)),
        Scene(
            "tag-red",
            "tag, the GPU job fails",
            Event("push", tag, runner),
            BUILT[:-1],
            ("smoke-gpu", "gates"),
            gpu_works=False,
        ),
        Scene(
            "tag-cut-off",
            "tag, the upload is cut off",
            Event("push", tag, runner),
            (*TESTED, "rehearsal"),
            ("publish",),
            stall_after=1,
        ),
        Scene(
            "tag",
            "the same tag, run again",
            Event("push", tag, runner),
            PUBLISHED,
            continues="tag-cut-off",
        ),
    )


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
        choices=[scene.name for scene in scenes()],
        help="rehearse only this event (may be repeated): %(choices)s",
    )
    add("--wheels", type=Path, metavar="DIR", help="take these wheels and build none")
    add(
        "--folder",
        type=Path,
        default=BUILD / "rehearsal",
        help="where it works; made anew (default: %(default)s)",
    )
    return parser.parse_args()


def make_repository(folder: Path) -> Path:
    """Make a repository with the sources on main and an annotated tag of their version."""
    repository = folder / "repository"
    source_files.export(PROJECT, repository)
    path = repository / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    if f"## [{version()}]" not in text:
        heading = f"## [{version()}] - {date.today().isoformat()}"
        path.write_text(text.replace("## [Unreleased]", heading, 1), encoding="utf-8")
    workflow_run.commit_all(repository, "The sources of the rehearsal")
    workflow_run.git(repository, "tag", "--annotate", f"v{version()}", "--message", "rehearsal")
    origin = folder / "origin.git"
    workflow_run.git(repository, "clone", "--quiet", "--bare", ".", str(origin))
    workflow_run.git(repository, "remote", "add", "origin", str(origin))
    return repository


def make_programs(folder: Path, engine: engines.Engine) -> Path:
    """Make the folder that is first on the path: gh, and the engine of the GPU runner."""
    folder.mkdir()
    for name, program in (("gh", "gh.py"), (engine.name, "gpu_engine.py")):
        script = f'#!/bin/sh\nexec "$REHEARSAL_PYTHON" "{PROGRAMS / program}" "$@"\n'
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def other_pythons(pythons: list[str]) -> str:
    """Return the selection of CPythons for which nothing is built, as CIBW_SKIP takes it."""
    return " ".join(f"{python_tag(v)}-*" for v in CPYTHONS if v not in pythons) + " cp3??t-*"


def container_settings(engine: engines.Engine, pythons: list[str]) -> dict[str, str]:
    """Return the variables that hand the engine and the images to cibuildwheel and wheelkit.

    Where the images of pyproject.toml can be pulled, those are taken; else a stand-in image.
    """
    pinned = [images.verifying(python, PROJECT).reference for python in pythons]
    if not any(engine.why_not_pulled(image) for image in pinned):
        return {}
    image = standin_image.build(engine, pythons)
    runnable = engines.make_runnable(engine, image)
    settings = environment(runnable, image, pythons, PROJECT)
    del settings["CIBW_BUILD"]
    return {**settings, images.IMAGE_VARIABLE: image}


def environment_of(
    folder: Path, engine: engines.Engine, pythons: list[str], wheels: Path
) -> dict[str, str]:
    """Return the environment of every step: the stand-ins, and what cibuildwheel needs."""
    search = [str(make_programs(folder / "programs", engine)), *os.get_exec_path()]
    return {
        **os.environ,
        **container_settings(engine, pythons),
        "CIBW_SKIP": other_pythons(pythons),
        # Each job installs its tools anew; compiling them would take most of the time.
        "PIP_NO_COMPILE": "1",
        "PATH": os.pathsep.join(search),
        "PYTHONPATH": str(PROGRAMS),
        "REHEARSAL_ENGINE": str(shutil.which(engine.name)),
        "REHEARSAL_PYTHON": sys.executable,
        "REHEARSAL_WHEELS": str(wheels.resolve()),
    }


@contextlib.contextmanager
def indexes(folder: Path, stall_after: int | None) -> Iterator[dict[str, str]]:
    """Serve the package index and the rehearsal index; yield the variables with the addresses."""
    with (
        serving(folder / "index", stall_after) as address,
        serving(folder / "rehearsal-index") as rehearsal,
    ):
        yield {
            "REHEARSAL_INDEX": address,
            "WHEELKIT_INDEX": f"{address}/simple/",
            "REHEARSAL_UPLOAD": rehearsal,
        }


@dataclass(frozen=True)
class Stage:
    """Where scenes are played: the repository, the stand-ins, and the environment of steps."""

    folder: Path
    repository: Path
    standins: Mapping[str, Path]
    environment: Mapping[str, str]

    def play(self, scene: Scene, build: bool) -> Played:
        """Run the workflow for one event.

        Raises
        ------
        UnlikeGitHubError
            GitHub would have started other jobs.
        """
        say(f"\nrehearsal of {scene.name}: {scene.title}")
        folder = self.folder / scene.name
        state = self.folder / (scene.continues or scene.name)
        workflow = self.repository / WORKFLOW
        environment = {
            **self.environment,
            "REHEARSAL_RUN": str(folder),
            "REHEARSAL_RELEASES": str(state / "releases"),
            "REHEARSAL_GPU": "works" if scene.gpu_works else "broken",
        }
        if build:
            del environment["PYTHONPATH"]
        with indexes(state, scene.stall_after) as addresses:
            variables = dict(scene.event.variables)
            if scene.event.content.get("ref", "").startswith("refs/tags/"):
                variables["REHEARSAL_UPLOAD"] = addresses["REHEARSAL_UPLOAD"]
            event = Event(scene.event.kind, scene.event.content, variables)
            runners = ("ubuntu-latest", GPU_RUNNER)
            results = workflow_run.act(
                workflow, event, self.standins, runners, folder, {**environment, **addresses}
            )
        gpus = [{"slot": "1"}] if "GPU_RUNNERS" in variables else []
        outputs = {"plan": {"gpus": json.dumps(gpus)}}
        workflow_run.compare_with_github(workflow, event, results, outputs)
        return Played(scene, results, names_in(state / "index"), released(state / "releases"))


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder; none if there is no such folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def released(folder: Path) -> str:
    """Return the release on GitHub in words."""
    for path in folder.glob("*/state.json"):
        state = json.loads(path.read_text(encoding="utf-8"))
        return "draft" if state["isDraft"] else f"{path.parent.name}"
    return "none"


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


def rehearse(asked: argparse.Namespace, pythons: list[str], folder: Path) -> list[Played]:
    """Play the scenes; the first builds, unless wheels are given."""
    engine = engines.find_engine()
    wheels = asked.wheels or folder / "wheels"
    repository = make_repository(folder)
    standins = workflow_run.make_standins(repository, folder / "actions")
    environment = environment_of(folder, engine, pythons, wheels)
    stage = Stage(folder, repository, standins, environment)
    played = []
    for scene in scenes():
        if asked.event and scene.name not in asked.event:
            continue
        build = not wheels.is_dir()
        played.append(stage.play(scene, build))
        if build:
            keep_wheels(folder / scene.name / "artifacts", wheels)
    return played


def keep_wheels(artifacts: Path, folder: Path) -> None:
    """Keep the wheels that a scene has built, for the later ones."""
    folder.mkdir()
    for wheel in artifacts.glob("built-*/*.whl"):
        shutil.copy(wheel, folder)


def main() -> int:
    """Run the command; the table of events and jobs comes last."""
    asked = parse()
    pythons = [parse_version(python) for python in asked.python or PYTHONS]
    if asked.wheels:
        check_wheels(asked.wheels, pythons)
    folder = asked.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_files.date(PROJECT))
    played = rehearse(asked, pythons, folder)
    jobs = workflow_run.jobs_of(PROJECT / WORKFLOW)
    built = f"built: {asked.wheels or played[0].scene.title}; the other events took these wheels"
    text = table(played, jobs, built)
    (folder / "table.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    wrong = [one for one in played if one.results != one.scene.expected(jobs)]
    for one in wrong:
        print(f"error: {one.scene.title}: expected {one.scene.expected(jobs)}", file=sys.stderr)
    last = played[-1]
    if not wrong and "publish" in last.scene.green:
        state = folder / (last.scene.continues or last.scene.name)
        for python in pythons:
            verdict = install_and_compute(state, python, asked.wheels or folder / "wheels")
            print(f"installed from the index, CPython {python}: {verdict}")
    return Status.FAULTY if wrong else Status.DONE
