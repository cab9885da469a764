"""Another project's wheel, with a stand-in for cibuildwheel."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from wheelkit.cli import build as build_project
from wheelkit.containers import cibuildwheel
from wheelkit.target.report import Status, run

CIBUILDWHEEL = """#!/bin/sh
echo "$CIBW_BUILD | $CIBW_REPAIR_WHEEL_COMMAND_LINUX" > {notes}
# The container sees the files of this machine there.
set -- "$@" $CIBW_REPAIR_WHEEL_COMMAND_LINUX
test -f "${{9#/host}}/__main__.py" || exit 9
for number in {wheels}; do touch "$6/tiny-$number-cp37-cp37m-manylinux_2_17_x86_64.whl"; done
exit {status}
"""


def build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: str = "1", status: int = 0
) -> int:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text(CIBUILDWHEEL.format(notes=tmp_path / "notes", wheels=wheels, status=status))
    program.chmod(0o755)
    monkeypatch.setattr(cibuildwheel, "install_builder", lambda *_: program)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    return run(lambda: build_project.main(["--python", "3.7", "--out", "dist"]))


def test_the_repair_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path, monkeypatch) == Status.DONE
    identifier, _, repair = (tmp_path / "notes").read_text().strip().partition(" | ")
    assert identifier == "cp37-manylinux_x86_64"
    assert shlex.split(repair)[2:] == ["bootstrap", "repair", "{wheel}", "{dest_dir}"]
    (wheel,) = (tmp_path / "dist").iterdir()
    assert capsys.readouterr().out.splitlines()[-1] == f"dist/{wheel.name}"


@pytest.mark.parametrize(("wheels", "status"), [("1", 1), ("", 0), ("1 2", 0)])
def test_a_build_without_exactly_one_wheel_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: str, status: int
) -> None:
    assert build(tmp_path, monkeypatch, wheels, status) == Status.FAULTY
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_folder_without_a_project_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(lambda: build_project.main(["--python", "3.7"])) == Status.MISUSED


def test_a_python_that_no_cibuildwheel_builds_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    assert run(lambda: build_project.main(["--python", "3.6"])) == Status.MISUSED


@pytest.mark.parametrize(
    ("version", "pins"), [("3.7", "cibuildwheel-2.txt"), ("3.14t", "cibuildwheel.txt")]
)
def test_each_python_has_its_cibuildwheel(version: str, pins: str) -> None:
    assert cibuildwheel.builder_for(version).pins == pins
