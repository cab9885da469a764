"""The source distribution has what a build needs, and is the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from wheelkit.base import source_files
from wheelkit.target.report import Status, sha256


def build(out: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelkit", "sdist", "--out", str(out)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)


@pytest.mark.network
def test_two_builds_are_the_same(project_root: Path, tmp_path: Path) -> None:
    first, second = (build(tmp_path / name, project_root) for name in ("a", "b"))
    assert first.returncode == Status.DONE, first.stderr
    paths = [Path(done.stdout.splitlines()[-1]) for done in (first, second)]
    assert sha256(paths[0]) == sha256(paths[1])
    with tarfile.open(paths[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CMakeLists.txt", "cyfes/kernels/FES.cu", "scripts/install_cuda.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".whl"))]


def test_what_git_ignores_is_no_source(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in (".gitignore", "kept.py", "built.so", "a b.txt"):
        (tmp_path / name).write_text("*.so\n")
    assert sorted(source_files.listed(tmp_path)) == [".gitignore", "a b.txt", "kept.py"]


def test_sources_that_do_not_build_are_at_fault(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    subprocess.run(["git", "init", "--quiet", project], check=True)
    (project / "pyproject.toml").write_text("[build-system]\nrequires = 5\n")
    done = build(tmp_path / "out", project)
    assert done.returncode == Status.FAULTY
    assert "do not build" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_without_git_is_reported(tmp_path: Path) -> None:
    done = build(tmp_path / "out", tmp_path)
    assert done.returncode == Status.LACKING
    assert list((tmp_path / "out").iterdir()) == []
