"""Rehearsals: a release that was killed during the upload is completed by the next run."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import releases
from release import rehearse
from release.release_plan import (
    BUILD_AND_VERIFY,
    DownloadArtifact,
    Job,
    PublishFiles,
    Run,
    UploadArtifact,
)
from wheelkit.install import pythons
from wheelkit.target.report import MisusedError, Status, sha256

SCRIPTS = Path(rehearse.__file__).parents[1]
RUNNING = str(pythons.version_of(Path(sys.executable)))


def rehearsal_before_publishing(folder: Path, wheel: Path) -> releases.Release:
    """Make a rehearsal in which all jobs are finished except the publishing."""
    release = releases.Release(folder, "cyfes", (RUNNING,))
    release.dist.mkdir(parents=True)
    shutil.copy(wheel, release.dist)
    releases.sdist(release.dist / f"cyfes-{rehearse.version()}.tar.gz", "cyfes")
    release.prove()
    hashes = {path.name: sha256(path) for path in release.dist.iterdir()}
    cpu = {"device": {"id": "cpu"}, "place": "here"}
    release.report(wheel.name, hashes[wheel.name], "smoke_test", "here", **cpu)
    rehearsal = rehearse.Rehearsal(
        folder, {"seal": release.seal}, [job.name for job in BUILD_AND_VERIFY]
    )
    shutil.move(release.dist, rehearsal.artifact("sealed"))
    shutil.move(release.reports, rehearsal.artifact("reports-verify"))
    rehearsal.save()
    return release


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, str(SCRIPTS), "rehearse", "--resume", "--folder", str(folder), *options]


def wait_for(folder: Path, files: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*"))) < files:
        assert process.poll() is None, "the rehearsal ended before the upload"
        assert time.monotonic() < deadline, "nothing was uploaded"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_rehearsal_killed_in_the_upload_is_completed(tmp_path: Path, wheel: Path) -> None:
    folder = tmp_path / "rehearsal"
    rehearsal_before_publishing(folder, wheel)
    index = folder / "index"
    first = subprocess.Popen(command(folder, "--stall-after", "1"), start_new_session=True)
    wait_for(index, 1, first)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert len(list(index.iterdir())) == 1
    done = subprocess.run(command(folder), check=False, stdout=subprocess.PIPE, text=True)
    assert done.returncode == Status.DONE
    published = {path.name: sha256(path) for path in index.iterdir()}
    sealed = {path.name: sha256(path) for path in (folder / "artifacts" / "sealed").iterdir()}
    assert published == {name: sha for name, sha in sealed.items() if name != "SHA256SUMS"}
    assert f"installed from the index, CPython {RUNNING}: smoke test: cpu ok" in done.stdout


def test_a_rehearsal_that_was_not_started_cannot_be_resumed(tmp_path: Path) -> None:
    rehearsal = rehearse.Rehearsal(tmp_path)
    with pytest.raises(MisusedError, match="no rehearsal"):
        rehearsal.resume()


def test_only_artifacts_pass_from_job_to_job(tmp_path: Path) -> None:
    rehearsal = rehearse.Rehearsal(tmp_path)
    writes = Run('mkdir dist && echo "$PYTHON" > "dist/$PYTHON" && echo "seal=5" >> $GITHUB_OUTPUT')
    reads = Run('test "$(cat dist/3.10) $(cat dist/3.13) $SEAL" = "3.10 3.13 5" && test ! -e left')
    jobs = (
        Job(
            "build", (writes, Run("touch left"), UploadArtifact("built-$PYTHON", "dist")), "PYTHON"
        ),
        Job("verify", (DownloadArtifact("built-*", "dist"), reads)),
    )
    setting = {"PYTHONS": '["3.10", "3.13"]', "PLACES": "[]"}
    rehearse.rehearse(jobs, rehearsal, setting)
    again = rehearse.Rehearsal(tmp_path)
    again.resume()
    assert (again.done, again.outputs) == (["build", "verify"], {"seal": "5"})


def test_a_failing_step_ends_the_rehearsal(tmp_path: Path) -> None:
    rehearsal = rehearse.Rehearsal(tmp_path)
    job = Job("verify", (Run("(exit 3) | cat"), Run("touch reached")))
    with pytest.raises(rehearse.StepError, match="verify failed") as caught:
        rehearse.rehearse((job,), rehearsal, {"PYTHONS": "[]", "PLACES": "[]"})
    assert caught.value.status == 3
    assert not list(tmp_path.rglob("reached"))


def test_nothing_is_uploaded_if_the_index_has_all_files(tmp_path: Path) -> None:
    rehearsal = rehearse.Rehearsal(tmp_path, {"pending": "0"})
    job = Job("publish", (PublishFiles("upload"),))
    rehearse.rehearse((job,), rehearsal, {"PYTHONS": "[]", "PLACES": "[]", "UPLOAD": "nowhere"})


@pytest.mark.parametrize(
    ("containers", "verb", "engine"),
    [(False, "wheel", "none"), (True, "wheelhouse", "any")],
)
def test_only_what_the_machine_lacks_is_replaced(
    project_root: Path, containers: bool, verb: str, engine: str
) -> None:
    folder = project_root / "build" / "rehearsal"
    asked = argparse.Namespace(containers=containers, folder=folder)
    found = rehearse.variables(asked, [RUNNING])
    # The command names the scripts as seen from the folder of the job.
    python, scripts, *words = found["BUILD"].split()
    assert python == "python"
    path = os.path.normpath(folder / "jobs" / "build" / scripts)
    done = subprocess.run(
        [sys.executable, path, *words, "--help"], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"usage: scripts {verb} ")
    assert found["ENGINE"] == engine
    assert json.loads(found["PYTHONS"]) == [RUNNING]
