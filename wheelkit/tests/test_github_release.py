"""The release on GitHub, with a stand-in for gh that notes how it was called."""

from __future__ import annotations

from pathlib import Path

import pytest
import releases
from wheelkit.cli import github_release
from wheelkit.target.report import Status, run

# Fails for the commands that FAILS names.
GH = """#!/bin/sh
echo "$@" >> {notes}
case "{fails}" in *"$2"*) exit 1 ;; esac
"""


@pytest.fixture
def release(tmp_path: Path) -> releases.Release:
    return releases.make(tmp_path / "release", pythons=("3.10",))


def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> Path:
    notes, program = tmp_path / "notes", tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(GH.format(notes=notes, fails=fails))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return notes


def publish(release: releases.Release) -> int:
    words = [str(release.dist), "--seal", release.seal, "--tag", "v1.0"]
    words += ["--notes", str(release.root / "CHANGELOG.md"), "--attach", str(release.reports)]
    return run(lambda: github_release.main(words))


def test_a_release_is_made_with_files_and_reports(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = gh(tmp_path, monkeypatch, fails="view")
    assert publish(release) == Status.DONE
    view, create, upload = notes.read_text().splitlines()
    assert view == "release view v1.0"
    assert create.startswith("release create v1.0 --verify-tag --title v1.0 --notes-file ")
    attached = {Path(word).name for word in upload.split()[4:]}
    reports = {path.name for path in release.reports.iterdir()}
    assert attached == {path.name for path in release.dist.iterdir()} | reports


def test_a_release_that_exists_is_completed(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = gh(tmp_path, monkeypatch)
    assert publish(release) == Status.DONE
    verbs = [line.split()[1] for line in notes.read_text().splitlines()]
    assert verbs == ["view", "upload"]


@pytest.mark.parametrize("fails", ["view create", "upload"])
def test_what_gh_cannot_do_is_reported(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    gh(tmp_path, monkeypatch, fails)
    assert publish(release) == Status.LACKING


def test_other_bytes_are_not_released(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = gh(tmp_path, monkeypatch)
    with release.wheel("3.10").open("ab") as stream:
        stream.write(b"\0")
    assert publish(release) == Status.FAULTY
    assert not notes.exists()


def test_two_reports_of_one_name_are_refused(
    release: releases.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = gh(tmp_path, monkeypatch)
    path = next(release.reports.glob("*.json"))
    (release.reports / "more").mkdir()
    (release.reports / "more" / path.name).write_text("{}")
    assert publish(release) == Status.MISUSED
    assert not notes.exists()
