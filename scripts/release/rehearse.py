"""Rehearse a release on this machine: the workflows' own commands, in their order, to the end.

Every job gets an empty workspace, and artifacts are all that goes from one to the next, as on
GitHub. The index is one on loopback. What this machine cannot have is replaced, and only that:
without --containers, the main job builds the wheels and they are tried here, not in containers; the
GPU is the CPU. At the end the release is installed from the index, and computes.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from container import standin_image
from release.release_plan import BUILD_AND_PROVE, PUBLISH, HandOn, Job, Publish, Run, Step, Take
from shared.ledger import BUILD, PROJECT
from wheelkit.base import source_files
from wheelkit.base.cpythons import parse_version, tag_of
from wheelkit.containers import engines, images
from wheelkit.install.pythons import find_python, make_venv, version_of
from wheelkit.release.loopback_index import serving
from wheelkit.target.report import MisusedError, Status, write_whole
from wheels.build_wheels import source_date

PLACE = "here"
NAME = "cyfes"


class StepError(Exception):
    """A step of a job failed; its messages have been shown."""

    def __init__(self, job: Job, line: str, status: int) -> None:
        super().__init__(f"job {job.name} failed (status {status}): {line}")
        self.status = status


@dataclass
class Stage:
    """The folder of a rehearsal: artifacts, the index, and what the jobs have said so far."""

    root: Path
    outputs: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def artifact(self, name: str) -> Path:
        """Return where an artifact is kept."""
        return self.root / "artifacts" / name

    def save(self) -> None:
        """Note which jobs are done."""
        state = {"outputs": self.outputs, "done": self.done}
        write_whole(self.root / "state.json", json.dumps(state, indent=1))

    def resume(self) -> None:
        """Take up what an earlier rehearsal has noted."""
        try:
            state = json.loads((self.root / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MisusedError(f"--resume: {self.root} holds no rehearsal to resume") from None
        self.outputs, self.done = state["outputs"], state["done"]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--python", action="append", metavar="X.Y", help="may be repeated (default: this one)")
    add("--containers", action="store_true", help="build and try in containers, as GitHub does")
    add("--resume", action="store_true", help="go on after the last job that was done")
    add("--stall-after", type=int, metavar="N", help="the index hangs after N uploads")
    add("--folder", type=Path, default=BUILD / "rehearsal", help="(default: %(default)s)")
    return parser.parse_args()


def version() -> str:
    """Return the version in the sources."""
    text = (PROJECT / NAME / "_version.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.M)
    return str(found)


def variables(asked: argparse.Namespace, pythons: list[str]) -> dict[str, str]:
    """Return what the workflows set from inputs, for this machine."""
    builder = "build_wheelhouse" if asked.containers else "make_wheel"
    # This checkout's own, which has the CUDA toolkit already.
    script = os.path.relpath(PROJECT / "scripts" / f"{builder}.py", asked.folder / "jobs" / "build")
    return {
        "BUILD": f"python {script}",
        "ENGINE": "any" if asked.containers else "none",
        "DEVICE": "cpu",
        "KERNELS": "scripts/smoke_test.py",
        # Without containers the wheel has the tag of this machine's C library.
        "PLAT": "manylinux2014_x86_64" if asked.containers else "",
        "PLACES": json.dumps([PLACE]),
        "PYTHONS": json.dumps(pythons),
        "REQUIREMENTS": "requirements/numpy.txt",
        "TAG": f"v{version()}",
        "WHEELKIT": "./wheelkit",
    }


def stand_in(pythons: list[str]) -> dict[str, str]:
    """Name a stand-in for the images of wheelkit where those cannot be pulled."""
    engine = engines.find_engine()
    if not any(engine.why_not_pulled(images.verifying(python).reference) for python in pythons):
        return {}
    return {images.IMAGE_VARIABLE: standin_image.build(engine, pythons)}


def check_out(folder: Path) -> None:
    """Copy the sources, with a section of the changelog for the version that is rehearsed."""
    source_files.export(PROJECT, folder)
    # A repository of its own, as a checkout is; this one ignores the whole folder.
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    path = folder / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    if f"## [{version()}]" not in text:
        heading = f"## [{version()}] - {date.today().isoformat()}"
        path.write_text(text.replace("## [Unreleased]", heading, 1), encoding="utf-8")


def workspace(job: Job, stage: Stage) -> Path:
    """Return an empty workspace for a job, with the sources checked out."""
    folder = stage.root / "jobs" / job.name
    shutil.rmtree(folder, ignore_errors=True)
    check_out(folder)
    return folder


def perform(step: Step, job: Job, folder: Path, stage: Stage, setting: Mapping[str, str]) -> None:
    """Do one step of a job."""
    if isinstance(step, Run):
        run_line(step.line, job, folder, stage, setting)
    elif isinstance(step, HandOn):
        target = stage.artifact(expand(step.artifact, setting))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / step.folder, target)
    elif isinstance(step, Take):
        take(step, folder, stage)
    elif stage.outputs["pending"] != "0":
        upload(step, job, folder, setting["UPLOAD"])


def expand(text: str, setting: Mapping[str, str]) -> str:
    """Put values in the place of ``$NAME``."""
    return re.sub(r"\$(\w+)", lambda match: setting[match[1]], text)


def run_line(line: str, job: Job, folder: Path, stage: Stage, setting: Mapping[str, str]) -> None:
    """Run a command line as a runner does, and read the outputs that it sets."""
    print(f"\nrehearse.py: {job.name}: {line}", file=sys.stderr, flush=True)
    # Beside the checkout, of which it is no part.
    outputs = folder.with_name(f"{job.name}.outputs")
    outputs.write_text("", encoding="utf-8")
    search = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    environment = {**os.environ, **setting, "PATH": search, "GITHUB_OUTPUT": str(outputs)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line]
    status = subprocess.run(command, check=False, cwd=folder, env=environment).returncode
    if status:
        raise StepError(job, line, status)
    said = (entry.partition("=") for entry in outputs.read_text(encoding="utf-8").splitlines())
    stage.outputs |= {name: value for name, _, value in said}


def take(step: Take, folder: Path, stage: Stage) -> None:
    """Bring artifacts into the workspace."""
    names = sorted(path.name for path in stage.artifact("").iterdir())
    for name in fnmatch.filter(names, step.artifact):
        target = folder / step.folder / ("" if step.merge else name)
        shutil.copytree(stage.artifact(name), target, dirs_exist_ok=True)


def upload(step: Publish, job: Job, folder: Path, address: str) -> None:
    """Do what the publishing action does, to an index that asks for no password."""
    files = sorted(map(str, (folder / step.folder).iterdir()))
    command = [
        sys.executable,
        "-m",
        "twine",
        "upload",
        "--non-interactive",
        "--disable-progress-bar",
    ]
    # No settings of this machine: they may name a real index.
    command += ["--config-file", os.devnull, "--repository-url", address]
    command += ["--username", "rehearsal", "--password", "rehearsal", *files]
    print(
        f"\nrehearse.py: {job.name}: twine upload {len(files)} files", file=sys.stderr, flush=True
    )
    status = subprocess.run(command, check=False).returncode
    if status:
        raise StepError(job, "twine upload", status)


def rehearse(jobs: tuple[Job, ...], stage: Stage, setting: Mapping[str, str]) -> None:
    """Run the jobs that are not done yet; one with a matrix for each of its values."""
    values = {"PYTHON": json.loads(setting["PYTHONS"]), "PLACE": json.loads(setting["PLACES"])}
    for job in jobs:
        if job.name in stage.done:
            continue
        for value in values.get(job.matrix, [""]):
            folder = workspace(job, stage)
            for step in job.steps:
                seal = {"SEAL": stage.outputs.get("seal", ""), job.matrix or "_": value}
                perform(step, job, folder, stage, {**setting, **seal})
        stage.done.append(job.name)
        stage.save()


def compute(stage: Stage, python: str, simple: str) -> str:
    """Install the release from the index and run its kernels; return what the smoke test says."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        own = make_venv(find_python(python), Path(scratch) / "venv")
        pip: list[str | Path] = [own, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        numpy = PROJECT / "requirements" / "numpy.txt"
        subprocess.run([*pip, "--require-hashes", "--requirement", numpy], check=True)
        # The loopback index alone: a release elsewhere must not pass for this one.
        alone = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        alone["PIP_CONFIG_FILE"] = os.devnull
        install = [*pip, "--no-deps", "--index-url", simple, f"{NAME}=={version()}"]
        subprocess.run(install, check=True, env=alone)
        tag = tag_of(python)
        (wheel,) = stage.artifact("sealed").glob(f"*-{tag}-*.whl")
        smoke: list[str | Path] = [
            own,
            PROJECT / "scripts" / "smoke_test.py",
            "--wheel",
            wheel,
            "--device",
            "cpu",
        ]
        done = subprocess.run(smoke, check=True, cwd=scratch, stdout=subprocess.PIPE, text=True)
    return str(done.stdout).strip().splitlines()[-1]


def begin(asked: argparse.Namespace) -> Stage:
    """Return the stage: empty, or as an earlier rehearsal left it."""
    stage = Stage(asked.folder.resolve())
    if asked.resume:
        stage.resume()
    else:
        shutil.rmtree(stage.root, ignore_errors=True)
        stage.root.mkdir(parents=True)
        stage.save()
    return stage


def main() -> int:
    """Rehearse; the last lines say what is on the index, and that it computes."""
    asked = parse()
    here = version_of(Path(sys.executable))
    pythons = [parse_version(python) for python in asked.python or [str(here)]]
    stage = begin(asked)
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_date())
    setting = variables(asked, pythons) | (stand_in(pythons) if asked.containers else {})
    index = stage.root / "index"
    try:
        rehearse(BUILD_AND_PROVE, stage, setting)
        with serving(index, asked.stall_after) as address:
            rehearse(PUBLISH, stage, {**setting, "INDEX": f"{address}/simple/", "UPLOAD": address})
            verdicts = [compute(stage, python, f"{address}/simple/") for python in pythons]
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status if error.status in tuple(Status) else Status.FAULTY
    for path in sorted(index.iterdir()):
        print(f"on the index: {path.name}")
    for python, verdict in zip(pythons, verdicts, strict=True):
        print(f"installed from the index, CPython {python}: {verdict}")
    return Status.DONE
