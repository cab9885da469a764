"""build_wheels.py with a small project, whose build back end records its environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from wheelkit.install import pythons
from wheelkit.target.report import LackingError
from wheels import build_wheels

SCRIPTS = Path(build_wheels.__file__).parents[1]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import json, os, pathlib, sys, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    if pathlib.Path("broken").exists():
        sys.exit("compiler says: missing semicolon")
    name = "tiny-1.0-py3-none-any.whl"
    seen = {key: os.environ.get(key) for key in (
        "CUDA_HOME", "SKBUILD_CMAKE_DEFINE", "SOURCE_DATE_EPOCH", "PIP_FROM_USER")}
    seen["python"] = "%d.%d" % sys.version_info[:2]
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("tiny/seen.json", json.dumps(seen))
        wheel.writestr("tiny-1.0.dist-info/METADATA",
                       "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a copy of the scripts, and a build back end that needs no network."""
    root = tmp_path / "project"
    shutil.copytree(SCRIPTS, root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (tmp_path / "cuda").mkdir()
    return root


def run(
    project: Path, *arguments: str, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run the script of the project; a variable with the value None is removed."""
    changed = {"CUDA_HOME": str(project.parent / "cuda"), "PIP_NO_INDEX": "1", **environment}
    dropped = ("SKBUILD_CMAKE_DEFINE", "SOURCE_DATE_EPOCH")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return subprocess.run(
        [sys.executable, project / "scripts", "build", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=project.parent,
        env={key: value for key, value in {**kept, **changed}.items() if value is not None},
    )


def kept_images(project: Path) -> str:
    return f"CUFES_IMAGE_CACHE={project / 'build' / 'images'}"


def seen_by_backend(wheel: Path) -> dict[str, str]:
    """Return what the build back end has recorded."""
    with zipfile.ZipFile(wheel) as archive:
        seen: dict[str, str] = json.loads(archive.read("tiny/seen.json"))
    return seen


def test_wheel_is_built_for_the_running_interpreter_by_default(project: Path) -> None:
    done = run(project, PIP_FROM_USER="kept")
    wheel = project / "build" / "wheels" / "tiny-1.0-py3-none-any.whl"
    assert (done.returncode, done.stdout) == (0, f"{wheel}\n"), done.stderr
    assert list(wheel.parent.iterdir()) == [wheel]
    assert seen_by_backend(wheel) == {
        "CUDA_HOME": str(project.parent / "cuda"),
        "SKBUILD_CMAKE_DEFINE": f"{kept_images(project)};CUFES_BUNDLE_RUNTIME=OFF",
        "SOURCE_DATE_EPOCH": build_wheels.ZIP_EPOCH,
        "PIP_FROM_USER": "kept",
        "python": pythons.version_of(Path(sys.executable)),
    }
    assert "no git history here" in done.stderr


def test_settings_of_the_user_are_kept(project: Path) -> None:
    arguments = ("--out", "elsewhere")
    settings = {"SOURCE_DATE_EPOCH": "1234567890", "SKBUILD_CMAKE_DEFINE": "A=B"}
    done = run(project, *arguments, **settings)
    wheel = project.parent / "elsewhere" / "tiny-1.0-py3-none-any.whl"
    assert done.stdout == f"{wheel}\n"
    seen = seen_by_backend(wheel)
    defines = f"{kept_images(project)};A=B;CUFES_BUNDLE_RUNTIME=OFF"
    assert seen["SKBUILD_CMAKE_DEFINE"] == defines
    assert seen["SOURCE_DATE_EPOCH"] == "1234567890"


def test_date_of_the_last_commit_is_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_wheels, "PROJECT", project)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    date = {"GIT_COMMITTER_DATE": "1600000000 +0000", "GIT_CONFIG_GLOBAL": os.devnull}
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], check=True, cwd=project, env={**os.environ, **date})
    assert build_wheels.source_date() == "1600000000"


def test_failing_build_shows_why_and_keeps_an_older_wheel(project: Path) -> None:
    out = project / "build" / "wheels"
    out.mkdir(parents=True)
    (out / "tiny-1.0-py3-none-any.whl").write_text("older")
    (project / "broken").write_text("")
    done = run(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "compiler says: missing semicolon" in done.stderr
    assert [path.read_text() for path in out.iterdir()] == ["older"]


def test_missing_interpreter_is_reported_before_any_build(project: Path) -> None:
    version = str(pythons.version_of(Path(sys.executable)))
    done = run(project, "--python", version, "--python", "3.98")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no CPython 3.98 runs here" in done.stderr


def test_nonsense_version_is_wrong_usage(project: Path) -> None:
    assert run(project, "--python", "three").returncode == 2


def test_missing_cuda_home_is_wrong_usage(project: Path) -> None:
    done = run(project, CUDA_HOME="absent")
    assert done.returncode == 2
    assert "absent is not a directory" in done.stderr


def test_toolkit_that_cannot_be_downloaded_has_status_3(
    project: Path,
) -> None:
    done = run(project, CUDA_HOME=None, PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert (done.returncode, done.stdout) == (3, "")
    assert "could not download the CUDA toolkit" in done.stderr
    assert not (project / "build" / "cuda").exists()


def test_missing_compiler_has_status_3(project: Path) -> None:
    done = run(project, CXX="no-such-compiler -O3")
    assert done.returncode == 3
    assert "no C++ compiler found (no-such-compiler -O3)" in done.stderr


def test_missing_headers_are_an_error(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\necho {tmp_path}/include\n")
    python.chmod(0o755)
    with pytest.raises(LackingError, match=r"no .*/include/Python.h; install .* python3-dev"):
        build_wheels.check_headers(python)
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    build_wheels.check_headers(python)
