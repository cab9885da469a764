"""The source distribution is built by what the project has pinned, if it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import releases
import tiny_wheels
from wheelkit.target.report import Status, sha256

# A build backend of a few lines, which says in the source distribution who built it.
BACKEND = b"""
import pathlib, sys, tarfile
def build_sdist(folder, settings=None):
    print("::add-mask::secret")
    pathlib.Path("PKG-INFO").write_text(sys.prefix)
    with tarfile.open(pathlib.Path(folder, "tiny-1.0.tar.gz"), "w:gz") as archive:
        archive.add("PKG-INFO", "tiny-1.0/PKG-INFO")
    return "tiny-1.0.tar.gz"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that this backend builds, with its requirements, which need no index."""
    folder = tmp_path / "project"
    folder.mkdir()
    wheel = tiny_wheels.wheel(
        tmp_path / "wheels", {"tinybackend.py": BACKEND}, tag="py3-none-any", name="tinybackend-1.0"
    )
    build_system = 'requires = ["tinybackend==1.0"]\nbuild-backend = "tinybackend"\n'
    (folder / "pyproject.toml").write_text(f"[build-system]\n{build_system}")
    (folder / "build.txt").write_text(
        f"--no-index\n--find-links {wheel.parent.as_uri()}\n"
        f"tinybackend==1.0 --hash=sha256:{sha256(wheel)}\n"
    )
    releases.git(folder, "init", "--quiet")
    releases.commit(folder)
    return folder


def build(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelkit", "sdist", "--out", "out", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=project)


def test_it_is_built_in_an_environment_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = build(project, "--requirements", "build.txt")
    assert done.returncode == Status.DONE, done.stderr
    first, last, path = done.stdout.splitlines()
    assert path == "out/tiny-1.0.tar.gz"
    # What the backend prints is no command.
    assert first.startswith("::stop-commands::")
    assert last == f"::{first.removeprefix('::stop-commands::')}::"
    assert "::add-mask::secret" in done.stderr
    command = ["tar", "--extract", "--to-stdout", "--file", path]
    built = subprocess.run(command, check=True, capture_output=True, text=True, cwd=project)
    assert built.stdout != sys.prefix
    assert built.stdout.endswith("/venv")
    assert [path.name for path in (project / "out").iterdir()] == ["tiny-1.0.tar.gz"]


def test_requirements_with_another_hash_build_nothing(project: Path) -> None:
    path = project / "build.txt"
    path.write_text(path.read_text().replace("sha256:", "sha256:0000"))
    done = build(project, "--requirements", "build.txt")
    assert done.returncode == Status.LACKING
    assert "pip could not install" in done.stderr
    assert list((project / "out").iterdir()) == []


def test_another_version_than_the_project_asks_for_builds_nothing(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace("==1.0", ">=2"))
    done = build(project, "--requirements", "build.txt")
    assert done.returncode == Status.MISUSED
    assert "tinybackend>=2" in done.stderr


def test_a_file_that_is_absent_is_wrong_usage(project: Path) -> None:
    assert build(project, "--requirements", "nowhere.txt").returncode == Status.MISUSED
