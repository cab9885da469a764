"""The source distribution has the files that a build needs, and each build gives the same bytes."""

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
    assert {"CMakeLists.txt", "cyfes/kernels/FES.cu", "scripts/kernels/install_cuda.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".whl"))]


def test_files_that_git_ignores_are_not_sources(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in (".gitignore", "kept.py", "built.so", "a b.txt"):
        (tmp_path / name).write_text("*.so\n")
    assert sorted(source_files.listed(tmp_path)) == [".gitignore", "a b.txt", "kept.py"]


def test_sources_that_do_not_build_have_status_1(tmp_path: Path) -> None:
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


# Hidden files are for developers; a build does not need them, so they are left out.
HIDDEN = "."
# Files that README's commands, and users, leave in a checkout.
OTHER_FILES = (
    *("venv/lib/python3.11/site-packages/pip/__init__.py", ".venv/bin/python", "env/pyvenv.cfg"),
    *("my-venv/pyvenv.cfg", "wheelhouse/cyfes.whl", "build/cuda/version.json", "dist/old.tar.gz"),
    *("HILLS", "fes.dat", "notes.md", "secret.env", "cyfes/fes.dat", "cyfes/wrapper.c"),
    *("cyfes/wrapper.cpython-311-x86_64-linux-gnu.so", "scripts/__pycache__/x.cpython-311.py"),
    *("tests/core", "docs/run/1.txt", "node_modules/left/index.js", "project.egg-info/PKG-INFO"),
)


def checkout(project: Path, folder: Path) -> set[str]:
    """Copy the sources that git lists and write other files beside them; return the sources."""
    source_files.export(project, folder)
    for name in OTHER_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("other")
    return set(source_files.listed(project))


def sdist_of(folder: Path, out: Path) -> set[str]:
    """Make a source distribution with the build back end; return the files in it."""
    call = f"from scikit_build_core.build import build_sdist; build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", call], check=True, cwd=folder, capture_output=True)
    (made,) = out.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def test_a_source_distribution_has_only_sources(project_root: Path, tmp_path: Path) -> None:
    """As ``python -m build`` makes it, in a checkout with other files."""
    sources = checkout(project_root, tmp_path / "checkout")
    found = sdist_of(tmp_path / "checkout", tmp_path / "out")
    expected = {name for name in sources if not name.startswith(HIDDEN)} | {"PKG-INFO"}
    assert found == expected


def test_other_files_are_noticed(project_root: Path, tmp_path: Path) -> None:
    """Without the project's list of files, the comparison above fails."""
    folder = tmp_path / "checkout"
    sources = checkout(project_root, folder)
    settings = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(settings.replace('sdist.exclude = ["*"]', ""))
    found = sdist_of(folder, tmp_path / "out")
    assert {"HILLS", "cyfes/fes.dat"} <= found - sources


def test_environments_that_readme_makes_are_ignored_by_git(project_root: Path) -> None:
    names = ("venv/pyvenv.cfg", ".venv/pyvenv.cfg", "env/pyvenv.cfg", "build/x", "wheelhouse/x")
    command = ["git", "-C", str(project_root), "check-ignore", "--no-index", *names]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines() == list(names)
