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
    """A job: its steps, and the variable that its matrix sets."""

    name: str
    steps: tuple[Step, ...]
    matrix: str = ""


INSTALL = (Run('python -m pip install --quiet --no-deps "$WHEELKIT"'), Run("wheelkit setup"))
SEALED = Take("sealed", "dist")
_SMOKE = (
    'wheelkit smoke-release dist --seal "$SEAL" --engine "$ENGINE" '
    '--device {device} --kernels "$KERNELS" --requirements "$REQUIREMENTS" --reports reports'
)

# .github/workflows/cuda-wheel.yml
BUILD_AND_PROVE = (
    Job(
        "sdist",
        (
            *INSTALL,
            Run("wheelkit sdist --out dist"),
            HandOn("built-sdist", "dist"),
        ),
    ),
    Job(
        "build",
        (
            *INSTALL,
            Run('$BUILD --python "$PYTHON" --out dist'),
            HandOn("built-$PYTHON", "dist"),
        ),
        matrix="PYTHON",
    ),
    Job(
        "seal",
        (
            *INSTALL,
            Take("built-*", "dist"),
            Run("wheelkit seal dist"),
            HandOn("sealed", "dist"),
        ),
    ),
    Job(
        "verify",
        (
            *INSTALL,
            SEALED,
            Run(
                'wheelkit verify-release dist --seal "$SEAL" '
                '--engine "$ENGINE" --plat "$PLAT" --reports reports'
            ),
            Run(_SMOKE.format(device="cpu")),
            HandOn("reports-verify", "reports"),
        ),
    ),
    Job(
        "smoke-gpu",
        (
            *INSTALL,
            SEALED,
            Run(_SMOKE.format(device='"$DEVICE" --place "$PLACE"')),
            HandOn("reports-gpu-$PLACE", "reports"),
        ),
        matrix="PLACE",
    ),
    Job(
        "summary",
        (
            *INSTALL,
            SEALED,
            Take("reports-*", "reports", merge=False),
            Run('wheelkit summary dist --seal "$SEAL" --reports reports --places "$PLACES"'),
        ),
    ),
)

# .github/workflows/wheels.yml
PUBLISH = (
    Job(
        "publish",
        (
            *INSTALL,
            Take("sealed", "dist"),
            Take("reports-*", "reports", merge=False),
            Run(
                'wheelkit gate dist --seal "$SEAL" --reports reports '
                '--project cyfes --tag "$TAG" --pythons "$PYTHONS" --device "$DEVICE" '
                '--places "$PLACES" --index "$INDEX" --upload upload --notes notes.md '
                "--report gates.json"
            ),
            Publish("upload"),
        ),
    ),
)
