"""The release on GitHub, with a stand-in for gh that behaves as the real one does."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import releases
import stand_in_gh
from packaging.version import Version
from wheelkit.cli import github_release
from wheelkit.release import loopback_index
from wheelkit.target.report import MisusedError, Status, run, sha256


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the gates make; tests copy it."""
    folder = tmp_path_factory.mktemp("made")
    release = releases.make(folder / "release", pythons=("3.10",))
    with loopback_index.serving(folder / "index") as address:
        assert release.check(address, "--release", str(folder / "out")) == Status.DONE
    return folder / "out"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


class GitHub:
    """The state of GitHub, which the stand-in keeps in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(
            release=None,
            tags=["v1.0", "v1.0rc1"],
            digests=True,
            calls=[],
            fails=[],
            uploads_left=None,
            corrupts=None,
        )

    def write(self, **state: Any) -> None:
        self.path.write_text(json.dumps(state))

    def change(self, **state: Any) -> None:
        self.write(**{**self.state, **state})

    @property
    def state(self) -> Any:
        return json.loads(self.path.read_text())

    @property
    def release(self) -> Any:
        return self.state["release"]

    def calls(self) -> list[str]:
        """Return what was called since the last time."""
        calls: list[str] = self.state["calls"]
        self.change(calls=[])
        return calls


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    program = tmp_path / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{stand_in_gh.__file__}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("GH_STATE", str(tmp_path / "github.json"))
    return GitHub(tmp_path / "github.json")


def publish(folder: Path, tag: str = "v1.0") -> int:
    return run(lambda: github_release.main([str(folder), "--tag", tag]))


def ours(folder: Path) -> dict[str, str]:
    return {p.name: f"sha256:{sha256(p)}" for p in folder.glob("*/*")}


def theirs(github: GitHub) -> dict[str, str]:
    return {asset["name"]: asset["digest"] for asset in github.release["assets"]}


def test_a_draft_is_made_filled_and_published(folder: Path, github: GitHub) -> None:
    assert publish(folder) == Status.DONE
    assert github.calls() == ["view", "create", "upload", "view", "edit"]
    assert theirs(github) == ours(folder)
    expected = {
        **{"isDraft": False, "isPrerelease": False, "latest": None, "name": "v1.0"},
        "body": (folder / "notes.md").read_text(),
    }
    assert {key: github.release[key] for key in expected} == expected


def test_a_prerelease_is_marked_and_is_not_the_latest(folder: Path, github: GitHub) -> None:
    assert publish(folder, "v1.0rc1") == Status.DONE
    assert github.release["isPrerelease"]
    assert github.release["latest"] is False
    assert not github.release["isDraft"]


@pytest.mark.parametrize("left", [0, 2])
def test_an_upload_that_was_cut_off_is_completed(folder: Path, github: GitHub, left: int) -> None:
    github.change(uploads_left=left)
    assert publish(folder) == Status.LACKING
    assert github.release["isDraft"]
    assert len(github.release["assets"]) == left + 1
    github.calls()
    assert publish(folder) == Status.DONE
    assert github.calls() == ["view", "upload", "view", "edit"]
    assert theirs(github) == ours(folder)
    assert not github.release["isDraft"]


def test_a_draft_that_is_whole_is_published(folder: Path, github: GitHub) -> None:
    github.change(fails=["edit"])
    assert publish(folder) == Status.LACKING
    assert github.release["isDraft"]
    github.change(fails=[], calls=[])
    assert publish(folder) == Status.DONE
    assert github.calls() == ["view", "view", "edit"]
    assert not github.release["isDraft"]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": f"sha256:{'0' * 64}"},
        {"size": 1, "digest": None},
        {"state": "starter"},
        # A digest of another kind is none that can be compared.
        {"digest": "md5:0"},
    ],
)
def test_a_file_of_a_draft_that_is_not_ours_is_attached_again(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    github.change(fails=["edit"])
    assert publish(folder) == Status.LACKING
    release = github.release
    release["assets"][1].update(change)
    github.change(release=release, fails=[], calls=[])
    assert publish(folder) == Status.DONE
    assert github.calls() == ["view", "upload", "view", "edit"]
    assert theirs(github) == ours(folder)
    number = len(ours(folder))
    expected = f"v1.0 is published, with {number} files, of which 1 were attached now"
    assert expected in capsys.readouterr().out


def test_a_draft_with_a_file_of_somebody_else_is_not_published(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(folder) == Status.DONE
    asset = {"name": "more.whl", "size": 1, "state": "uploaded", "digest": None}
    assets = [*github.release["assets"], asset]
    github.change(release={**github.release, "isDraft": True, "assets": assets})
    assert publish(folder) == Status.FAULTY
    assert github.release["isDraft"]
    assert FAULT.format("asset-extra", "more.whl") in capsys.readouterr().err


def test_a_file_that_arrived_otherwise_is_not_published(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    github.change(corrupts="gates.json")
    assert publish(folder) == Status.FAULTY
    assert github.release["isDraft"]
    assert FAULT.format("asset-differs", "gates.json") in capsys.readouterr().err


FAULT = "fault {}: {}"
OTHER: dict[str, object] = {"digest": f"sha256:{'0' * 64}"}
# What was changed of a published file → the fault.
DIFFERENCES: dict[str, tuple[dict[str, object], str | None]] = {
    "nothing": ({}, None),
    "no digest": ({"digest": None}, None),
    "other bytes": (OTHER, "asset-differs"),
    "another size": ({"size": 1, "digest": None}, "asset-differs"),
    "half of it": ({"state": "starter"}, "asset-differs"),
    "another name": ({"name": "x.whl"}, "asset-missing"),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_a_published_release_is_compared_and_left_alone(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert publish(folder) == Status.DONE
    change, fault = DIFFERENCES[kind]
    release = github.release
    release["assets"][0].update(change)
    github.change(release=release, calls=[])
    assert publish(folder) == (Status.FAULTY if fault else Status.DONE)
    assert github.calls() == ["view"]
    assert github.release == release
    assert fault is None or f"fault {fault}: " in capsys.readouterr().err


def test_a_gh_that_tells_no_hashes_compares_sizes(folder: Path, github: GitHub) -> None:
    github.change(digests=False)
    assert publish(folder) == Status.DONE
    assert publish(folder) == Status.DONE


def test_a_tag_that_github_does_not_have_is_not_made(folder: Path, github: GitHub) -> None:
    github.change(tags=[])
    assert publish(folder) == Status.LACKING
    assert not github.release
    github.change(tags=["v1.0"], fails=["edit"])
    assert publish(folder) == Status.LACKING
    # Deleted, between the draft and its publication.
    github.change(tags=[], fails=[])
    assert publish(folder) == Status.LACKING
    assert github.release["isDraft"]


@pytest.mark.parametrize("fails", ["view", "create", "upload", "edit"])
def test_what_gh_cannot_do_is_reported(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    github.change(fails=[fails])
    assert publish(folder) == Status.LACKING
    message = capsys.readouterr().err
    assert f"gh release {fails} failed" in message
    assert "GH_TOKEN" in message
    assert not github.release or github.release["isDraft"]


def test_without_gh_nothing_can_be_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert publish(folder) == Status.LACKING


CHANGES: dict[str, Callable[[Path], object]] = {
    "file-extra": lambda folder: (folder / "dist" / "more.whl").write_text(""),
    "file-missing": lambda folder: (folder / "attach" / "gates.json").unlink(),
    "hash-differs": lambda folder: (folder / "notes.md").write_text("other"),
    "seal-missing": lambda folder: (folder / "SHA256SUMS").unlink(),
    "seal-broken": lambda folder: (folder / "SHA256SUMS").write_text("x\n"),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_a_folder_that_is_not_whole_is_not_released(
    folder: Path, github: GitHub, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    CHANGES[fault](folder)
    assert publish(folder) == Status.FAULTY
    assert f"fault {fault}: " in capsys.readouterr().err
    assert github.calls() == []


def test_a_link_in_place_of_a_file_is_refused(folder: Path, github: GitHub) -> None:
    target = folder.parent / "elsewhere.json"
    (folder / "attach" / "gates.json").replace(target)
    (folder / "attach" / "gates.json").symlink_to(target)
    assert publish(folder) == Status.FAULTY
    assert github.calls() == []


def test_a_name_that_github_changes_is_found_again(folder: Path, github: GitHub) -> None:
    (folder / "dist" / "tiny-1.0.tar.gz").rename(folder / "dist" / "tiny-1!1.0.tar.gz")
    text = (folder / "SHA256SUMS").read_text().replace("tiny-1.0.tar.gz\n", "tiny-1!1.0.tar.gz\n")
    (folder / "SHA256SUMS").write_text(text)
    assert publish(folder) == Status.DONE
    assert "tiny-1.1.0.tar.gz" in theirs(github)
    assert publish(folder) == Status.DONE


def test_no_folder_is_wrong_usage(tmp_path: Path, github: GitHub) -> None:
    assert publish(tmp_path / "nowhere") == Status.MISUSED
    assert github.calls() == []


@pytest.mark.parametrize(
    "version",
    [
        *("1.0", "1.0.post1", "2026.1", "1.0+cu129", "1!2.0", "1.0a1", "1.0b2", "1.0rc1"),
        *("1.0.dev3", "1.0rc1.post2.dev3", "1.0+abc1", "1.0.post1.dev2", "5.0.0"),
    ],
)
def test_prereleases_are_those_of_the_packaging_standards(version: str) -> None:
    assert str(Version(version)) == version
    assert github_release.is_prerelease(f"v{version}") == Version(version).is_prerelease


@pytest.mark.parametrize("tag", ["1.0", "v", "vx", "v1.0-rc1", "v1.0\n", "main", "v1.0;rm"])
def test_a_tag_that_is_no_version_is_wrong_usage(folder: Path, github: GitHub, tag: str) -> None:
    with pytest.raises(MisusedError):
        github_release.is_prerelease(tag)
    assert publish(folder, tag) == Status.MISUSED
    assert github.calls() == []
