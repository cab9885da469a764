"""The steps of a release, job by job, as .github/workflows/cuda-wheel.yml and wheels.yml have them.

rehearse.py runs them on one machine; a test compares them with the workflows, so that neither can
change alone. Left out are steps that prepare GitHub's machines or talk to GitHub itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A command line; its variables are set from the workflow's inputs and outputs."""

    line: str


@dataclass(frozen=True)
class Take:
    """Bring an artifact of an earlier job to a folder; each of several gets a folder of its own."""

    artifact: str
    folder: str
    merge: bool = True


@dataclass(frozen=True)
class HandOn:
    """Make a folder the artifact of this job."""

    artifact: str
    folder: str


@dataclass(frozen=True)
class Publish:
    """Upload the files of a folder to the index, unless the gates found none to upload."""

    folder: str


Step = Run | Take | HandOn | Publish


@dataclass(frozen=True)
class Job:
    """A job: its steps, and the variable that its matrix sets.

    `beside` tells where the sources are: in ``project``, with the tools beside them, or in the
    workspace itself.
    """

    name: str
    steps: tuple[Step, ...]
    matrix: str = ""
    beside: bool = True


def _pins(tools: str) -> Run:
    return Run(
        "python -m pip install --quiet --require-hashes --only-binary=:all: "
        f"--requirement {tools}requirements/release.txt"
    )


SEALED = Take("sealed", "project/dist")
_SMOKE = (
    'python ../tools/scripts/smoke_release.py dist --seal "$SEAL" --engine "$ENGINE" '
    '--device {device} --smoke "$SMOKE" --requirements "$REQUIREMENTS" --reports reports'
)

# .github/workflows/cuda-wheel.yml
BUILD_AND_PROVE = (
    Job(
        "sdist",
        (
            _pins("../tools/"),
            Run("python ../tools/scripts/build_sdist.py --out dist"),
            HandOn("built-sdist", "project/dist"),
        ),
    ),
    Job(
        "build",
        (
            _pins("../tools/"),
            Run('python "$BUILD_SCRIPT" --python "$PYTHON" --out dist'),
            HandOn("built-$PYTHON", "project/dist"),
        ),
        matrix="PYTHON",
    ),
    Job(
        "seal",
        (
            _pins("../tools/"),
            Take("built-*", "project/dist"),
            Run("python ../tools/scripts/seal_release.py dist"),
            HandOn("sealed", "project/dist"),
        ),
    ),
    Job(
        "verify",
        (
            _pins("../tools/"),
            SEALED,
            Run(
                'python ../tools/scripts/verify_release.py dist --seal "$SEAL" '
                '--engine "$ENGINE" --plat "$PLAT" --reports reports'
            ),
            Run(_SMOKE.format(device="cpu")),
            HandOn("reports-verify", "project/reports"),
        ),
    ),
    Job(
        "smoke-gpu",
        (
            _pins("../tools/"),
            SEALED,
            Run(_SMOKE.format(device='"$DEVICE" --place "$PLACE"')),
            HandOn("reports-gpu-$PLACE", "project/reports"),
        ),
        matrix="PLACE",
    ),
    Job(
        "summary",
        (
            _pins("../tools/"),
            SEALED,
            Take("reports-*", "project/reports", merge=False),
            Run(
                'python ../tools/scripts/summarize_release.py dist --seal "$SEAL" '
                '--reports reports --places "$PLACES"'
            ),
        ),
    ),
)

# .github/workflows/wheels.yml
PUBLISH = (
    Job(
        "publish",
        (
            _pins(""),
            Take("sealed", "dist"),
            Take("reports-*", "reports", merge=False),
            Run(
                'python scripts/check_release.py dist --seal "$SEAL" --reports reports '
                '--project cyfes --tag "$TAG" --pythons "$PYTHONS" --device "$DEVICE" '
                '--places "$PLACES" --index "$INDEX" --upload upload --notes notes.md '
                "--report gates.json"
            ),
            Publish("upload"),
        ),
        beside=False,
    ),
)
