"""run_tests.py uses an unchanged environment again, and removes temporary files after a success."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from develop import run_tests
from shared.ledger import PROJECT, LocalWheel
from shared.steps import StepResult
from wheelkit.target.report import LackingError, MisusedError

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NOTHING: list[str] = []


class Project:
    """A wheel, requirements, and a fake pip that records what it is to install."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheel = root / "tiny.whl"
        self.files = [root / "tests.txt", root / "tools.txt"]
        for path in (self.wheel, *self.files):
            path.write_text(path.name)
        self.installed: list[str] = []
        self.status = 0

    def run(self, what: str, _: object, *, shown: bool) -> StepResult:
        assert not shown
        self.installed.append(what)
        return StepResult(self.status)

    def environment(self) -> Path:
        product = LocalWheel(VERSION, str(self.wheel), str(self.wheel))
        return run_tests.make_environment(VERSION, product)


def make_venv(_: Path, folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "made-from.json").unlink(missing_ok=True)
    return folder / "bin" / "python"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setattr(run_tests, "BUILD", tmp_path / "build")
    monkeypatch.setattr(run_tests, "requirements", lambda _: project.files)
    monkeypatch.setattr(run_tests, "make_venv", make_venv)
    monkeypatch.setattr("shared.steps.run", project.run)
    monkeypatch.setattr("shared.install_wheelkit.install_folder", lambda _: None)
    return project


def test_environment_is_made_once(project: Project) -> None:
    python = project.environment()
    assert len(project.installed) == 2
    assert project.environment() == python
    assert len(project.installed) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda project: project.wheel.write_text("another"), id="the wheel"),
        pytest.param(lambda project: project.files[0].write_text("another"), id="a pin"),
        pytest.param(lambda project: project.files.pop(), id="a file of pins"),
    ],
)
def test_environment_is_made_anew_after_a_change(
    project: Project, change: Callable[[Project], object]
) -> None:
    project.environment()
    change(project)
    project.environment()
    assert len(project.installed) == 4


def test_environment_that_could_not_be_made_is_not_used(project: Project) -> None:
    project.status = 1
    with pytest.raises(LackingError, match=f"install what the tests need on CPython {VERSION}"):
        project.environment()
    project.status = 0
    project.environment()
    assert len(project.installed) == 3


@pytest.mark.parametrize("status", [0, 1])
def test_temporary_files_stay_only_after_a_failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    fake = tmp_path / "bin" / "pytest"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nmktemp\ntouch "$PWD/left"\nexit {status}\n')
    fake.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    product = LocalWheel(VERSION, "raw.whl", "fixed.whl")
    assert run_tests.run_pytest(fake.with_name("python"), product, NOTHING) == status
    left = [path for path in temporary.rglob("*") if path.is_file()]
    assert len(left) == (2 if status else 0)
    assert (str(temporary) in capsys.readouterr().err) is bool(status)


def test_a_finished_wheel_runs_the_tests_of_the_package(tmp_path: Path) -> None:
    wheel = tmp_path / "cyfes-1-cp37-cp37m-manylinux2014_x86_64.whl"
    wheel.touch()
    (tmp_path / "cyfes-1-cp312-cp312-manylinux2014_x86_64.whl").touch()
    product = run_tests.finished_wheel(tmp_path, "3.7")
    assert product.wheel == str(wheel)
    chosen = [str(PROJECT / "tests")]
    options = run_tests.conftest_options(chosen, product)
    assert options == [f"--wheel={wheel}", "--package-only"]
    assert [path.name for path in run_tests.requirements(product)] == ["tests.txt"]


def test_on_a_free_threaded_cpython_only_the_package_is_tested() -> None:
    """Some tools of the scripts, and some optional packages, have no wheels for it."""
    product = LocalWheel("3.14t", "raw.whl", "fixed.whl")
    assert not run_tests.tests_scripts(product)
    assert [path.name for path in run_tests.requirements(product)] == ["free-threaded.txt"]
    assert run_tests.tests_scripts(LocalWheel("3.14", "raw.whl", "fixed.whl"))


@pytest.mark.parametrize("names", [[], ["cyfes-1-cp37-cp37m-a.whl", "cyfes-2-cp37-cp37m-a.whl"]])
def test_one_finished_wheel_is_expected(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(MisusedError, match=r"expected one wheel of CPython 3\.7"):
        run_tests.finished_wheel(tmp_path, "3.7")
