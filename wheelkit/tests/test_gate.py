"""Every gate of a release opens for a right one and is tripped by each fault that it is for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import releases
from releases import GPU, Release
from wheelkit.release import loopback_index
from wheelkit.target.report import Status, sha256

Change = Callable[[Release], object]


@pytest.fixture(scope="module")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index that has nothing."""
    with loopback_index.serving(tmp_path_factory.mktemp("empty")) as address:
        yield address


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release without any fault; tests copy it."""
    return releases.make(tmp_path_factory.mktemp("right"))


@pytest.fixture
def release(right: Release, tmp_path: Path) -> Release:
    """A copy of the right release, to be spoiled."""
    shutil.copytree(right.root, tmp_path / "release")
    return Release(tmp_path / "release", right.project, right.pythons, right.seal)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An index of its own, and the folder with its files."""
    with loopback_index.serving(tmp_path / "index") as address:
        yield address, tmp_path / "index"


def test_a_right_release_passes(release: Release, empty_index: str) -> None:
    upload, notes = release.root / "upload", release.root / "notes.md"
    status = release.check(empty_index, "--upload", str(upload), "--notes", str(notes))
    assert status == Status.DONE
    assert release.faults() == []
    published = {path.name: sha256(path) for path in upload.iterdir()}
    sealed = {path.name: sha256(path) for path in release.dist.iterdir()}
    assert published == {name: sha for name, sha in sealed.items() if name != "SHA256SUMS"}
    assert notes.read_text() == "### Added\n\n- All.\n"


def other_byte(release: Release) -> None:
    with release.wheel("3.10").open("ab") as stream:
        stream.write(b"\0")


def resealed(change: Change) -> Change:
    """Change the files before they are sealed and proven."""

    def change_and_prove(release: Release) -> None:
        change(release)
        shutil.rmtree(release.reports)
        release.prove()

    return change_and_prove


def forged_list(release: Release) -> None:
    other_byte(release)
    wheel = release.wheel("3.10")
    path = release.dist / "SHA256SUMS"
    lines = [line for line in path.read_text().splitlines() if wheel.name not in line]
    path.write_text("\n".join([*lines, f"{sha256(wheel)}  {wheel.name}"]) + "\n")


def crashed(release: Release) -> None:
    path = release.change_report("cuda", lambda _: None)
    path.write_bytes(path.read_bytes()[:-20])


def without_changelog_text(release: Release) -> None:
    (release.root / "CHANGELOG.md").write_text("## [1.0] - 2026-01-31\n\n## [0.9] - 2025-01-31\n")


RED = {"ok": False, "faults": [{"id": "rpath-form"}]}

GATES: dict[str, tuple[Change, list[str]]] = {
    "another sha256": (other_byte, ["hash-differs"]),
    "a forged list": (forged_list, ["seal-broken"]),
    "no list": (lambda r: (r.dist / "SHA256SUMS").unlink(), ["seal-missing"]),
    "a wheel lost after the seal": (lambda r: r.wheel("3.13").unlink(), ["file-missing"]),
    "a wheel added after the seal": (lambda r: releases.add_wheel(r, "3.9"), ["file-extra"]),
    "a missing wheel": (resealed(lambda r: r.wheel("3.13").unlink()), ["distribution-missing"]),
    "a missing sdist": (
        resealed(lambda r: (r.dist / "tiny-1.0.tar.gz").unlink()),
        ["distribution-missing"],
    ),
    "an extra wheel": (resealed(lambda r: releases.add_wheel(r, "3.9")), ["distribution-extra"]),
    "two wheels for one interpreter": (
        resealed(lambda r: shutil.copy(r.wheel("3.10"), r.dist / "tiny-1.0-1-cp310-cp310-any.whl")),
        ["distribution-extra"],
    ),
    "a wheel of another version": (
        resealed(lambda r: releases.add_wheel(r, "3.9", "1.1")),
        ["distribution-extra", "tag-disagrees"],
    ),
    "a file of another project": (
        resealed(lambda r: releases.sdist(r.dist / "other-1.0.tar.gz", "other")),
        ["distribution-extra", "other-project"],
    ),
    "verify red": (
        lambda r: r.change_report("verify", lambda c: c.update(RED)),
        ["not-verified", "report-red"],
    ),
    "a red report that says ok": (
        lambda r: r.change_report("verify", lambda c: c.update(faults=[{"id": "x"}])),
        ["report-red"],
    ),
    "a report that lacks its tool": (
        lambda r: r.change_report("verify", lambda c: c.update(lacking="no CPython", ok=False)),
        ["not-verified", "report-red"],
    ),
    "no verification": (
        lambda r: r.change_report("verify", lambda _: None).unlink(),
        ["not-verified"],
    ),
    "a GPU report with zero kernels": (
        lambda r: r.change_report("cuda", lambda c: c.update(kernels=[])),
        ["no-kernels-run"],
    ),
    "a GPU report with kernels that gave nothing": (
        lambda r: r.change_report("cuda", lambda c: c["kernels"][0].update(max_error=None)),
        ["no-kernels-run"],
    ),
    "a GPU report for other hashes": (
        lambda r: r.change_report("cuda", lambda c: c["wheel"].update(sha256="0" * 64)),
        ["not-run-on-cuda", "report-for-other-bytes"],
    ),
    "a GPU report for another file": (
        lambda r: r.change_report("cuda", lambda c: c["wheel"].update(name="other.whl")),
        ["report-for-other-bytes"],
    ),
    "a GPU report that ran on the CPU": (
        lambda r: r.change_report("cuda", lambda c: c.update(device={"id": "cpu"})),
        ["not-run-on-cuda"],
    ),
    "a GPU report from another runner": (
        lambda r: r.change_report("cuda", lambda c: c.update(place="laptop")),
        ["not-run-on-cuda"],
    ),
    "no GPU report": (
        lambda r: r.change_report("cuda", lambda _: None).unlink(),
        ["not-run-on-cuda"],
    ),
    "no CPU report": (
        lambda r: r.change_report("cpu", lambda _: None).unlink(),
        ["not-run-on-cpu"],
    ),
    "a report that a crash cut off": (crashed, ["not-run-on-cuda", "report-unreadable"]),
    "a report of another form": (
        lambda r: (r.reports / "strange.json").write_text('[{"tool": "verify_wheel"}]'),
        ["report-unreadable"],
    ),
    "an empty section of the changelog": (without_changelog_text, ["changelog"]),
    "no section of the changelog": (
        lambda r: (r.root / "CHANGELOG.md").write_text("## [Unreleased]\n\n- All.\n"),
        ["changelog"],
    ),
    "a section without a date": (
        lambda r: (r.root / "CHANGELOG.md").write_text("## [1.0] - soon\n\n- All.\n"),
        ["changelog"],
    ),
}


@pytest.mark.parametrize("fault", GATES)
def test_a_gate_is_tripped(fault: str, release: Release, empty_index: str) -> None:
    change, expected = GATES[fault]
    change(release)
    upload = release.root / "upload"
    status = release.check(empty_index, "--upload", str(upload))
    assert (status, release.faults()) == (Status.FAULTY, expected)
    assert not upload.exists()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("tag", "v1.1", ["changelog", "tag-disagrees"]),
        ("tag", "1.0", ["tag-disagrees"]),
        ("seal", "0" * 64, ["seal-broken"]),
        ("places", "[]", ["no-place"]),
        ("places", "", ["no-place"]),
        ("places", f'["{GPU}", "gpu-t4"]', ["not-run-on-cuda"]),
        ("pythons", '["3.10"]', ["distribution-extra"]),
        ("pythons", '["3.10", "3.13", "3.13t"]', ["distribution-missing"]),
    ],
)
def test_a_gate_is_tripped_by_what_is_asked(
    release: Release, empty_index: str, option: str, value: str, expected: list[str]
) -> None:
    status = release.check(empty_index, **{option: value})
    assert (status, release.faults()) == (Status.FAULTY, expected)


def test_an_existing_version_with_other_bytes(release: Release, index: tuple[str, Path]) -> None:
    address, folder = index
    wheel = release.wheel("3.10")
    (folder / wheel.name).write_bytes(wheel.read_bytes() + b"\0")
    status = release.check(address, "--upload", str(release.root / "upload"))
    assert (status, release.faults()) == (Status.FAULTY, ["version-published"])
    assert not (release.root / "upload").exists()


def test_an_existing_version_with_a_file_more(release: Release, index: tuple[str, Path]) -> None:
    address, folder = index
    (folder / "tiny-1.0-cp39-cp39-manylinux_2_17_x86_64.whl").write_bytes(b"older")
    assert release.check(address) == Status.FAULTY
    assert release.faults() == ["version-published"]


def test_an_interrupted_upload_is_resumed(release: Release, index: tuple[str, Path]) -> None:
    address, folder = index
    shutil.copy(release.wheel("3.10"), folder)
    (folder / "tiny-0.9-py3-none-any.whl").write_bytes(b"another version is no obstacle")
    upload = release.root / "upload"
    upload.mkdir()
    shutil.copy(release.wheel("3.10"), upload)
    status = release.check(address, "--upload", str(upload))
    assert status == Status.DONE
    assert sorted(path.name for path in upload.iterdir()) == [
        "tiny-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
        "tiny-1.0.tar.gz",
    ]
    assert json.loads((release.root / "gates.json").read_text())["pending"] == sorted(
        path.name for path in upload.iterdir()
    )


def test_an_index_that_cannot_be_asked_is_no_verdict(release: Release) -> None:
    status = release.check("http://127.0.0.1:9")
    assert status == Status.LACKING
    assert not (release.root / "gates.json").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seal", "abc"),
        ("pythons", "3.10"),
        ("pythons", "[3.1]"),
        ("reports", "nowhere"),
        ("changelog", "nowhere"),
    ],
)
def test_wrong_usage_is_no_verdict(
    release: Release, empty_index: str, option: str, value: str
) -> None:
    status = release.check(empty_index, **{option: value})
    assert status == Status.MISUSED


def test_a_foreign_file_in_the_upload_folder_is_refused(release: Release, empty_index: str) -> None:
    upload = release.root / "upload"
    upload.mkdir()
    (upload / "mine.txt").write_text("mine")
    assert release.check(empty_index, "--upload", str(upload)) == Status.MISUSED
    assert [path.name for path in upload.iterdir()] == ["mine.txt"]
