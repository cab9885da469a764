"""Rehearse a release on this machine: run the commands of the workflows, in the same order.

As on GitHub, every job gets an empty workspace, and only artifacts pass from one job to the next.
The package index is a server on loopback. Only what this machine lacks is replaced: the CPU takes
the place of the GPU, and without --containers the wheels are built by ``python scripts wheel`` and
verified on this machine instead of in containers. At the end the release is installed from the
index and its kernels are run.
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
from release.release_plan import (
    BUILD_AND_VERIFY,
    PUBLISH,
    DownloadArtifact,
    Job,
    PublishFiles,
    Run,
    Step,
    UploadArtifact,
)
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
    """A step of a job failed; the step has printed why."""

    def __init__(self, job: Job, line: str, status: int) -> None:
        super().__init__(f"job {job.name} failed (status {status}): {line}")
        self.status = status


@dataclass
class Rehearsal:
    """A rehearsal: its folder with artifacts and index, its outputs, and the finished jobs."""

    root: Path
    outputs: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def artifact(self, name: str) -> Path:
        """Return the folder of an artifact."""
        return self.root / "artifacts" / name

    def save(self) -> None:
        """Write down which jobs are finished, and their outputs."""
        state = {"outputs": self.outputs, "done": self.done}
        write_whole(self.root / "state.json", json.dumps(state, indent=1))

    def resume(self) -> None:
        """Read which jobs an earlier rehearsal has finished, and their outputs."""
        try:
            state = json.loads((self.root / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MisusedError(f"--resume: {self.root} holds no rehearsal to resume") from None
        self.outputs, self.done = state["outputs"], state["done"]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "--python",
        action="append",
        metavar="X.Y",
        help="a CPython to build for (may be repeated; default: the one that runs this)",
    )
    add(
        "--containers",
        action="store_true",
        help="build, verify and smoke-test in containers, as on GitHub",
    )
    add("--resume", action="store_true", help="continue after the last job that was finished")
    add("--stall-after", type=int, metavar="N", help="let the index stop answering after N uploads")
    add(
        "--folder",
        type=Path,
        default=BUILD / "rehearsal",
        help="where it works (default: %(default)s)",
    )
    return parser.parse_args()


def version() -> str:
    """Return the version that the sources state."""
    text = (PROJECT / NAME / "_version.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.M)
    return str(found)


def variables(asked: argparse.Namespace, pythons: list[str]) -> dict[str, str]:
    """Return the variables that the workflows set from their inputs, with this machine's values."""
    verb = "wheelhouse" if asked.containers else "wheel"
    # The scripts of this checkout, in which the CUDA toolkit is installed already.
    scripts = os.path.relpath(PROJECT / "scripts", asked.folder / "jobs" / "build")
    return {
        "BUILD": f"python {scripts} {verb}",
        "ENGINE": "any" if asked.containers else "none",
        "DEVICE": "cpu",
        "KERNELS": "scripts/smoke_test.py",
        # Without containers, the platform tag of the wheel depends on this machine's C library.
        "PLAT": "manylinux2014_x86_64" if asked.containers else "",
        "PLACES": json.dumps([PLACE]),
        "PYTHONS": json.dumps(pythons),
        "REQUIREMENTS": "requirements/numpy.txt",
        "TAG": f"v{version()}",
        "WHEELKIT": "./wheelkit",
    }


def standin_images(pythons: list[str]) -> dict[str, str]:
    """Return the variable that names a stand-in image, if wheelkit's images cannot be pulled."""
    engine = engines.find_engine()
    if not any(
        engine.why_not_pulled(images.verifying(python, PROJECT).reference) for python in pythons
    ):
        return {}
    return {images.IMAGE_VARIABLE: standin_image.build(engine, pythons)}


def check_out(folder: Path) -> None:
    """Copy the sources, and give the changelog a section for the version that is rehearsed."""
    source_files.export(PROJECT, folder)
    # A checkout is a git repository. Without one here, git would find this project's repository,
    # which ignores the whole folder.
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    path = folder / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    if f"## [{version()}]" not in text:
        heading = f"## [{version()}] - {date.today().isoformat()}"
        path.write_text(text.replace("## [Unreleased]", heading, 1), encoding="utf-8")


def workspace(job: Job, rehearsal: Rehearsal) -> Path:
    """Make a new workspace for a job, with the sources and nothing else; return its folder."""
    folder = rehearsal.root / "jobs" / job.name
    shutil.rmtree(folder, ignore_errors=True)
    check_out(folder)
    return folder


def run_step(
    step: Step, job: Job, folder: Path, rehearsal: Rehearsal, setting: Mapping[str, str]
) -> None:
    """Run one step of a job."""
    if isinstance(step, Run):
        run_line(step.line, job, folder, rehearsal, setting)
    elif isinstance(step, UploadArtifact):
        target = rehearsal.artifact(expand(step.artifact, setting))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / step.folder, target)
    elif isinstance(step, DownloadArtifact):
        download_artifact(step, folder, rehearsal)
    elif rehearsal.outputs["pending"] != "0":
        upload(step, job, folder, setting["UPLOAD"])


def expand(text: str, setting: Mapping[str, str]) -> str:
    """Replace each ``$NAME`` by its value."""
    return re.sub(r"\$(\w+)", lambda match: setting[match[1]], text)


def run_line(
    line: str, job: Job, folder: Path, rehearsal: Rehearsal, setting: Mapping[str, str]
) -> None:
    """Run a command line as a runner of GitHub does, and read the outputs that it sets."""
    print(f"\nrehearse.py: {job.name}: {line}", file=sys.stderr, flush=True)
    # Beside the checkout, because it does not belong to it.
    outputs = folder.with_name(f"{job.name}.outputs")
    outputs.write_text("", encoding="utf-8")
    search = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    environment = {**os.environ, **setting, "PATH": search, "GITHUB_OUTPUT": str(outputs)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line]
    status = subprocess.run(command, check=False, cwd=folder, env=environment).returncode
    if status:
        raise StepError(job, line, status)
    entries = (entry.partition("=") for entry in outputs.read_text(encoding="utf-8").splitlines())
    rehearsal.outputs |= {name: value for name, _, value in entries}


def download_artifact(step: DownloadArtifact, folder: Path, rehearsal: Rehearsal) -> None:
    """Copy artifacts into the workspace."""
    names = sorted(path.name for path in rehearsal.artifact("").iterdir())
    for name in fnmatch.filter(names, step.artifact):
        target = folder / step.folder / ("" if step.merge else name)
        shutil.copytree(rehearsal.artifact(name), target, dirs_exist_ok=True)


def upload(step: PublishFiles, job: Job, folder: Path, address: str) -> None:
    """Upload files as the publishing action does, to an index that checks no password."""
    files = sorted(map(str, (folder / step.folder).iterdir()))
    command = [
        sys.executable,
        "-m",
        "twine",
        "upload",
        "--non-interactive",
        "--disable-progress-bar",
    ]
    # twine must not read this machine's settings, which may name a real index.
    command += ["--config-file", os.devnull, "--repository-url", address]
    command += ["--username", "rehearsal", "--password", "rehearsal", *files]
    print(
        f"\nrehearse.py: {job.name}: twine upload {len(files)} files", file=sys.stderr, flush=True
    )
    status = subprocess.run(command, check=False).returncode
    if status:
        raise StepError(job, "twine upload", status)


def rehearse(jobs: tuple[Job, ...], rehearsal: Rehearsal, setting: Mapping[str, str]) -> None:
    """Run the jobs that are not finished yet; a job with a matrix is run for each of its values."""
    values = {"PYTHON": json.loads(setting["PYTHONS"]), "PLACE": json.loads(setting["PLACES"])}
    for job in jobs:
        if job.name in rehearsal.done:
            continue
        for value in values.get(job.matrix, [""]):
            folder = workspace(job, rehearsal)
            for step in job.steps:
                seal = {"SEAL": rehearsal.outputs.get("seal", ""), job.matrix or "_": value}
                run_step(step, job, folder, rehearsal, {**setting, **seal})
        rehearsal.done.append(job.name)
        rehearsal.save()


def install_and_compute(rehearsal: Rehearsal, python: str, simple: str) -> str:
    """Install the release from the index and smoke-test it; return the result line."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
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
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("PIP_")
        }
        environment["PIP_CONFIG_FILE"] = os.devnull
        install = [*pip, "--no-deps", "--index-url", simple, f"{NAME}=={version()}"]
        subprocess.run(install, check=True, env=environment)
        tag = tag_of(python)
        (wheel,) = rehearsal.artifact("sealed").glob(f"*-{tag}-*.whl")
        smoke: list[str | Path] = [
            venv_python,
            PROJECT / "scripts" / "smoke_test.py",
            "--wheel",
            wheel,
            "--device",
            "cpu",
        ]
        done = subprocess.run(smoke, check=True, cwd=scratch, stdout=subprocess.PIPE, text=True)
    return str(done.stdout).strip().splitlines()[-1]


def start_or_resume(asked: argparse.Namespace) -> Rehearsal:
    """Return a new rehearsal, or with --resume the one in the folder."""
    rehearsal = Rehearsal(asked.folder.resolve())
    if asked.resume:
        rehearsal.resume()
    else:
        shutil.rmtree(rehearsal.root, ignore_errors=True)
        rehearsal.root.mkdir(parents=True)
        rehearsal.save()
    return rehearsal


def main() -> int:
    """Run the command; the last lines list the index, and the results of the smoke tests."""
    asked = parse()
    here = version_of(Path(sys.executable))
    pythons = [parse_version(python) for python in asked.python or [str(here)]]
    rehearsal = start_or_resume(asked)
    os.environ.setdefault("SOURCE_DATE_EPOCH", source_date())
    setting = variables(asked, pythons) | (standin_images(pythons) if asked.containers else {})
    index = rehearsal.root / "index"
    try:
        rehearse(BUILD_AND_VERIFY, rehearsal, setting)
        with serving(index, asked.stall_after) as address:
            rehearse(
                PUBLISH, rehearsal, {**setting, "INDEX": f"{address}/simple/", "UPLOAD": address}
            )
            verdicts = [
                install_and_compute(rehearsal, python, f"{address}/simple/") for python in pythons
            ]
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status if error.status in tuple(Status) else Status.FAULTY
    for path in sorted(index.iterdir()):
        print(f"on the index: {path.name}")
    for python, verdict in zip(pythons, verdicts, strict=True):
        print(f"installed from the index, CPython {python}: {verdict}")
    return Status.DONE
