"""wheelkit verify-release: every sealed wheel is verified, and every verdict counts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import releases
from wheelkit.cli import verify_release
from wheelkit.containers import engines, images
from wheelkit.release import seal
from wheelkit.target.report import Status, run

# The wheel of CPython 3.7 is verified in one image, the others in another one.
PYPROJECT = """
[tool.cibuildwheel]
manylinux-x86_64-image = "example.invalid/manylinux:new"

[[tool.cibuildwheel.overrides]]
select = "cp37-*"
manylinux-x86_64-image = "example.invalid/manylinux:old"
"""
# Notes each call in a line. A run with wheels ends with what the variable of its image says.
ENGINE = """#!/bin/sh
printf '%s\\t' "$@" >> "$NOTES"
echo >> "$NOTES"
case "$*" in
  *true) exit 0 ;;
  *manylinux:new*) exit "${STATUS_NEW:-0}" ;;
  *manylinux:old*) exit "${STATUS_OLD:-0}" ;;
esac
"""
# Stands for the interpreter, with which `--engine none` runs `wheelkit verify`.
INTERPRETER = """#!/bin/sh
printf '%s\\t' "$@" >> "$NOTES"
exit "${STATUS:-0}"
"""


def install(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the programs note that stand for docker and for the interpreter."""
    images._engine.cache_clear()
    # Other tests show that a container has pip's settings.
    monkeypatch.setattr(engines, "pip_settings", lambda: engines.PipSettings({}, ()))
    docker = install(tmp_path / "bin" / "docker", ENGINE)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=os.pathsep)
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    for name in ("CIBW_CONTAINER_ENGINE", "GITHUB_ACTIONS", images.IMAGE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "notes"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> releases.Release:
    made = releases.Release(tmp_path / "release", pythons=("3.7", "3.12", "3.13"))
    for python in made.pythons:
        releases.add_wheel(made, python)
    made.seal, _ = seal.write(made.dist)
    (made.root / "pyproject.toml").write_text(PYPROJECT)
    monkeypatch.chdir(made.root)
    return made


def verify(release: releases.Release, *options: str) -> int:
    words = [str(release.dist), "--seal", release.seal, "--reports", str(release.reports)]
    return run(lambda: verify_release.main([*words, *(options or ("--engine", "any"))]))


def runs(notes: Path) -> list[list[str]]:
    """Return the calls of docker that verify wheels."""
    calls = [line.rstrip("\t").split("\t") for line in notes.read_text().splitlines()]
    return [call for call in calls if call[0] == "run" and call[-1] != "true"]


def tags(words: list[str]) -> list[str]:
    return [Path(word).name.split("-")[2] for word in words if word.endswith(".whl")]


def test_the_wheels_of_an_image_are_verified_together(
    release: releases.Release, notes: Path
) -> None:
    assert verify(release) == Status.DONE
    new, old = runs(notes)
    assert (tags(new), tags(old)) == (["cp312", "cp313"], ["cp37"])
    at = old.index("sh")
    assert old[at - 1] == "example.invalid/manylinux:old"
    # The interpreter of the tools runs the copy of wheelkit, whatever the wheels are for.
    name = f"/dist/{release.wheel('3.7').name}"
    assert old[at + 3 :] == [
        *("/opt/python/cp312-cp312/bin/python", images.PROGRAMS, "bootstrap", "verify", name),
        *("--layouts", "install", "--report", "/reports/verify.manylinux-old.json"),
    ]
    assert new[-1] == "/reports/verify.manylinux-new.json"
    for option in (
        f"--volume={release.dist}:/dist:ro",
        f"--volume={release.reports}:/reports:rw",
        f"--volume={release.root}:/project:ro",
        "--workdir=/project",
    ):
        assert option in old[:at]
    assert not any("gpu" in word for word in old)


def test_the_platform_is_handed_on_if_it_is_asked_for(
    release: releases.Release, notes: Path
) -> None:
    assert verify(release, "--engine", "any", "--plat", "manylinux2014_x86_64") == Status.DONE
    for words in runs(notes):
        at = words.index("--plat")
        assert words[at - 2 : at + 2] == [
            *("--layouts", "install", "--plat", "manylinux2014_x86_64")
        ]


@pytest.mark.parametrize(
    ("new", "old", "expected"), [(0, 1, 1), (1, 0, 1), (1, 3, 1), (3, 1, 3), (0, 125, 3)]
)
def test_no_verdict_is_lost(
    release: releases.Release,
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
    new: int,
    old: int,
    expected: int,
) -> None:
    monkeypatch.setenv("STATUS_NEW", str(new))
    monkeypatch.setenv("STATUS_OLD", str(old))
    assert verify(release) == expected
    # The wheels of the second image are verified even if those of the first are at fault.
    assert len(runs(notes)) == 2


@pytest.mark.usefixtures("notes")
def test_an_older_report_does_not_stay(release: releases.Release) -> None:
    release.reports.mkdir()
    old = release.reports / "verify.manylinux-old.json"
    other = release.reports / "smoke.json"
    for path in (old, other):
        path.write_text("{}")
    assert verify(release) == Status.DONE
    assert not old.exists()
    assert other.exists()


def test_one_image_may_stand_for_all(
    release: releases.Release, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verify(release, "--engine", "any", "--image", "local/manylinux:new") == Status.DONE
    monkeypatch.setenv(images.IMAGE_VARIABLE, "local/manylinux:new")
    assert verify(release) == Status.DONE
    first, second = runs(notes)
    assert first[first.index("sh") - 1] == "local/manylinux:new"
    assert tags(first) == ["cp312", "cp313", "cp37"]
    assert tags(second) == tags(first)


def test_a_folder_without_wheels_is_wrong_usage(release: releases.Release, notes: Path) -> None:
    for python in release.pythons:
        release.wheel(python).unlink()
    releases.sdist(release.dist / "tiny-1.0.tar.gz", "tiny")
    release.seal, _ = seal.write(release.dist)
    assert verify(release) == Status.MISUSED
    assert not release.reports.exists()
    assert not notes.exists()


@pytest.mark.usefixtures("notes")
def test_without_an_engine_nothing_is_begun(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "docker").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert verify(release) == Status.LACKING
    assert not release.reports.exists()


@pytest.mark.parametrize("status", [0, 1])
def test_without_containers_this_machines_wheelkit_verifies(
    release: releases.Release,
    notes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("STATUS", str(status))
    monkeypatch.setattr(sys, "executable", str(install(tmp_path / "bin" / "py", INTERPRETER)))
    # Nobody asks for an engine, which may be missing.
    (tmp_path / "bin" / "docker").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert verify(release, "--engine", "none") == status
    assert release.reports.is_dir()
    report = release.reports / "verify.here.json"
    wheels = [str(path) for path in sorted(release.dist.glob("*.whl"))]
    assert notes.read_text().rstrip("\t").split("\t") == [
        *("-m", "wheelkit", "verify", *wheels),
        *("--layouts", "install", "--report", str(report)),
    ]


def test_what_the_wheels_print_gives_githubs_runner_no_commands(
    release: releases.Release,
    notes: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    printing = ENGINE.replace('case "$*"', 'echo "::error::of a wheel"\ncase "$*"')
    install(notes.parent / "bin" / "docker", printing)
    assert verify(release) == Status.DONE
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("::stop-commands::")
    token = lines[0].removeprefix("::stop-commands::")
    assert len(token) >= 32
    assert lines[-1] == f"::{token}::"
    assert "::error::of a wheel" in lines[1:-1]
    assert "\n".join(lines).count(token) == 2
