"""The events of a rehearsal, and how each job of wheels.yml must end for each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from release.workflow_run import Event, Results
from shared.ledger import PROJECT

NAME = "cyfes"
GPU_RUNNER = "gpu-standin"
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
    # The job that says on which GPU runners the wheels are tested.
    planner: str = "plan"

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
