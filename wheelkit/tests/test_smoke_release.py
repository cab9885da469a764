"""Sealed distributions are tried everywhere that the project says, and none is left out."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import releases
from wheelkit.install import pythons
from wheelkit.target import trial
from wheelkit.target.report import Status, sha256

RUNNING = str(pythons.version_of(Path(sys.executable)))

# What a project gives: the package, and what runs its kernels.
KERNELS = """
PACKAGE = "tiny"

def run_kernels(tiny, device):
    kernels = [{"name": "sum", "max_error": 0.0, "limit": 1e-9}]
    return {"device": {"id": device}, "kernels": kernels, "tag": tiny.TAG}
"""

# Where its wheels are tried.
PYPROJECT = """
[tool.cibuildwheel]
manylinux-x86_64-image = "example.invalid/manylinux2014_x86_64:new"
test-skip = "cp314-*"

[[tool.cibuildwheel.overrides]]
select = "cp37-*"
manylinux-x86_64-image = "example.invalid/manylinux2014_x86_64:old"

[tool.wheelkit]
test-images = [
  { image = "example.invalid/manylinux_2_28_x86_64:1", pythons = ["3.14"] },
  { image = "python:3.7-slim", pythons = ["3.7"], python = "python" },
  { image = "python:3.13-slim", pythons = ["3.13"], python = "python" },
  { image = "fedora:42", pythons = ["3.13"], python = "python3", prepare = "dnf install python3" },
]
"""

# Notes how it was called.
DOCKER = """#!/bin/sh
printf '%s\\n' "$@" >> '{notes}'
echo -- >> '{notes}'
exit {status}
"""


def write_kernels(folder: Path) -> None:
    (folder / "kernels.py").write_text(KERNELS)


def make(tmp_path: Path, *pythons: str) -> releases.Release:
    release = releases.make(tmp_path / "release", pythons=pythons)
    shutil.rmtree(release.reports)
    (release.dist / "tiny-1.0.tar.gz").unlink()
    release.prove()
    shutil.rmtree(release.reports)
    (release.root / "pyproject.toml").write_text(PYPROJECT)
    return release


def smoke(release: releases.Release, *options: str, verb: str = "smoke-release") -> int:
    """Run a stage in the folder of the release; return its status."""
    command: list[str | Path] = [sys.executable, "-m", "wheelkit", verb, release.dist]
    command += ["--seal", release.seal]
    command += ["--reports", release.reports, *options]
    return subprocess.run(command, check=False, cwd=release.root).returncode


def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> Path:
    notes = tmp_path / "notes"
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(notes=notes, status=status))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return notes


def trials_of(notes: Path) -> list[list[str]]:
    """Return the calls that ran a trial, and not those that see whether the engine works."""
    calls = [call.split("\n") for call in notes.read_text().split("\n--\n") if call]
    return [call for call in calls if call[0] == "run" and call[-1] != "true"]


HERE = ("--engine", "none", "--device", "cpu", "--kernels", "kernels.py")
DOCKERED = ("--engine", "any", "--device", "cpu", "--kernels", "kernels.py")


def test_a_wheel_is_tried_in_a_clean_environment(tmp_path: Path) -> None:
    release = make(tmp_path, RUNNING)
    write_kernels(release.root)
    assert smoke(release, *HERE) == Status.DONE
    (path,) = release.reports.iterdir()
    report = json.loads(path.read_text())
    wheel = release.wheel(RUNNING)
    assert report["wheel"] == {"name": wheel.name, "sha256": sha256(wheel)}
    assert (report["place"], report["tag"]) == ("here", f"cp{RUNNING.replace('.', '')}")


@pytest.mark.parametrize(
    ("content", "status", "expected"),
    [
        ({"ok": True, "kernels": [{}]}, 0, Status.DONE),
        ({"ok": True, "kernels": []}, 0, Status.FAULTY),
        ({"ok": True}, 0, Status.FAULTY),
        (None, 0, Status.FAULTY),
        ({"ok": False, "kernels": [{}]}, 1, Status.FAULTY),
        (None, 3, Status.LACKING),
    ],
)
def test_a_smoke_test_that_proves_nothing_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: dict[str, object] | None,
    status: int,
    expected: int,
) -> None:
    def smoke(*arguments: Path) -> int:
        if content is not None:
            arguments[-1].write_text(json.dumps(content))
        return status

    monkeypatch.setattr(trial, "prepare", lambda *_: Path(sys.executable))
    monkeypatch.setattr(trial, "smoke", smoke)
    wheel, report = tmp_path / "tiny.whl", tmp_path / "report.json"
    wheel.write_bytes(b"a wheel")
    asked = argparse.Namespace(
        distribution=wheel, kernels=Path("k"), requirements=None, place="lab", report=report
    )
    assert trial.trial(asked) == expected
    assert report.exists() == (content is not None)
    if content is not None:
        written = json.loads(report.read_text())
        assert written["place"] == "lab"
        assert written["wheel"] == {"name": wheel.name, "sha256": sha256(wheel)}


def test_a_wheel_without_an_interpreter_is_not_left_out(tmp_path: Path) -> None:
    release = make(tmp_path, "3.99")
    write_kernels(release.root)
    assert smoke(release, *HERE) == Status.LACKING


@pytest.mark.parametrize("verb", ["smoke-release", "verify-release"])
def test_other_bytes_are_refused(tmp_path: Path, verb: str) -> None:
    release = make(tmp_path, RUNNING)
    write_kernels(release.root)
    with release.wheel(RUNNING).open("ab") as stream:
        stream.write(b"\0")
    options = HERE if verb == "smoke-release" else ("--engine", "none")
    assert smoke(release, *options, verb=verb) == Status.FAULTY
    assert not release.reports.exists()


def test_each_container_sees_the_wheel_and_no_more_than_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make(tmp_path, "3.7", "3.13")
    write_kernels(release.root)
    notes = fake_docker(tmp_path, monkeypatch)
    assert smoke(release, *DOCKERED) == Status.DONE
    runs = trials_of(notes)
    wheels = [next(word for word in run if word.endswith(".whl")) for run in runs]
    assert [wheel.split("-")[2] for wheel in wheels] == ["cp313"] * 3 + ["cp37"] * 2
    images = [run[run.index("sh") - 1].partition(":")[0] for run in runs]
    assert images[1:3] == ["python", "fedora"]
    assert runs[-1][:2] == ["run", "--rm"]
    assert f"--volume={release.dist}:/dist:ro" in runs[-1]
    assert f"--volume={release.root}:/project:ro" in runs[-1]
    assert "--workdir=/project" in runs[-1]
    assert "/project/kernels.py" in runs[-1]
    assert "--gpus=all" not in runs[-1]


def test_on_a_gpu_each_wheel_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = make(tmp_path, "3.7", "3.14")
    write_kernels(release.root)
    notes = fake_docker(tmp_path, monkeypatch)
    options = (
        "--engine",
        "any",
        "--device",
        "cuda",
        "--place",
        "gpu-t4",
        "--kernels",
        "kernels.py",
    )
    assert smoke(release, *options) == Status.DONE
    runs = trials_of(notes)
    assert [run.count("--gpus=all") for run in runs] == [1, 1]
    # NumPy has no wheel of CPython 3.14 for manylinux2014.
    assert "manylinux_2_28" in runs[0][runs[0].index("sh") - 1]
    assert all("gpu-t4" in run for run in runs)


def test_wheels_are_verified_on_the_oldest_system_that_has_their_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make(tmp_path, "3.7", "3.12", "3.14")
    notes = fake_docker(tmp_path, monkeypatch)
    options = ("--engine", "any", "--plat", "manylinux2014_x86_64")
    assert smoke(release, *options, verb="verify-release") == Status.DONE
    runs = trials_of(notes)
    images = [run[run.index("sh") - 1] for run in runs]
    assert ["manylinux2014" in image for image in images] == [True, True]
    wheels = [[word.split("-")[2] for word in run if word.endswith(".whl")] for run in runs]
    assert wheels == [["cp312", "cp314"], ["cp37"]]
    assert runs[0][runs[0].index("--plat") + 1] == "manylinux2014_x86_64"


def test_an_engine_that_does_not_work_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make(tmp_path, RUNNING)
    write_kernels(release.root)
    fake_docker(tmp_path, monkeypatch, status=125)
    assert smoke(release, *DOCKERED) == Status.LACKING


@pytest.mark.parametrize("place", ["../x", "two words", "a\nb", "-x"])
def test_a_place_that_is_no_part_of_a_file_name_is_wrong_usage(tmp_path: Path, place: str) -> None:
    release = make(tmp_path, RUNNING)
    write_kernels(release.root)
    options = ("--engine", "none", "--device", "cuda", f"--place={place}")
    assert smoke(release, *options, "--kernels", "kernels.py") == Status.MISUSED


def test_a_smoke_test_outside_of_the_project_is_wrong_usage(tmp_path: Path) -> None:
    release = make(tmp_path, RUNNING)
    write_kernels(tmp_path)
    assert smoke(release, *HERE[:-1], "../kernels.py") == Status.MISUSED


@pytest.mark.parametrize("verb", ["smoke-release", "verify-release"])
def test_only_the_wheels_for_one_architecture_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    release = make(tmp_path, "3.13")
    releases.add_wheel(release, "3.13", platform="manylinux_2_17_aarch64")
    release.prove()
    shutil.rmtree(release.reports)
    head, _, tail = PYPROJECT.partition("[tool.cibuildwheel]\n")
    own = '[tool.cibuildwheel]\nmanylinux-aarch64-image = "arm:1"\n'
    (release.root / "pyproject.toml").write_text(head + own + tail)
    write_kernels(release.root)
    notes = fake_docker(tmp_path, monkeypatch)
    options = DOCKERED if verb == "smoke-release" else ("--engine", "any")
    smoke(release, *options, "--architecture", "aarch64", verb=verb)
    words = [word for call in trials_of(notes) for word in call]
    assert "arm:1" in words
    assert not any("x86_64" in word for word in words)
    assert any("aarch64.whl" in word for word in words)


@pytest.mark.parametrize("verb", ["smoke-release", "verify-release"])
def test_an_architecture_without_wheels_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    release = make(tmp_path, "3.13")
    write_kernels(release.root)
    fake_docker(tmp_path, monkeypatch)
    options = DOCKERED if verb == "smoke-release" else ("--engine", "any")
    status = smoke(release, *options, "--architecture", "aarch64", verb=verb)
    assert status == Status.MISUSED
