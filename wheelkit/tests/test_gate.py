"""Every gate of a release opens for a right one and is tripped by each fault that it is for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import releases
from releases import GPU, Release
from wheelkit.release import loopback_index
from wheelkit.target.report import Status, sha256

import wheelkit

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
    return Release(
        tmp_path / "release", right.project, right.pythons, right.seal, dict(right.seals)
    )


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An index of its own, and the folder with its files."""
    with loopback_index.serving(tmp_path / "index") as address:
        yield address, tmp_path / "index"


def test_a_right_release_passes(
    release: Release, empty_index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, outputs = release.root / "out", release.root / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    assert release.check(empty_index, "--release", str(out)) == Status.DONE
    assert release.faults() == []
    assert outputs.read_text() == f"seal={sha256(out / 'SHA256SUMS')}\npending=3\n"
    files = {path.name: sha256(path) for path in release.dist.glob("tiny*")}
    assert json.loads((release.root / "gates.json").read_text()) == {
        "tool": "check_release",
        "version": wheelkit.__version__,
        "seal": release.seal,
        "files": files,
        "reports": {path.name: sha256(path) for path in release.reports.glob("*/*.json")},
        "pending": sorted(files),
        "ok": True,
        "faults": [],
    }
    assert {path.name: sha256(path) for path in (out / "dist").iterdir()} == files
    assert (out / "notes.md").read_text() == "### Added\n\n- All.\n"
    assert (out / "attach" / "gates.json").read_bytes() == (
        release.root / "gates.json"
    ).read_bytes()
    reports = {path.name for path in release.reports.glob("*/*.json")}
    attached = {path.name for path in (out / "attach").iterdir()}
    assert attached == {"SHA256SUMS", "gates.json", *reports}
    # What `publish` does, where nothing of wheelkit is installed.
    for folder, cwd in ((out, "SHA256SUMS"), (out / "dist", "../attach/SHA256SUMS")):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", cwd], check=True, cwd=folder)
    listed = {line[66:] for line in (out / "SHA256SUMS").read_text().splitlines()}
    every = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert listed == every - {"SHA256SUMS"}


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


def renamed_platform(platform: str) -> Change:
    """Give the first wheel another platform tag."""
    return resealed(
        lambda r: r.wheel("3.10").rename(r.dist / f"tiny-1.0-cp310-cp310-{platform}.whl")
    )


def forged_list(release: Release) -> None:
    other_byte(release)
    releases.seal_by_hand(release.dist)


def sealed(change: Change) -> Change:
    """Change the folders of reports before their jobs seal them."""

    def change_and_seal(release: Release) -> None:
        change(release)
        release.seal_reports()

    return change_and_seal


def without(kind: str) -> Change:
    return sealed(lambda release: release.path_of(kind).unlink())


def crashed(release: Release) -> None:
    path = release.path_of("cuda")
    path.write_bytes(path.read_bytes()[:-20])


def of_report(kind: str, **changes: Any) -> Change:
    """Change keys of a report before its job seals it."""
    return lambda release: release.change_report(kind, lambda content: content.update(changes))


def of_text(kind: str, old: str, new: str) -> Change:
    """Change the text of a report before its job seals it."""

    def change(release: Release) -> None:
        path = release.path_of(kind)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        release.seal_reports()

    return change


def of_kernel(**changes: Any) -> Change:
    """Change what the first kernel on the GPU gave."""
    return lambda release: release.change_report("cuda", lambda c: c["kernels"][0].update(changes))


def another_report(name: str, content: str | bytes) -> Change:
    """Put a file more into a folder of reports before its job seals it."""

    def change(release: Release) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (release.reports / "gpu" / name).write_bytes(data)
        release.seal_reports()

    return change


def red_beside_green(name: str) -> Change:
    """Put a red report of this name beside the green one."""

    def change(release: Release) -> None:
        content = json.loads(release.path_of("cuda").read_text())
        another_report(name, json.dumps({**content, **RED}))(release)

    return change


def changelog(text: str) -> Change:
    return lambda release: (release.root / "CHANGELOG.md").write_text(text)


def declared(more: str = "", project: str = "tiny") -> Change:
    return lambda release: (release.root / "pyproject.toml").write_text(
        releases.pyproject(project, more)
    )


def retagged(*words: str) -> Change:
    """Make the tag anew in another way."""

    def change(release: Release) -> None:
        releases.git(release.root, "tag", "--delete", "v1.0")
        releases.git(release.root, "tag", *words)

    return change


def committed(release: Release) -> None:
    """Check out a commit that is neither tagged nor on main."""
    releases.commit(release.root, "later")


def tagged_off_main(release: Release) -> None:
    committed(release)
    retagged("--annotate", "--message", "release", "v1.0")(release)


def tagged_off_a_disguised_main(release: Release) -> None:
    tagged_off_main(release)
    # git itself would take this tag for origin/main.
    releases.git(release.root, "tag", "origin/main")


def hand_written(release: Release) -> None:
    """Write green reports into a folder that no job made."""
    shutil.copytree(release.reports / "gpu", release.reports / "x")
    shutil.rmtree(release.reports / "gpu")
    release.seals = {"verify": release.seals["verify"], "gpu": "", "x": ""}


def replaced_after_the_seal(release: Release) -> None:
    """Let a job write a green report over the red one of another."""
    path = release.path_of("cuda")
    green = path.read_text()
    release.change_report("cuda", lambda content: content.update(RED))
    path.write_text(green)


def with_own_list(release: Release) -> None:
    replaced_after_the_seal(release)
    releases.seal_by_hand(release.reports / "gpu")


def twice_named(release: Release) -> None:
    path = release.path_of("cuda")
    shutil.copy(path, release.reports / "verify")
    release.seal_reports()


RED = {"ok": False, "faults": [{"id": "rpath-form"}]}
ACCEPTED = [{"id": "rpath-form", "file": "a.so"}]
OPEN_FORM = ["not-run-on-cuda", "report-unreadable"]
DEEP = "[" * 100_000

GATES: dict[str, tuple[Change, list[str]]] = {
    # ------------------------------------------------------------------ the distributions
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
        resealed(lambda r: releases.add_wheel(r, "3.10", platform="manylinux_2_5_x86_64")),
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
    "a wheel for Windows": (renamed_platform("win_amd64"), ["other-platform"]),
    "a wheel for ARM": (renamed_platform("manylinux_2_17_aarch64"), ["other-platform"]),
    "a wheel for one machine": (renamed_platform("linux_x86_64"), ["other-platform"]),
    "a wheel for any machine": (renamed_platform("any"), ["other-platform"]),
    "a wheel for a newer glibc": (renamed_platform("manylinux_2_28_x86_64"), ["other-platform"]),
    "a wheel for Linux and Windows": (
        renamed_platform("manylinux_2_17_x86_64.win_amd64"),
        ["other-platform"],
    ),
    # ----------------------------------------------------------------------- the reports
    "verify red": (of_report("verify", **RED), ["not-verified", "report-red"]),
    "a red report that says ok": (of_report("verify", faults=[{"id": "x"}]), ["report-red"]),
    "a report that lacks its tool": (
        of_report("verify", lacking="no CPython", ok=False),
        ["not-verified", "report-red"],
    ),
    "a report that lacks its tool and says ok": (
        of_report("verify", lacking="no CPython"),
        ["report-red"],
    ),
    "a fault that only the report accepts": (
        of_report("verify", accepted=ACCEPTED),
        ["fault-not-accepted"],
    ),
    "no verification": (
        without("verify"),
        ["not-verified"],
    ),
    "no GPU report": (
        without("cuda"),
        ["not-run-on-cuda"],
    ),
    "no CPU report": (
        without("cpu"),
        ["not-run-on-cpu"],
    ),
    "a GPU report for other hashes": (
        lambda r: r.change_report("cuda", lambda c: c["wheel"].update(sha256="0" * 64)),
        ["not-run-on-cuda", "report-for-other-bytes"],
    ),
    "a GPU report for another file": (
        lambda r: r.change_report("cuda", lambda c: c["wheel"].update(name="other.whl")),
        ["not-run-on-cuda", "report-for-other-bytes"],
    ),
    "a GPU report that ran on the CPU": (
        of_report("cuda", device={"id": "cpu"}),
        ["not-run-on-cuda"],
    ),
    "a GPU report from another runner": (of_report("cuda", place="laptop"), ["not-run-on-cuda"]),
    # ---------------------------------------------------------------- the form of a report
    "a report that a crash cut off": (sealed(crashed), OPEN_FORM),
    "a report of another form": (
        another_report("strange.json", '[{"tool": "verify_wheel"}]'),
        ["report-unreadable"],
    ),
    "an empty report": (another_report("strange.json", "[]"), ["report-unreadable"]),
    "a report that is no UTF-8": (another_report("x.json", b"\xff"), ["report-unreadable"]),
    "half a surrogate pair": (
        of_report("verify", ok=False, faults=[{"id": "\ud800"}]),
        ["not-verified", "report-red"],
    ),
    "deep nesting": (another_report("x.json", DEEP), ["report-unreadable"]),
    "deep nesting of objects": (
        another_report("x.json", '{"a":' * 100_000),
        ["report-unreadable"],
    ),
    "a key that is there twice, red and then green": (
        of_text("cuda", '"ok": true', '"ok": false, "ok": true'),
        OPEN_FORM,
    ),
    "faults that are there twice": (
        of_text("cuda", '"faults": []', '"faults": [{"id": "x"}], "faults": []'),
        OPEN_FORM,
    ),
    "a nested key that is there twice": (
        of_text("cuda", '"max_error": ', '"max_error": 7, "max_error": '),
        OPEN_FORM,
    ),
    "faults that are no objects": (of_report("cuda", faults=["x"]), OPEN_FORM),
    "faults without an id": (of_report("cuda", faults=[{}]), OPEN_FORM),
    "accepted faults that are no objects": (of_report("cuda", accepted=[1]), OPEN_FORM),
    "accepted faults that are no list": (of_report("cuda", accepted="x"), OPEN_FORM),
    "a report of a future version": (of_report("cuda", version="99.0"), OPEN_FORM),
    "a report without a version": (
        lambda r: r.change_report("cuda", lambda c: c.pop("version")),
        OPEN_FORM,
    ),
    "a report of another tool": (of_report("cuda", tool="my_test"), OPEN_FORM),
    "ok as a number": (of_report("cuda", ok=1), OPEN_FORM),
    # --------------------------------------------------------------------- the kernels
    "zero kernels": (of_report("cuda", kernels=[]), ["kernels-missing"]),
    "one kernel of all": (
        of_report("cuda", kernels=releases.kernels()[:1]),
        ["kernels-missing"],
    ),
    "one kernel twice, for all": (
        of_report("cuda", kernels=releases.kernels()[:1] * 3),
        ["kernel-unexpected", "kernels-missing"],
    ),
    "a kernel that nobody declared": (
        of_report("cuda", kernels=[*releases.kernels(), {"name": "new", "max_error": 0.0}]),
        ["kernel-unexpected"],
    ),
    "a kernel in another precision": (of_kernel(dtype="float32"), ["kernel-dtype"]),
    "no error": (of_kernel(max_error=None), ["kernel-error"]),
    "an error that is true": (of_kernel(max_error=True), ["kernel-error"]),
    "an error that is false": (of_kernel(max_error=False), ["kernel-error"]),
    "an error of 1e300": (of_kernel(max_error=1e300), ["kernel-error"]),
    "an error of 10 to the 400": (of_kernel(max_error=10**400), ["kernel-error"]),
    "an error of -5": (of_kernel(max_error=-5), ["kernel-error"]),
    "an error above the tolerance": (of_kernel(max_error=1.01e-10), ["kernel-error"]),
    "an error that is infinite by its exponent": (
        of_text("cuda", '"max_error": ', '"max_error": 1e999, "before": '),
        ["kernel-error"],
    ),
    "an error that is NaN": (of_kernel(max_error=float("nan")), OPEN_FORM),
    "an infinite error": (of_kernel(max_error=float("inf")), OPEN_FORM),
    "an error in words": (of_kernel(max_error="small"), OPEN_FORM),
    "a bad error on the CPU, in the sources": (
        lambda r: r.change_report(
            "cpu", lambda c: c["kernels"][0].update(max_error=1.0), of="*.tar.gz"
        ),
        ["kernel-error"],
    ),
    "kernels that are no list": (of_report("cuda", kernels={"sum": 0.0}), OPEN_FORM),
    "a device that is a word": (of_report("cuda", device="cuda:0"), OPEN_FORM),
    # ----------------------------------------------------------------- the verification
    "verification without layouts": (
        lambda r: r.change_report("verify", lambda c: c.pop("layouts")),
        ["not-verified", "report-unreadable"],
    ),
    "verification without an installation": (
        of_report("verify", layouts={**releases.verification()["layouts"], "how": "static"}),
        ["verification-incomplete"],
    ),
    "verification with one layout": (
        of_report("verify", layouts={"how": "install", "names": ["venv"]}),
        ["verification-incomplete"],
    ),
    "verification with no way to install": (
        of_report("verify", trials=[]),
        ["verification-incomplete"],
    ),
    "verification with one way to install": (
        of_report("verify", trials=releases.verification()["trials"][:1]),
        ["verification-incomplete"],
    ),
    "verification without checks": (of_report("verify", checks={}), ["verification-incomplete"]),
    "verification with a check that did not run": (
        lambda r: r.change_report(
            "verify", lambda c: c["checks"].update({next(iter(c["checks"])): False})
        ),
        ["verification-incomplete"],
    ),
    "verification for another platform": (
        of_report("verify", platform="manylinux_2_28_x86_64"),
        ["verification-incomplete"],
    ),
    "verification for no platform": (
        of_report("verify", platform=None),
        ["verification-incomplete"],
    ),
    # -------------------------------------------------------------- the binding of reports
    "a folder of reports that no job made": (hand_written, ["not-run-on-cuda", "reports-unsealed"]),
    "a report replaced after the seal": (
        replaced_after_the_seal,
        ["hash-differs", "not-run-on-cuda"],
    ),
    "a report replaced together with the list": (
        with_own_list,
        ["not-run-on-cuda", "seal-broken"],
    ),
    "a report added after the seal": (
        lambda r: (r.reports / "gpu" / "more.json").write_text("{}"),
        ["file-extra", "not-run-on-cuda"],
    ),
    "a red report with an ending in capitals": (
        red_beside_green("red.JSON"),
        ["not-a-report", "not-run-on-cuda"],
    ),
    "a red report beside the green one": (red_beside_green("red.json"), ["report-red"]),
    "two reports of one name": (twice_named, ["report-twice"]),
    "a report with the name of the gates' own": (
        sealed(lambda r: r.path_of("cuda").rename(r.reports / "gpu" / "gates.json")),
        ["report-twice"],
    ),
    "a report that is a folder": (
        sealed(lambda r: (r.reports / "gpu" / "x.json").mkdir()),
        ["not-a-file", "not-run-on-cuda"],
    ),
    "a report that is a broken link": (
        sealed(lambda r: (r.reports / "gpu" / "x.json").symlink_to("nowhere")),
        ["not-a-file", "not-run-on-cuda"],
    ),
    "a report that is a link": (
        sealed(lambda r: (r.reports / "gpu" / "x.json").symlink_to(r.path_of("cuda"))),
        ["not-a-file", "not-run-on-cuda"],
    ),
    # ----------------------------------------------------------------------- the changelog
    "an empty section of the changelog": (
        changelog("## [1.0] - 2026-01-31\n\n## [0.9] - 2025-01-31\n"),
        ["changelog"],
    ),
    "no section of the changelog": (changelog("## [Unreleased]\n\n- All.\n"), ["changelog"]),
    "a section without a date": (changelog("## [1.0] - soon\n\n- All.\n"), ["changelog"]),
    # ----------------------------------------------------------------------------- the tag
    "no tag": (lambda r: releases.git(r.root, "tag", "--delete", "v1.0"), ["tag-missing"]),
    "a lightweight tag": (retagged("v1.0"), ["tag-not-annotated"]),
    "a tag of another commit": (committed, ["tag-elsewhere"]),
    "a tag off main": (tagged_off_main, ["tag-off-branch"]),
    "a tag off main, with a tag named like the branch": (
        tagged_off_a_disguised_main,
        ["tag-off-branch"],
    ),
    "a tag of a file": (
        retagged("--annotate", "--message", "x", "v1.0", "HEAD:CHANGELOG.md"),
        ["tag-elsewhere"],
    ),
}


@pytest.mark.parametrize("fault", GATES)
def test_a_gate_is_tripped(fault: str, release: Release, empty_index: str) -> None:
    change, expected = GATES[fault]
    change(release)
    out = release.root / "out"
    status = release.check(empty_index, "--release", str(out))
    assert (status, release.faults()) == (Status.FAULTY, expected)
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("tag", "v1.1", ["changelog", "tag-disagrees", "tag-missing"]),
        ("tag", "1.0", ["tag-disagrees", "tag-missing"]),
        ("tag", "v1.0^{commit}", ["changelog", "tag-disagrees", "tag-missing"]),
        ("seal", "0" * 64, ["seal-broken"]),
        ("places", "[]", ["no-place"]),
        ("places", "", ["no-place"]),
        ("places", f'["{GPU}", "gpu-t4"]', ["not-run-on-cuda"]),
        ("pythons", '["3.10"]', ["distribution-extra"]),
        ("pythons", '["3.10", "3.13", "3.13t"]', ["distribution-missing"]),
        ("places", f'["aarch64:{GPU}"]', ["no-place"]),
        ("plat", "manylinux_2_28_x86_64", ["verification-incomplete"]),
        ("plat", "manylinux_2_5_x86_64", ["other-platform", "verification-incomplete"]),
        ("plat", "musllinux_1_2_x86_64", ["other-platform", "verification-incomplete"]),
    ],
)
def test_a_gate_is_tripped_by_what_is_asked(
    release: Release, empty_index: str, option: str, value: str, expected: list[str]
) -> None:
    status = release.check(empty_index, **{option: value})
    assert (status, release.faults()) == (Status.FAULTY, expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('accept = [{ id = "rpath-form", reason = "known" }]', Status.DONE),
        ('accept = [{ id = "rpath-form", file = "other/*", reason = "known" }]', Status.FAULTY),
        ('accept = [{ id = "other-id", reason = "known" }]', Status.FAULTY),
    ],
)
def test_what_the_project_accepts_is_accepted(
    release: Release, empty_index: str, line: str, expected: Status
) -> None:
    declared(line)(release)
    of_report("verify", accepted=ACCEPTED)(release)
    assert release.check(empty_index) == expected


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("warning", Status.DONE), ("fault", Status.FAULTY), ("other", Status.FAULTY)],
)
def test_only_a_warning_leaves_a_report_green(
    release: Release, empty_index: str, severity: str, expected: Status
) -> None:
    finding = {**ACCEPTED[0], "severity": severity}
    of_report("verify", faults=[finding])(release)
    assert release.check(empty_index) == expected


def test_a_project_that_declares_fewer_layouts_needs_no_more(
    release: Release, empty_index: str
) -> None:
    declared('layouts = ["venv"]')(release)
    of_report("verify", layouts={"how": "install", "names": ["venv"]})(release)
    assert release.check(empty_index) == Status.DONE


def test_a_job_that_did_not_run_has_no_reports(
    release: Release, empty_index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    release.seals["gpu-2"] = ""
    assert release.check(empty_index) == Status.DONE
    assert "gpu-2" in capsys.readouterr().out


def test_one_build_jobs_wheel_in_place_of_anothers(release: Release, empty_index: str) -> None:
    """The gates see the seal of the whole; `wheelkit merge` sees the part, in test_merge.py."""
    wheel = release.wheel("3.13")
    wheel.unlink()
    releases.add_wheel(Release(release.root, "tiny"), "3.13")
    with wheel.open("ab") as stream:
        stream.write(b"another")
    releases.seal_by_hand(release.dist)
    assert release.check(empty_index) == Status.FAULTY
    assert release.faults() == ["seal-broken"]


@pytest.mark.parametrize(
    "name",
    ["tiny-1.0-cp39-cp39-manylinux_2_17_x86_64.whl", "tiny-1.0.tar.gz", os.fsdecode(b"\xff.whl")],
)
@pytest.mark.parametrize("kind", ["folder", "broken link"])
def test_something_that_is_no_file_is_refused(
    release: Release, empty_index: str, name: str, kind: str
) -> None:
    path = release.dist / name
    path.unlink(missing_ok=True)
    path.symlink_to("nowhere") if kind == "broken link" else path.mkdir()
    assert release.check(empty_index) == Status.FAULTY
    assert "not-a-file" in release.faults()


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"tiny-\xff.tar.gz"), "tiny 1.0.tar.gz", "a\n::add-mask::b.tar.gz"]
)
def test_a_name_that_is_not_plain_is_refused(
    release: Release, empty_index: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (release.dist / name).write_text("")
    assert release.check(empty_index) == Status.FAULTY
    assert "unsafe-file-name" in release.faults()
    assert not [line for line in capfd.readouterr().err.splitlines() if line.startswith("::")]


HOSTILE = "x\n::add-mask::secret\n##[error]no\x1b[2Jgone\r::set-env name=A::b"


@pytest.mark.parametrize("key", ["id", "file", "found"])
def test_text_of_a_report_is_no_command(
    release: Release, empty_index: str, key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    of_report("verify", ok=False, faults=[{"id": "x", key: HOSTILE}])(release)
    of_report("cuda", place=HOSTILE, device={"id": HOSTILE, "name": HOSTILE})(release)
    another_report("y.json", json.dumps({"tool": HOSTILE}))(release)
    assert release.check(empty_index) == Status.FAULTY
    shown = capfd.readouterr()
    for line in (shown.out + shown.err).splitlines():
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line
        assert line.isprintable()


def test_an_existing_version_with_other_bytes(release: Release, index: tuple[str, Path]) -> None:
    address, folder = index
    wheel = release.wheel("3.10")
    (folder / wheel.name).write_bytes(wheel.read_bytes() + b"\0")
    status = release.check(address, "--release", str(release.root / "out"))
    assert (status, release.faults()) == (Status.FAULTY, ["version-published"])
    assert not (release.root / "out").exists()


def test_an_existing_version_with_a_file_more(release: Release, index: tuple[str, Path]) -> None:
    address, folder = index
    (folder / "tiny-1.0-cp39-cp39-manylinux_2_17_x86_64.whl").write_bytes(b"older")
    assert release.check(address) == Status.FAULTY
    assert release.faults() == ["version-published"]


def test_an_interrupted_upload_is_resumed(
    release: Release, index: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = index
    shutil.copy(release.wheel("3.10"), folder)
    (folder / "tiny-0.9-py3-none-any.whl").write_bytes(b"another version is no obstacle")
    outputs, out = release.root / "outputs", release.root / "out"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    assert release.check(address, "--release", str(out)) == Status.DONE
    assert "pending=2\n" in outputs.read_text()
    # The upload passes over what is there; the folder is the whole release all the same.
    assert len(list((out / "dist").iterdir())) == 3
    assert json.loads((release.root / "gates.json").read_text())["pending"] == [
        "tiny-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
        "tiny-1.0.tar.gz",
    ]


def test_an_index_that_cannot_be_asked_is_no_verdict(release: Release) -> None:
    status = release.check("http://127.0.0.1:9", "--release", str(release.root / "out"))
    assert status == Status.LACKING
    assert not (release.root / "gates.json").exists()
    assert not (release.root / "out").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seal", "abc"),
        ("seal", ""),
        ("pythons", "3.10"),
        ("pythons", "[3.1]"),
        ("pythons", "[" * 100_000),
        ("plat", "linux_x86_64"),
        ("plat", "win_amd64"),
        ("branch", "origin/other"),
        ("reports", "nowhere"),
        ("reports", "=0"),
        ("changelog", "nowhere"),
        ("report", "/dev/null/gates.json"),
        ("project", "other"),
    ],
)
def test_wrong_usage_is_no_verdict(
    release: Release, empty_index: str, option: str, value: str
) -> None:
    status = release.check(empty_index, **{option: value})
    assert status == Status.MISUSED


def test_a_changelog_that_is_no_text_is_wrong_usage(
    release: Release, empty_index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (release.root / "CHANGELOG.md").write_bytes(b"## [1.0] - 2026-01-31\n\n- \xff\n")
    assert release.check(empty_index) == Status.MISUSED
    assert "CHANGELOG.md cannot be read" in capsys.readouterr().err


def test_a_project_without_a_gpu_is_tried_on_the_cpu_of_its_places(
    release: Release, empty_index: str
) -> None:
    where = {"device": "cpu", "places": '["debian"]'}
    assert release.check(empty_index, **where) == Status.DONE
    assert release.check(empty_index, **{**where, "places": '["alpine"]'}) == Status.FAULTY
    assert release.faults() == ["not-run-on-cpu"]
    assert release.check(empty_index, **{**where, "device": "rocm"}) == Status.MISUSED


def test_a_project_that_declares_no_kernels_is_wrong_usage(
    release: Release, empty_index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (release.root / "pyproject.toml").write_text('[project]\nname = "tiny"\n')
    assert release.check(empty_index) == Status.MISUSED
    assert "no kernels are declared" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["full", "file", "link"])
def test_a_place_for_the_release_that_is_taken_is_refused(
    release: Release, empty_index: str, kind: str
) -> None:
    out = release.root / "out"
    if kind == "full":
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(release.dist)
    assert release.check(empty_index, "--release", str(out)) == Status.MISUSED
    assert not (release.root / "gates.json").exists()
    assert kind != "full" or [path.name for path in out.iterdir()] == ["mine.txt"]


def test_a_shallow_clone_says_nothing(release: Release, empty_index: str) -> None:
    releases.commit(release.root, "later")
    releases.git(release.root, "update-ref", "refs/remotes/origin/main", "HEAD")
    releases.git(release.root, "branch", "--force", "tip")
    releases.git(release.root, "checkout", "--quiet", "v1.0")
    (release.root / ".git" / "shallow").write_text(
        releases.git(release.root, "rev-parse", "tip") + "\n"
    )
    assert release.check(empty_index) == Status.LACKING


def test_without_a_repository_there_is_no_verdict(release: Release, empty_index: str) -> None:
    shutil.rmtree(release.root / ".git")
    assert release.check(empty_index) == Status.LACKING


PLATS = ("--plat", "manylinux_2_17_aarch64")
ARM_GPU = "gpu-arm"


@pytest.fixture
def both(release: Release) -> Release:
    """A release with wheels for two architectures, each proven on a GPU runner of its own."""
    for python in release.pythons:
        releases.add_wheel(release, python, platform="manylinux_2_17_aarch64")
    shutil.rmtree(release.reports)
    release.prove()
    for path in release.reports.rglob("*aarch64.whl.json"):
        content = json.loads(path.read_text())
        if content.get("place") == GPU:
            content["place"] = ARM_GPU
        if "platform" in content:
            content["platform"] = "manylinux_2_17_aarch64"
        path.write_text(json.dumps(content))
    release.seal_reports()
    return release


PLACES = json.dumps([GPU, f"aarch64:{ARM_GPU}"])


def test_wheels_of_two_architectures_pass(both: Release, empty_index: str) -> None:
    status = both.check(empty_index, *PLATS, places=PLACES)
    assert (both.faults(), status) == ([], Status.DONE)


def test_a_wheel_that_only_one_architecture_lacks_is_missing(
    both: Release, empty_index: str
) -> None:
    (lost,) = both.dist.glob("*-cp313-*aarch64.whl")
    resealed(lambda _: lost.unlink())(both)
    both.check(empty_index, *PLATS, places=PLACES)
    assert "distribution-missing" in both.faults()


def test_each_wheel_must_have_run_on_a_gpu_of_its_architecture(
    both: Release, empty_index: str
) -> None:
    both.check(empty_index, *PLATS, places=json.dumps([GPU, "aarch64:other"]))
    assert both.faults() == ["not-run-on-cuda"]
    both.check(empty_index, *PLATS)
    assert both.faults() == ["no-place"]


def test_a_project_may_declare_that_an_architecture_has_no_gpu_runner(
    both: Release, empty_index: str
) -> None:
    path = both.root / "pyproject.toml"
    path.write_text(
        path.read_text().replace("[tool.wheelkit]", "[tool.wheelkit]\nwithout-gpu = ['aarch64']")
    )
    assert "without-gpu" in path.read_text()
    status = both.check(empty_index, *PLATS)
    assert (both.faults(), status) == ([], Status.DONE)


def test_two_platforms_of_one_architecture_are_wrong_usage(
    release: Release, empty_index: str
) -> None:
    assert release.check(empty_index, "--plat", "manylinux_2_28_x86_64") == Status.MISUSED
