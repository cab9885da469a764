"""build_wheelhouse.py with a fake engine, and the settings of cibuildwheel in pyproject.toml."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomli
from container import build_wheelhouse, standin_image
from container.build_wheelhouse import LEFT_OUT, Place, ReleaseWheel
from container.leftovers import Run
from container.run_cibuildwheel import Steps, WheelBuildError
from shared.ledger import PROJECT
from wheelkit.base import source_files
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import engines, images
from wheelkit.containers.engines import Engine
from wheelkit.containers.images import Reference
from wheelkit.target.report import LackingError, MisusedError

SCRIPTS = Path(build_wheelhouse.__file__).parents[1]
TAGS = "manylinux2014_x86_64.manylinux_2_17_x86_64"


def write_wheel(
    folder: Path, tag: str, libcufes: bytes = b"", platform: str = TAGS, abi: str = ""
) -> Path:
    path = folder / f"cyfes-5.0-{tag}-{abi or tag}-{platform}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cyfes-5.0.data/data/cufes/libcufes.so", libcufes)
    return path


def product(wheel: Path, version: str = "3.10", **shown: str) -> ReleaseWheel:
    return ReleaseWheel(version, wheel, [], "hash", **shown)


def place(version: str = "3.10") -> Place:
    return Place("manylinux2014", "image", f"python{version}")


def engine(folder: Path, script: str) -> Engine:
    """Return an engine whose program is a shell script."""
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Engine(str(path))


def run_without_engine(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(folder)}
    command = [sys.executable, str(SCRIPTS), "wheelhouse", "--out", str(folder / "dist"), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def test_machine_without_an_engine_is_an_error(tmp_path: Path) -> None:
    done = run_without_engine(tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: no container engine works here")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dist").exists()


def test_left_out_wheels_are_counted_and_explained(tmp_path: Path) -> None:
    done = run_without_engine(tmp_path, "--optional", "--python", "3.12", "--python", "3.7")
    assert done.returncode == 0
    assert "left out: the wheels of 2 CPythons (3.7, 3.12); no container engine" in done.stderr
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("optional", [True, False])
def test_a_missing_image_leaves_the_wheels_out_only_with_optional(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    optional: bool,
) -> None:
    def lacking(*_: object) -> list[ReleaseWheel]:
        raise LackingError("no CPython 3.9 for the stand-in image")

    monkeypatch.setattr(build_wheelhouse, "WORK", tmp_path)
    monkeypatch.setattr(build_wheelhouse, "REPORT", tmp_path / "report.json")

    options = ["--optional"] if optional else []
    monkeypatch.setattr(sys, "argv", ["build_wheelhouse.py", "--python", "3.12", *options])
    monkeypatch.setattr(engines, "runnable_engine", lambda: engine(tmp_path, "exit 0"))
    monkeypatch.setattr(build_wheelhouse, "build_all", lacking)
    if optional:
        assert build_wheelhouse.main() == 0
        assert (
            "left out: the wheels of 1 CPythons (3.12); no CPython 3.9" in capsys.readouterr().err
        )
    else:
        with pytest.raises(LackingError):
            build_wheelhouse.main()


@pytest.mark.parametrize("version", ["3.6", "3.16", "3.13t", "ten"])
def test_unsupported_version_is_wrong_usage(version: str) -> None:
    with pytest.raises(MisusedError, match=r"expected one of 3\.7, 3\.8, .* 3\.15"):
        build_wheelhouse.chosen_versions(["3.7", version])


def test_versions_are_sorted_without_repetitions() -> None:
    assert build_wheelhouse.chosen_versions(["3.10", "3.7", "3.10"]) == ["3.7", "3.10"]
    assert build_wheelhouse.chosen_versions(["3.15", "3.14t", "3.14"]) == ["3.14", "3.14t", "3.15"]
    released = build_wheelhouse.chosen_versions(None)
    assert [v for v in released if not v.endswith("t")] == list(CPYTHONS)
    assert [v for v in released if v.endswith("t")] == ["3.14t", "3.15t"]


def test_wheel_of_a_free_threaded_cpython_is_told_from_the_other(tmp_path: Path) -> None:
    write_wheel(tmp_path, "cp314")
    with pytest.raises(WheelBuildError, match=r"CPython 3\.14t: expected one .* found none"):
        build_wheelhouse.collect(tmp_path, ["3.14t"], {})
    threaded = write_wheel(tmp_path, "cp314", abi="cp314t")
    steps = {"cp314-manylinux_x86_64": Steps([1.0]), "cp314t-manylinux_x86_64": Steps([2.0])}
    made = build_wheelhouse.collect(tmp_path, ["3.14", "3.14t"], steps)
    assert [one.seconds for one in made] == [[1.0], [2.0]]
    assert made[1].wheel == threaded


@pytest.mark.parametrize(
    ("version", "requirements", "lock"),
    [("3.14", "tests", False), ("3.14t", "free-threaded", True)],
)
def test_a_free_threaded_cpython_is_tested_without_the_lock(
    tmp_path: Path, version: str, requirements: str, lock: bool
) -> None:
    made = product(write_wheel(tmp_path, "cp314"), version)
    script = build_wheelhouse.test_commands(made, "python").splitlines()
    assert ("export PYTHON_GIL=0" in script) is lock
    assert any(line.endswith(f" -r /project/requirements/{requirements}.txt") for line in script)


def test_image_without_the_wanted_python_is_refused(tmp_path: Path) -> None:
    podman = engine(tmp_path, "echo cp39-cp39; echo cp312-cp312")
    build_wheelhouse.check_interpreters(podman, "image", ["3.9", "3.12"])
    with pytest.raises(LackingError) as error:
        build_wheelhouse.check_interpreters(podman, "image", ["3.7", "3.9"])
    assert "image has no CPython 3.7 in /opt/python (it has: cp312-cp312, cp39-cp39)" in str(
        error.value
    )


def test_image_that_cannot_be_pulled_is_replaced_by_a_stand_in_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "container.standin_image.build", lambda _, versions: f"standin:{'-'.join(versions)}"
    )
    pruned: list[str] = []

    def prune(_: Engine, kept: str) -> list[str]:
        pruned.append(kept)
        return ["old"]

    monkeypatch.setattr(standin_image, "prune", prune)
    offline = engine(tmp_path, "echo no such host >&2; exit 125")
    with_others = Run(tmp_path, offline, alone=False)
    image = build_wheelhouse.choose_image(with_others, ["3.7"], ["3.7", "3.9"])
    assert image == "standin:3.7-3.9"
    # Another run may be about to use an older image.
    assert pruned == []
    alone = Run(tmp_path, offline, alone=True)
    assert build_wheelhouse.choose_image(alone, ["3.7"], ["3.7"]) == "standin:3.7"
    assert pruned == ["standin:3.7"]
    said = capsys.readouterr().err
    assert "removed the stand-in image old" in said
    assert "manylinux2014_x86_64:2025.05.03-1 cannot be pulled (no such host)" in said
    assert "in the stand-in image standin:3.7-3.9" in said


def test_pinned_image_is_used_where_it_can_be_pulled(tmp_path: Path) -> None:
    run = Run(tmp_path, engine(tmp_path, "exit 0"), alone=True)
    image = build_wheelhouse.choose_image(run, ["3.8"], ["3.8"])
    assert image == "quay.io/pypa/manylinux2014_x86_64:2025.05.03-1"


def test_one_manylinux2014_wheel_is_expected_for_each_version(tmp_path: Path) -> None:
    write_wheel(tmp_path, "cp310")
    steps = {"cp310-manylinux_x86_64": Steps([1.0, 2.0, 3.0], "5 passed")}
    (made,) = build_wheelhouse.collect(tmp_path, ["3.10"], steps)
    assert (made.seconds, made.tests) == ([1.0, 2.0, 3.0], "5 passed (manylinux2014)")
    steps = {"cp310-manylinux_x86_64": Steps([1.0, 2.0])}
    (made,) = build_wheelhouse.collect(tmp_path, ["3.10"], steps)
    assert made.tests == LEFT_OUT
    with pytest.raises(WheelBuildError, match=r"CPython 3\.11: expected one .* found none"):
        build_wheelhouse.collect(tmp_path, ["3.10", "3.11"], {})
    write_wheel(tmp_path, "cp311", platform="linux_x86_64")
    with pytest.raises(WheelBuildError, match=r"found cyfes-5\.0-cp311-cp311-linux_x86_64"):
        build_wheelhouse.collect(tmp_path, ["3.11"], {})


def test_wheels_with_different_libraries_are_refused(tmp_path: Path) -> None:
    for tag, content in (("cp310", b"one"), ("cp311", b"one"), ("cp312", b"another")):
        write_wheel(tmp_path, tag, content)
    made = build_wheelhouse.collect(tmp_path, ["3.10", "3.11"], {})
    build_wheelhouse.check_same_library(made)
    made = build_wheelhouse.collect(tmp_path, ["3.10", "3.12"], {})
    with pytest.raises(WheelBuildError, match=r"different libcufes\.so: 3\.10: .*; 3\.12: "):
        build_wheelhouse.check_same_library(made)


def test_wheel_that_fails_in_a_new_container_is_refused(tmp_path: Path) -> None:
    failing = engine(tmp_path, "echo kernel-wrong >&2; exit 1")
    with pytest.raises(WheelBuildError, match=r"fails in a new container: kernel-wrong"):
        build_wheelhouse.smoke_test(failing, place(), product(write_wheel(tmp_path, "cp310")))


STANDIN = f"{standin_image.NAME}:1"
REAL = "quay.io/pypa/manylinux2014_x86_64:2025.05.03-1"
NEWER = images.smoking("3.14", PROJECT)[0]


@pytest.mark.parametrize(
    ("built_in", "version", "name", "image"),
    [
        (STANDIN, "3.12", "manylinux2014_x86_64-latest", STANDIN),
        (STANDIN, "3.15", "manylinux_2_28_x86_64-latest", STANDIN),
        (REAL, "3.7", "manylinux2014_x86_64-2025.05.03-1", REAL),
        (REAL, "3.14", "manylinux_2_28_x86_64-latest", NEWER.reference),
    ],
)
def test_finished_wheels_are_tried_on_the_oldest_system_that_they_compute_on(
    tmp_path: Path, built_in: str, version: str, name: str, image: str
) -> None:
    found = build_wheelhouse.place_for(engine(tmp_path, "exit 0"), built_in, version)
    assert (found.name, found.image) == (name, image)
    assert found.python.startswith("/opt/python/cp3")


def test_newer_system_that_cannot_be_pulled_is_reported(tmp_path: Path) -> None:
    offline = engine(tmp_path, "echo no such host >&2; exit 125")
    with pytest.raises(LackingError, match=r"manylinux_2_28.* cannot be pulled \(no such host\)"):
        build_wheelhouse.place_for(offline, REAL, "3.15")


def test_tests_on_a_newer_glibc_are_those_of_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_wheelhouse, "WORK", tmp_path)
    made = product(write_wheel(tmp_path, "cp315"), "3.15")
    said = engine(tmp_path, 'printf "%s\\n" "$@" > "$0.log"; echo "7 passed, 2 skipped in 1.0s"')
    newer = Place("manylinux_2_28", "image", "python3.15")
    build_wheelhouse.test_on_newer_glibc(said, newer, made)
    assert made.tests == "7 passed, 2 skipped (manylinux_2_28)"
    words = (tmp_path / "engine.log").read_text()
    for command in build_wheelhouse.cibuildwheel_table()["test-command"]:
        wheel = f"/wheels/{made.wheel.name}"
        assert command.format(project="/project", wheel=wheel) in words
    assert "{" not in words
    failing = engine(tmp_path, 'echo "1 failed, 7 passed in 1.0s"; exit 1')
    with pytest.raises(WheelBuildError, match=r"ended with status 1; its log is .*tests-3\.15"):
        build_wheelhouse.test_on_newer_glibc(failing, newer, made)


def test_a_run_that_left_tests_out_is_no_release_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path, "cp310")
    shown = {"tests": "7 passed (manylinux2014)", "smoke": "ok"}
    every = [product(wheel, version, **shown) for version in build_wheelhouse.released()]
    for name in build_wheelhouse.changed_settings():
        monkeypatch.delenv(name)
    assert list(build_wheelhouse.why_no_release_run(every)) == []
    untested = [*every[:-1], product(wheel, "3.15t", smoke="ok")]
    assert list(build_wheelhouse.why_no_release_run(untested)) == [
        "tests were left out for CPython 3.15t"
    ]
    assert list(build_wheelhouse.why_no_release_run(every[1:])) == [
        "there is no wheel for CPython 3.7"
    ]
    monkeypatch.setenv("CIBW_TEST_SKIP", "cp315-*")
    monkeypatch.setenv("CIBW_TEST_COMMAND_LINUX", "true")
    reasons = list(build_wheelhouse.why_no_release_run(every))
    assert reasons == ["CIBW_TEST_COMMAND_LINUX, CIBW_TEST_SKIP changes what is tested"]
    monkeypatch.setattr(build_wheelhouse, "REPORT", tmp_path / "report.json")
    build_wheelhouse.write_report(every, reasons)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["release_run"], report["why_not"]) == (False, reasons)
    assert report["wheels"][0]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_left_out_tests_are_in_the_table(tmp_path: Path) -> None:
    said = build_wheelhouse.table([product(write_wheel(tmp_path, "cp310"), smoke="ok")])
    heading, row = said.splitlines()
    assert "tests" in heading.split()
    assert LEFT_OUT in row


def test_only_wheels_of_the_project_are_replaced(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "dist"
    made.mkdir()
    out.mkdir()
    old = write_wheel(out, "cp39")
    foreign = out / "other-1.0-py3-none-any.whl"
    foreign.write_text("other")
    new = product(write_wheel(made, "cp310", b"new"))
    build_wheelhouse.replace_wheels(out, [new])
    assert not old.exists()
    assert sorted(out.iterdir()) == sorted([foreign, new.wheel])
    assert new.wheel.parent == out


def test_images_are_pinned_by_digest_or_date() -> None:
    for version in CPYTHONS:
        pinned = Reference.parse(images.verifying(version, PROJECT).reference)
        assert pinned.digest or pinned.tag == "2025.05.03-1"


def test_builds_are_made_with_what_pyproject_requires(project_root: Path) -> None:
    table = tomli.loads((project_root / "pyproject.toml").read_text())["build-system"]
    lines = (project_root / "requirements" / "build.in").read_text().splitlines()
    pinned = {line for line in lines if "==" in line and not line.startswith("#")}
    # The interpreters of the images come with pip.
    assert pinned == {line for line in table["requires"] if not line.startswith("pip")}


def test_exported_sources_are_those_that_git_would_commit(tmp_path: Path) -> None:
    source_files.export(PROJECT, tmp_path)
    assert (tmp_path / "pyproject.toml").is_file()
    assert (tmp_path / "scripts" / "container" / "prepare_container.py").is_file()
    assert not (tmp_path / ".git").exists()
    assert not (tmp_path / "build").exists()
