"""scripts/verify_wheel.py: each check finds the wheel that is wrong in its way, and only that."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import repair_wheel
import verify_wheel
from tiny_wheels import (
    LINUX,
    MACHINE,
    MANYLINUX,
    entry,
    extension,
    library,
    toolkit,
    wheel,
    wheel_metadata,
    with_second_rpath,
)
from wheelkit import load_library, metadata, report, trial
from wheelkit.report import LackingError
from wheelkit.subject import study

DATA = "tiny-1.0.data/data/tiny"
RT = "libtinyrt-0badcafe.so.1"
GRAFT = library(RT)
GOOD = {
    "tiny/__init__.py": b"",
    "tiny/_tiny.so": extension("_tiny", RT, rpath="$ORIGIN/../tiny.libs"),
    f"tiny.libs/{RT}": GRAFT,
    f"{DATA}/libtiny.so": library("libtiny.so", RT, rpath="$ORIGIN/.libs"),
    f"{DATA}/.libs/{RT}": GRAFT,
}
NEWEST = f"py3-none-manylinux_2_41_{MACHINE}"
# Called since glibc 2.25 only, on every machine.
NEW_SYMBOL = "#include <sys/random.h>\nlong n(void *p) { return getrandom(p, 1, 0); }"


def verify(path: Path, *options: str) -> int:
    return report.run(lambda: verify_wheel.main([str(path), *options]))


def faults(path: Path, *options: str) -> list[dict[str, Any]]:
    """Verify a wheel; return the faults of the report."""
    file = path.parent / "report.json"
    status = verify(path, "--report", str(file), *options)
    result = json.loads(file.read_text())
    assert result["ok"] is (status == report.Status.DONE)
    assert status == (report.Status.FAULTY if result["faults"] else report.Status.DONE)
    found: list[dict[str, Any]] = result["faults"]
    return found


def ids(path: Path, *options: str) -> list[str]:
    return [fault["id"] for fault in faults(path, *options)]


def with_library(name: str, data: bytes) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, {**GOOD, name: data})


def with_metadata(tag: str = MANYLINUX, **texts: bytes) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, GOOD, tag=tag, metadata=texts)


def named(name: str) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, GOOD).rename(folder / name)


def rpath(entries: str, *needed: str) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose data library has other rpath entries."""
    return with_library(f"{DATA}/libtiny.so", library("libtiny.so", *needed, rpath=entries))


CORE = b"Metadata-Version: 2.1\nName: tiny\nVersion: 2.0\n"
UNCERTIFIED = {"elf-unreadable", "needed-not-found", "needed-not-in-wheel"}
WRONG: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "not a wheel's name": ("wheel-filename", named("tiny.whl")),
    "a member that leaves the archive": (
        "unsafe-name",
        lambda folder: wheel(folder, GOOD, unlisted=[(entry("../x"), b"")]),
    ),
    "a file without a row": (
        "record-missing",
        lambda folder: wheel(folder, GOOD, record=lambda rows: rows[1:]),
    ),
    "tags that differ": ("tag-mismatch", with_metadata(WHEEL=wheel_metadata(NEWEST))),
    "a build tag in WHEEL alone": (
        "tag-mismatch",
        with_metadata(WHEEL=wheel_metadata(MANYLINUX, more="Build: 7\n")),
    ),
    "another wheel version": (
        "wheel-version",
        with_metadata(WHEEL=wheel_metadata(MANYLINUX).replace(b"1.0", b"2.0", 1)),
    ),
    "another version in METADATA": ("name-mismatch", with_metadata(METADATA=CORE)),
    "a truncated library": ("elf-unreadable", with_library("tiny/cut.so", GRAFT[:100])),
    "an executable stack": (
        "executable-stack",
        with_library("tiny/stack.so", library("stack.so", flags=("-Wl,-z,execstack",))),
    ),
    "both kinds of rpath": (
        "rpath-and-runpath",
        with_library("tiny/both.so", with_second_rpath(library("both.so", rpath="$ORIGIN"))),
    ),
    "an empty entry": ("rpath-empty-entry", rpath("$ORIGIN/.libs:", RT)),
    "a build path": ("rpath-absolute", rpath("$ORIGIN/.libs:/build/lib", RT)),
    "a path relative to the working directory": ("rpath-absolute", rpath("lib:$ORIGIN/.libs", RT)),
    "an entry above the prefix": ("rpath-escapes", rpath("$ORIGIN/.libs:$ORIGIN/../../tiny", RT)),
    "an entry to no directory of the wheel": (
        "rpath-dangling",
        rpath("$ORIGIN/.libs:$ORIGIN/../lib", RT),
    ),
    "a graft that the rpath misses": ("needed-not-found", rpath("$ORIGIN", RT)),
    "a library that only its loader finds": (
        "needed-not-found",
        with_library("tiny.libs/libtinyother.so", library("libtinyother.so", RT)),
    ),
    "a graft for another machine": (
        "needed-not-found",
        with_library(f"{DATA}/.libs/{RT}", GRAFT[:18] + b"\xf3\x00" + GRAFT[20:]),
    ),
    "a library that is nowhere": ("needed-not-in-wheel", rpath("$ORIGIN/.libs", "libgone.so.3")),
    "the driver": (
        "driver-library-grafted",
        with_library("tiny.libs/libcuda-0badcafe.so.1", library("libcuda-0badcafe.so.1")),
    ),
    "a stub of the driver": (
        "driver-library-grafted",
        with_library("tiny.libs/stub.so", library("libnvidia-ml.so.1")),
    ),
    "two versions of the CUDA runtime": (
        "graft-twice",
        lambda folder: wheel(
            folder,
            {
                **GOOD,
                "tiny.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
                f"{DATA}/.libs/libcudart-22222222.so.12": library("libcudart-22222222.so.12"),
            },
        ),
    ),
    "an unrepaired wheel": ("platform-tag", lambda folder: wheel(folder, GOOD, tag=LINUX)),
    "machine code in a wheel for any": (
        "platform-tag",
        lambda folder: wheel(folder, GOOD, tag="py3-none-any"),
    ),
    "no machine code in a wheel for one": (
        "platform-tag",
        lambda folder: wheel(folder, {"tiny.py": b""}),
    ),
    "symbols newer than the tag": (
        "platform-tag",
        with_library("tiny/new.so", library("new.so", code=NEW_SYMBOL)),
    ),
    "symbols newer than the tag beside the driver": (
        "platform-tag",
        with_library("tiny/new.so", library("new.so", "libcuda.so.1", code=NEW_SYMBOL)),
    ),
}


@pytest.mark.parametrize(("expected", "build"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_wheel_is_found_out(
    tmp_path: Path, expected: str, build: Callable[[Path], Path]
) -> None:
    found = ids(build(tmp_path))
    assert found[0] == expected
    # auditwheel certifies no wheel with a damaged library or an unmet NEEDED.
    assert set(found[1:]) <= ({"platform-tag"} if expected in UNCERTIFIED else set())


RIGHT: dict[str, Callable[[Path], Path]] = {
    "libraries in both schemes": lambda folder: wheel(folder, GOOD),
    "two tags": lambda folder: wheel(folder, GOOD, tag=f"{MANYLINUX}.manylinux2014_{MACHINE}"),
    "a pure wheel": lambda folder: wheel(folder, {"tiny.py": b""}, tag="py3-none-any"),
    "a library that needs the driver": with_library(
        "tiny/driven.so", library("driven.so", "libcuda.so.1", "libnvidia-ml.so.1")
    ),
    "one CUDA runtime twice": lambda folder: wheel(
        folder,
        {
            **GOOD,
            "tiny.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
            f"{DATA}/.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
        },
    ),
}


@pytest.mark.parametrize("build", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_wheel_has_no_fault(tmp_path: Path, build: Callable[[Path], Path]) -> None:
    assert faults(build(tmp_path)) == []


def test_machine_code_in_purelib_is_a_fault(tmp_path: Path) -> None:
    pure = wheel_metadata(MANYLINUX, purelib=True)
    found = faults(wheel(tmp_path, GOOD, metadata={"WHEEL": pure}))
    assert [(f["id"], f["file"]) for f in found] == [
        ("elf-in-purelib", "tiny.libs/" + RT),
        ("elf-in-purelib", "tiny/_tiny.so"),
    ]


def test_every_fault_of_a_wheel_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        **GOOD,
        "tiny/stack.so": library("stack.so", "libgone.so.3", flags=("-Wl,-z,execstack",)),
        f"{DATA}/libtiny.so": library("libtiny.so", RT, rpath="/a:$ORIGIN/../../b::"),
    }
    path = wheel(tmp_path, files, record=lambda rows: rows[1:])
    assert set(ids(path)) == {
        "record-missing",
        "executable-stack",
        "rpath-absolute",
        "rpath-empty-entry",
        "rpath-escapes",
        "needed-not-found",
        "needed-not-in-wheel",
        "platform-tag",
    }
    table = capsys.readouterr().out.splitlines()
    assert table[0] == path.name
    rows = {line.strip().rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1] for line in table[1:]}
    assert rows["opens safely"] == rows["names and tags"] == "ok"
    assert rows["archive and RECORD"] == "record-missing"
    assert rows["installs, loads, uninstalls"] == "not run"


def test_the_platform_asked_for_is_the_least(tmp_path: Path) -> None:
    path = wheel(tmp_path, GOOD)
    assert ids(path, "--plat", f"manylinux_2_28_{MACHINE}") == []
    assert ids(path, "--plat", MANYLINUX.rpartition("-")[2]) == []
    assert ids(path, "--plat", f"manylinux_2_5_{MACHINE}") == ["platform-tag"]
    assert ids(path, "--plat", f"musllinux_1_2_{MACHINE}") == ["platform-tag"]


def test_without_layouts_no_rpath_is_followed(tmp_path: Path) -> None:
    files = {"tiny/a.so": library("a.so", rpath="$ORIGIN/../../../../.."), "tiny/__init__.py": b""}
    path = wheel(tmp_path, files)
    assert ids(path) == ["rpath-escapes"]
    assert ids(path, "--layouts", "none") == []


def test_what_the_host_has_does_not_certify_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {"libtinyrt.so.1": library("libtinyrt.so.1")}
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", outside)))
    path = wheel(tmp_path, {"tiny/a.so": library("a.so", "libtinyrt.so.1")})
    assert ids(path, "--layouts", "none") == ["platform-tag"]


def test_several_wheels_are_verified_in_one_go(tmp_path: Path) -> None:
    right, wrong = wheel(tmp_path / "a", GOOD), wheel(tmp_path / "b", {"tiny.py": b""})
    file = tmp_path / "report.json"
    arguments = [str(right), str(wrong), "--report", str(file)]
    assert report.run(lambda: verify_wheel.main(arguments)) == report.Status.FAULTY
    assert [one["ok"] for one in json.loads(file.read_text())] == [True, False]


@pytest.mark.parametrize(
    "options", [["--plat", "linux_x86_64"], ["--layouts", "all"], ["gone.whl"]]
)
def test_wrong_usage_is_told_from_a_wrong_wheel(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, str(verify_wheel.__file__), str(wheel(tmp_path, GOOD)), *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == report.Status.MISUSED
    assert "Traceback" not in answer.stderr


# ------------------------------------------------------------------- the trial installation


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> trial.Venv:
    """Make one environment for several trials: making one takes seconds."""
    return trial._create(sys.executable, tmp_path_factory.mktemp("trial"))


@pytest.fixture
def shared(environment: trial.Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_create", lambda _python, _folder: environment)


def plainly_repaired(path: Path, destination: Path) -> Path:
    """Run auditwheel alone, as one would without our scripts."""
    command = [sys.executable, "-m", "auditwheel", "repair", "-w", str(destination), str(path)]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, env={**os.environ, "PATH": tools}, capture_output=True)
    return next(destination.iterdir())


@pytest.fixture
def unrepaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    outside = {"libtinyrt.so.1": library("libtinyrt.so.1")}
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", outside)))
    monkeypatch.delenv("AUDITWHEEL_PLAT", raising=False)
    files = {
        "tiny/__init__.py": b"",
        "tiny/_tiny.so": extension("_tiny", "libtinyrt.so.1"),
        f"{DATA}/libtiny.so": library("libtiny.so", "libtinyrt.so.1"),
    }
    return wheel(tmp_path / "in", files, tag=LINUX)


@pytest.mark.usefixtures("shared")
def test_what_auditwheel_alone_repairs_does_not_load(tmp_path: Path, unrepaired: Path) -> None:
    found = faults(plainly_repaired(unrepaired, tmp_path / "plain"), "--layouts", "install")
    failed = [fault for fault in found if fault["id"] == "load-failed"]
    assert [fault["file"] for fault in failed] == [f"{DATA}/libtiny.so"]
    assert "libtinyrt" in failed[0]["found"]
    assert "cannot open shared object file" in failed[0]["found"]


def test_what_we_repair_installs_loads_and_uninstalls(tmp_path: Path, unrepaired: Path) -> None:
    assert repair_wheel.main([str(unrepaired), str(tmp_path / "out")]) == report.Status.DONE
    assert faults(next((tmp_path / "out").iterdir()), "--layouts", "install") == []


@pytest.mark.usefixtures("shared")
def test_each_way_to_fail_in_an_environment_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lure = {"libtinylure.so.1": library("libtinylure.so.1")}
    elsewhere = toolkit(tmp_path / "elsewhere", {RT: GRAFT, **lure})
    wrong = {
        "tiny/crash.so": library(
            "crash.so", code="__attribute__((constructor)) void c(void) { __builtin_trap(); }"
        ),
        # Only LD_LIBRARY_PATH leads to it.
        "tiny/missing.so": library("missing.so", "libtinylure.so.1"),
        "tiny/foreign.so": library("foreign.so", RT, rpath=str(elsewhere)),
        # Run by the interpreter at its start: what it writes is in no RECORD.
        "tiny.pth": b"import sys; open(sys.prefix + '/remnant', 'w').close()\n",
    }
    monkeypatch.setenv("LD_LIBRARY_PATH", str(elsewhere))
    subject = study(wheel(tmp_path / "in", {**GOOD, **wrong}), tmp_path / "read")
    found = {(fault.id, fault.file) for fault in trial.trial_faults(subject)}
    assert found == {
        ("load-crashed", "tiny/crash.so"),
        ("load-failed", "tiny/missing.so"),
        ("graft-not-mapped", "tiny/foreign.so"),
        ("mapped-from-outside", "tiny/foreign.so"),
        ("left-behind", subject.wheel.path.name),
    }


@pytest.mark.usefixtures("shared")
def test_a_wheel_for_older_interpreters_too_is_tried_in_this_one(tmp_path: Path) -> None:
    stable = MANYLINUX.replace("py3-none", "cp37-abi3")
    subject = study(wheel(tmp_path / "in", GOOD, tag=stable), tmp_path / "read")
    assert subject.installed["tiny/_tiny.so"] == "lib/python3.7/site-packages/tiny/_tiny.so"
    assert list(trial.trial_faults(subject)) == []


@pytest.mark.usefixtures("shared")
def test_a_wheel_that_pip_refuses_is_a_fault(tmp_path: Path) -> None:
    text = b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Python: <3\n"
    subject = study(wheel(tmp_path / "in", GOOD, metadata={"METADATA": text}), tmp_path / "read")
    found = list(trial.trial_faults(subject))
    assert [fault.id for fault in found] == ["pip-install"]
    assert "requires a different Python" in found[0].found


def test_a_member_that_is_not_installed_is_a_fault(tmp_path: Path) -> None:
    subject = study(wheel(tmp_path / "in", GOOD), tmp_path / "read")
    empty = trial.Venv(tmp_path / "empty", tmp_path)
    found = list(trial._misplaced(empty, subject))
    assert {fault.id for fault in found} == {"not-installed"}
    assert {fault.file for fault in found} == set(subject.wheel.members)


def test_an_interpreter_is_chosen_by_the_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python3.99"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    names: Mapping[str, str] = {
        f"{here}-{here}": sys.executable,
        "py3-none": sys.executable,
        f"{here}-abi3": sys.executable,
        "cp399-cp399": str(fake),
    }
    for tag, expected in names.items():
        identity = metadata.identify(f"tiny-1.0-{tag}-linux_{MACHINE}.whl")
        assert trial.interpreter(identity)[0] == expected
    threaded = metadata.identify(f"tiny-1.0-cp399-cp399t-linux_{MACHINE}.whl")
    with pytest.raises(LackingError, match=r"python3\.99t"):
        trial.interpreter(threaded)


def test_a_lacking_interpreter_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = MANYLINUX.replace("py3-none", "cp399-cp399")
    path = wheel(tmp_path, GOOD, tag=python)
    file = tmp_path / "report.json"
    arguments = ("--layouts", "install", "--report", str(file))
    assert verify(path, *arguments) == report.Status.LACKING
    assert "python3.99" in capsys.readouterr().err
    result = json.loads(file.read_text())
    assert (result["ok"], result["faults"]) == (False, [])


def test_the_child_program_is_for_old_interpreters_too() -> None:
    source = Path(load_library.__file__).read_text()
    assert ast.parse(source, feature_version=(3, 7)).body
