"""Where the events of a rehearsal are played: a repository, the stand-ins, and two indexes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from container import standin_image
from release import workflow_run
from release.scenes import GPU_RUNNER, Played, Scene, version
from release.workflow_run import Event
from shared.ledger import PROJECT
from shared.steps import say
from wheelkit.base import source_files
from wheelkit.base.cpythons import CPYTHONS, python_tag
from wheelkit.containers import engines, images
from wheelkit.install.pythons import version_of
from wheelkit.release.loopback_index import serving

PROGRAMS = workflow_run.STANDINS / "programs"


def make_repository(folder: Path) -> Path:
    """Make a repository with the sources on main and an annotated tag of their version."""
    repository = folder / "repository"
    source_files.export(PROJECT, repository)
    path = repository / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    if f"## [{version()}]" not in text:
        heading = f"## [{version()}] - {date.today().isoformat()}"
        path.write_text(text.replace("## [Unreleased]", heading, 1), encoding="utf-8")
    workflow_run.publish_locally(repository, f"v{version()}")
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
    """Return the selection of wheels that are not built, as CIBW_SKIP takes it.

    The rehearsal has no runner of another architecture, nor free-threaded interpreters.
    """
    left_out = [f"{python_tag(version)}-*" for version in CPYTHONS if version not in pythons]
    return " ".join([*left_out, "cp3??t-*", "*-manylinux_aarch64"])


def container_settings(engine: engines.Engine, pythons: list[str]) -> dict[str, str]:
    """Return the variables that hand the engine and the images to cibuildwheel and wheelkit.

    Where the images of pyproject.toml can be pulled, those are taken; else a stand-in image, which
    has the Python of the rehearsal too, for the second repository.
    """
    pinned = [images.verifying(python, PROJECT).reference for python in pythons]
    if not any(engine.why_not_pulled(image) for image in pinned):
        return {}
    here = str(version_of(Path(sys.executable)))
    image = standin_image.build(engine, sorted({*pythons, here}))
    runnable = engines.make_runnable(engine, image)
    pip = engines.pip_settings()
    # The steps run on this machine and in containers, so a container has pip's files at the same
    # paths as this machine.
    settings = {
        name: value.replace(f"{engines.HOST}/", "/") for name, value in pip.variables.items()
    }
    words = " ".join(runnable.container_options({path: str(path) for path in pip.files}, {}))
    options = [engine.name, "disable_host_mount: true", *([f"create_args: {words}"] * bool(words))]
    return {
        **runnable.environment,
        **settings,
        "CIBW_CONTAINER_ENGINE": "; ".join(options),
        "CIBW_MANYLINUX_X86_64_IMAGE": image,
        "CIBW_ENVIRONMENT_PASS_LINUX": " ".join([*settings, "WHEELKIT_IMAGE"]),
        # `wheelkit sbom`, in the container, cannot know it otherwise.
        "WHEELKIT_IMAGE": engine.reference(image),
        images.IMAGE_VARIABLE: image,
    }


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

    def state(self, scene: Scene) -> Path:
        """Return the folder with the indexes and releases of a scene."""
        return self.folder / (scene.continues or scene.name)

    def play(self, scene: Scene, build: bool) -> Played:
        """Run the workflow for one event.

        Raises
        ------
        UnlikeGitHubError
            GitHub would have started other jobs.
        """
        say(f"\nrehearsal of {scene.name}: {scene.title}")
        folder = self.folder / scene.name
        state = self.state(scene)
        workflow = self.repository / workflow_run.WORKFLOW
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
        outputs = {scene.planner: {"gpus": json.dumps(gpus)}}
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
