"""The steps of a release, job by job, as .github/workflows/cuda-wheel.yml and wheels.yml have them.

rehearse.py runs them on one machine. A test compares them with the workflows, so that nobody
changes only one of the two. Steps that prepare GitHub's machines, or that use GitHub itself, are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Run a command line, whose variables come from the workflow's inputs and outputs."""

    line: str


@dataclass(frozen=True)
class DownloadArtifact:
    """Download artifacts of earlier jobs into one folder, or without `merge` into a folder each."""

    artifact: str
    folder: str
    merge: bool = True


@dataclass(frozen=True)
class UploadArtifact:
    """Upload a folder as an artifact of this job."""

    artifact: str
    folder: str


@dataclass(frozen=True)
class PublishFiles:
    """Upload the files of a folder to the index, unless the gates found none to upload."""

    folder: str


Step = Run | DownloadArtifact | UploadArtifact | PublishFiles


@dataclass(frozen=True)
class Job:
    """A job: its steps, and the variable that its matrix sets."""

    name: str
    steps: tuple[Step, ...]
    matrix: str = ""


INSTALL = (Run('python -m pip install --quiet --no-deps "$WHEELKIT"'), Run("wheelkit setup"))
SEALED = DownloadArtifact("sealed", "dist")
_SMOKE = (
    'wheelkit smoke-release dist --seal "$SEAL" --engine "$ENGINE" '
    '--device {device} --kernels "$KERNELS" --requirements "$REQUIREMENTS" --reports reports'
)

# .github/workflows/cuda-wheel.yml
BUILD_AND_VERIFY = (
    Job(
        "sdist",
        (
            *INSTALL,
            Run("wheelkit sdist --out dist"),
            UploadArtifact("built-sdist", "dist"),
        ),
    ),
    Job(
        "build",
        (
            *INSTALL,
            Run('$BUILD --python "$PYTHON" --out dist'),
            UploadArtifact("built-$PYTHON", "dist"),
        ),
        matrix="PYTHON",
    ),
    Job(
        "seal",
        (
            *INSTALL,
            DownloadArtifact("built-*", "dist"),
            Run("wheelkit seal dist"),
            UploadArtifact("sealed", "dist"),
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
            UploadArtifact("reports-verify", "reports"),
        ),
    ),
    Job(
        "smoke-gpu",
        (
            *INSTALL,
            SEALED,
            Run(_SMOKE.format(device='"$DEVICE" --place "$PLACE"')),
            UploadArtifact("reports-gpu-$PLACE", "reports"),
        ),
        matrix="PLACE",
    ),
    Job(
        "summary",
        (
            *INSTALL,
            SEALED,
            DownloadArtifact("reports-*", "reports", merge=False),
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
            DownloadArtifact("sealed", "dist"),
            DownloadArtifact("reports-*", "reports", merge=False),
            Run(
                'wheelkit gate dist --seal "$SEAL" --reports reports '
                '--project cyfes --tag "$TAG" --pythons "$PYTHONS" --device "$DEVICE" '
                '--places "$PLACES" --index "$INDEX" --upload upload --notes notes.md '
                "--report gates.json"
            ),
            PublishFiles("upload"),
        ),
    ),
)
