"""Libraries of other distributions: a wheel requires them, and its rpaths lead to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tiny_wheels import (
    LINUX,
    MACHINE,
    MANYLINUX,
    core_metadata,
    extension,
    install,
    library,
    load,
    members,
    toolkit,
    wheel,
    wheel_metadata,
)
from wheelkit.base import progress
from wheelkit.cli import repair as repair_wheel
from wheelkit.cli import verify as verify_wheel
from wheelkit.install import companion_wheels
from wheelkit.install.companion_wheels import Sources
from wheelkit.target import report
from wheelkit.wheel import companions, elf, layouts
from wheelkit.wheel.identity import running_python
from wheelkit.wheel.reading import read_wheel

BLAS, BLAS_LT = "libcublas.so.12", "libcublasLt.so.12"
# As NVIDIA ships it: in purelib, one library finding the other beside it.
CUBLAS = {
    "nvidia/__init__.py": b"",
    f"nvidia/cublas/lib/{BLAS}": library(BLAS, BLAS_LT, rpath="$ORIGIN"),
    f"nvidia/cublas/lib/{BLAS_LT}": library(BLAS_LT),
}
REQUIRES = "Requires-Dist: nvidia-cublas-cu12>=12.1"
ENTRY = "$ORIGIN/../nvidia/cublas/lib"
GRAFT = "libgraft.so.1"
# The first layouts that need two directories, for which one entry cannot be right.
APART = {"lib64", "Bazel", "uv, links followed"}
DATA = "tiny-1.0.data/data/tinylib"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = toolkit(tmp_path / "tools", {GRAFT: library(GRAFT)})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # No test here asks an index, unless it makes one.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)


def companion(
    folder: Path,
    files: Mapping[str, bytes] = CUBLAS,
    *,
    name: str = "nvidia_cublas_cu12-12.9",
    purelib: bool = True,
    more: str = "",
) -> Path:
    distribution, _, version = name.partition("-")
    metadata = {
        "WHEEL": wheel_metadata(MANYLINUX, purelib=purelib),
        "METADATA": core_metadata(distribution, version, more=more),
    }
    return wheel(folder, files, name=name, metadata=metadata)


def tiny(
    folder: Path,
    *needed: str,
    rpath: str | None = ENTRY,
    requires: str = REQUIRES,
    code: bytes = b"",
    tag: str = LINUX,
    more: Mapping[str, bytes] | None = None,
) -> Path:
    files = {
        "tiny/__init__.py": code,
        "tiny/_tiny.so": extension("_tiny", *(needed or (BLAS, GRAFT)), rpath=rpath),
        **(more or {}),
    }
    return wheel(folder, files, tag=tag, metadata={"METADATA": core_metadata(more=requires)})


def repair(path: Path, destination: Path, *options: str) -> int:
    return report.run(lambda: repair_wheel.main([str(path), str(destination), *options]))


def repaired(path: Path, tmp_path: Path, *options: str) -> tuple[Path, dict[str, Any]]:
    """Repair a wheel; return the result and the report."""
    file = tmp_path / "repair.json"
    assert repair(path, tmp_path / "out", "--report", str(file), *options) == 0
    (result,) = (tmp_path / "out").iterdir()
    return result, json.loads(file.read_text())


def verified(path: Path, tmp_path: Path, *options: str) -> dict[str, dict[str, Any]]:
    """Verify a wheel; return the findings on companions and needed libraries, by id."""
    file = tmp_path / "verify.json"
    report.run(lambda: verify_wheel.main([str(path), "--report", str(file), *options]))
    findings = json.loads(file.read_text())["faults"]
    kinds = ("companion", "needed", "rpath", "load", "graft", "mapped", "left", "install")
    return {one["id"]: one for one in findings if one["id"].partition("-")[0] in kinds}


def rpath(path: Path, member: str, folder: Path) -> tuple[str, ...]:
    file = folder / "member"
    file.write_bytes(members(path)[member])
    found = elf.read(file)
    assert found is not None
    return found.search_path


def loaded(path: Path, beside: Path, prefix: Path, member: str = "tiny/_tiny.so") -> list[str]:
    """Install both wheels in a virtual environment and load a library with the real loader."""
    where = layouts.venv("3.11", "tiny")
    install(beside, prefix, where)
    return [os.path.normpath(line) for line in load(install(path, prefix, where)[member])]


# --------------------------------------------------------------------------------- the repair


@pytest.mark.parametrize("built_with", [ENTRY, f"/build/lib:{ENTRY}:$ORIGIN/../../nvidia", None])
@pytest.mark.parametrize("said", [["--exclude", "libcublas.so.*"], []], ids=["excluded", "family"])
def test_an_rpath_leads_to_the_companion_after_the_repair(
    tmp_path: Path, built_with: str | None, said: list[str]
) -> None:
    beside = companion(tmp_path / "beside")
    given = tiny(tmp_path / "in", rpath=built_with)
    path, told = repaired(given, tmp_path, "--companions", str(beside.parent), *said)
    found = rpath(path, "tiny/_tiny.so", tmp_path)
    assert set(found) == {ENTRY, "$ORIGIN/../tiny.libs"}
    assert not any(BLAS in member for member in members(path))
    assert told["companions"] == [
        {
            "name": "nvidia-cublas-cu12",
            "version": "12.9",
            "wheel": beside.name,
            "sha256": report.sha256(beside),
        }
    ]
    mapped = loaded(path, beside, tmp_path / "venv")
    site = tmp_path / "venv" / "lib/python3.11/site-packages"
    assert {str(site / f"nvidia/cublas/lib/{name}") for name in (BLAS, BLAS_LT)} <= set(mapped)


def test_where_it_loads_and_with_what_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = companion(tmp_path / "beside")
    repaired(tiny(tmp_path / "in"), tmp_path, "--companions", str(beside.parent))
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines()[:-1])
    assert lines["loads in"].endswith("; together with nvidia-cublas-cu12 12.9")
    assert set(lines["does not load in"].split("; ")) == APART
    (apart,) = (line for line in lines if line.startswith("no rpath leads to"))
    assert "load its libraries before the import" in lines[apart]


def test_a_companion_in_platlib_is_reached_in_lib64_too(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside", purelib=False)
    path, _ = repaired(tiny(tmp_path / "in"), tmp_path, "--companions", str(beside.parent))
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert "lib64" not in found["companion-not-reached"]["found"]
    assert found["companion-not-reached"]["severity"] == "warning"


def test_a_named_companion_need_not_be_excluded(tmp_path: Path) -> None:
    files = {"blas/lib/libblas.so.3": library("libblas.so.3")}
    beside = companion(tmp_path / "beside", files, name="some_blas-3.0", purelib=False)
    given = tiny(tmp_path / "in", "libblas.so.3", rpath=None, requires="Requires-Dist: some-blas")
    path, _ = repaired(given, tmp_path, "--companion", f"some-blas={beside}")
    assert rpath(path, "tiny/_tiny.so", tmp_path) == ("$ORIGIN/../blas/lib",)
    assert f"{tmp_path}/venv/lib/python3.11/site-packages/blas/lib/libblas.so.3" in loaded(
        path, beside, tmp_path / "venv"
    )


def test_each_library_gets_an_entry_from_its_own_depth(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    deep = "tiny/plugins/v1/deep.so"
    given = tiny(tmp_path / "in", more={deep: library("deep.so", BLAS)})
    path, _ = repaired(given, tmp_path, "--companions", str(beside.parent))
    assert rpath(path, deep, tmp_path) == ("$ORIGIN/../../../nvidia/cublas/lib",)


def test_a_displaced_library_gets_an_entry_for_each_layout(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    own = f"{DATA}/libtiny.so"
    given = tiny(tmp_path / "in", more={own: library("libtiny.so", BLAS, GRAFT)})
    path, _ = repaired(given, tmp_path, "--companions", str(beside.parent))
    found = rpath(path, own, tmp_path)
    assert found[0] == "$ORIGIN/.tiny.libs"
    assert "$ORIGIN/../nvidia/cublas/lib" in found
    assert f"{tmp_path}/venv/lib/python3.11/site-packages/nvidia/cublas/lib/{BLAS}" in loaded(
        path, beside, tmp_path / "venv", own
    )
    found_by_id = verified(path, tmp_path, "--companions", str(beside.parent))
    assert {one["severity"] for one in found_by_id.values()} == {"warning"}


def test_a_companion_may_have_its_libraries_in_a_folder_of_the_platlib_scheme(
    tmp_path: Path,
) -> None:
    files = {"far-1.0.data/platlib/far/lib/libfar.so.1": library("libfar.so.1")}
    beside = companion(tmp_path / "beside", files, name="far-1.0")
    given = tiny(tmp_path / "in", "libfar.so.1", rpath=None, requires="Requires-Dist: far")
    path, told = repaired(given, tmp_path, "--companion", f"far={beside}")
    assert rpath(path, "tiny/_tiny.so", tmp_path) == ("$ORIGIN/../far/lib",)
    assert [(one["id"], one["severity"]) for one in told["faults"]] == [
        ("companion-not-reached", "warning")
    ]
    mapped = loaded(path, beside, tmp_path / "venv")
    assert f"{tmp_path}/venv/lib/python3.11/site-packages/far/lib/libfar.so.1" in mapped


# As Intel's distributions, whose libraries are in <prefix>/lib; and in a folder of its own.
@pytest.mark.parametrize(
    ("folder", "entry"), [("lib", "$ORIGIN/../../.."), ("farlib", "$ORIGIN/../../../../farlib")]
)
def test_a_companion_in_the_data_scheme_is_reached_in_declared_layouts_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, entry: str
) -> None:
    files = {f"far-1.0.data/data/{folder}/libfar.so.1": library("libfar.so.1")}
    beside = companion(tmp_path / "beside", files, name="far-1.0")
    given = tiny(tmp_path / "in", "libfar.so.1", rpath=None, requires="Requires-Dist: far")
    words = ["--companion", f"far={beside}"]
    assert repair(given, tmp_path / "refused", *words) == report.Status.FAULTY
    said = capsys.readouterr().err
    assert f"an rpath that leads to {folder} of the data scheme" in said
    assert "load libfar.so.1 before the import, and declare it in preloaded" in said
    settings = tmp_path / "policy.toml"
    settings.write_text('[tool.wheelkit]\nlayouts = ["venv", "prefix"]\n')
    words += ["--settings", str(settings)]
    path, told = repaired(given, tmp_path, *words)
    assert rpath(path, "tiny/_tiny.so", tmp_path) == (entry,)
    assert told["faults"] == []
    found = verified(path, tmp_path, *words)
    assert found == {}
    mapped = loaded(path, beside, tmp_path / "venv")
    assert f"{tmp_path}/venv/{folder}/libfar.so.1" in mapped


def test_an_entry_for_what_is_opened_by_name_stays(tmp_path: Path) -> None:
    """Nothing is NEEDED, as in jax's plugins: they open the libraries at run time."""
    runtime = "$ORIGIN/../nvidia/cuda_runtime/lib"
    entries = f"{ENTRY}:{runtime}:$ORIGIN/../elsewhere/lib"
    requires = f"{REQUIRES}\nRequires-Dist: nvidia-cuda-runtime-cu12; extra == 'cuda'"
    requires += "\nProvides-Extra: cuda"
    given = tiny(tmp_path / "in", GRAFT, rpath=entries, requires=requires)
    beside = companion(tmp_path / "beside")
    path, told = repaired(given, tmp_path, "--companions", str(beside.parent))
    assert rpath(path, "tiny/_tiny.so", tmp_path) == (ENTRY, runtime, "$ORIGIN/../tiny.libs")
    assert [one["entry"] for one in told["dropped"]] == ["$ORIGIN/../elsewhere/lib"]
    # One was looked at; the other is known by its name alone.
    assert [one.get("version") for one in told["companions"]] == ["12.9", None]
    (finding,) = told["faults"]
    assert (finding["id"], finding["severity"]) == ("companion-not-proven", "warning")
    assert "cuda_runtime" in finding["found"]
    assert "pip download --no-deps --dest DIR 'nvidia-cuda-runtime-cu12'" in finding["remedy"]


def test_an_entry_to_the_folder_of_nvidia_stays_though_nothing_is_required(tmp_path: Path) -> None:
    """As in jax's pjrt: its plugin, another distribution, requires what it opens."""
    given = tiny(tmp_path / "in", GRAFT, rpath=f"{ENTRY}:$ORIGIN/nvidia/lib", requires="")
    path, told = repaired(given, tmp_path)
    assert rpath(path, "tiny/_tiny.so", tmp_path) == (ENTRY, "$ORIGIN/../tiny.libs")
    assert [one["entry"] for one in told["dropped"]] == ["$ORIGIN/nvidia/lib"]
    assert verified(path, tmp_path) == {}


@pytest.mark.parametrize("built_with", [None, ENTRY])
def test_what_only_an_extra_requires_is_grafted_unless_an_rpath_counts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built_with: str | None
) -> None:
    tools = toolkit(tmp_path / "more", {GRAFT: library(GRAFT), BLAS: library(BLAS)})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    requires = f"{REQUIRES}; extra == 'fast'\nProvides-Extra: fast"
    given = tiny(tmp_path / "in", rpath=built_with, requires=requires)
    path, _ = repaired(given, tmp_path)
    grafted = any(".libs/libcublas" in member for member in members(path))
    assert grafted == (built_with is None)


def test_every_dropped_entry_has_a_reason(tmp_path: Path) -> None:
    entries = "/build/lib::$ORIGIN/../../../..:$ORIGIN/../gone:$LIB/x:$ORIGIN/../tiny.libs"
    given = tiny(tmp_path / "in", GRAFT, rpath=entries, requires="")
    path, told = repaired(given, tmp_path)
    assert rpath(path, "tiny/_tiny.so", tmp_path) == ("$ORIGIN/../tiny.libs",)
    reasons = {one["entry"]: one["reason"] for one in told["dropped"]}
    assert list(reasons) == ["/build/lib", "", "$ORIGIN/../../../..", "$ORIGIN/../gone", "$LIB/x"]
    assert "of the machine that built it" in reasons["/build/lib"]
    assert "working directory" in reasons[""]
    assert "above the install prefix in" in reasons["$ORIGIN/../../../.."]
    assert "no library of the wheel" in reasons["$ORIGIN/../gone"]


def test_an_entry_to_the_prefix_stays_where_it_cannot_leave_it(tmp_path: Path) -> None:
    """MPI is opened by name in <prefix>/lib; a folder of --target has nothing above it."""
    own = f"{DATA}/libtiny.so"
    more = {own: library("libtiny.so", rpath="$ORIGIN/../lib")}
    given = tiny(tmp_path / "in", GRAFT, rpath="$ORIGIN/../../..", requires="", more=more)
    path, told = repaired(given, tmp_path)
    assert rpath(path, own, tmp_path) == ("$ORIGIN/../lib",)
    assert [one["entry"] for one in told["dropped"]] == ["$ORIGIN/../../.."]
    settings = tmp_path / "policy.toml"
    settings.write_text('[tool.wheelkit]\nlayouts = ["venv", "prefix"]\n')
    words = [str(given), str(tmp_path / "kept"), "--settings", str(settings)]
    assert report.run(lambda: repair_wheel.main(words)) == 0
    (kept,) = (tmp_path / "kept").iterdir()
    assert rpath(kept, "tiny/_tiny.so", tmp_path) == ("$ORIGIN/../../..", "$ORIGIN/../tiny.libs")


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
def test_a_repaired_wheel_stays_as_it_is_to_the_byte(tmp_path: Path, strategy: str) -> None:
    beside = companion(tmp_path / "beside")
    options = ["--companions", str(beside.parent), "--strategy", strategy]
    path, _ = repaired(tiny(tmp_path / "in"), tmp_path, *options)
    assert repair(path, tmp_path / "again", *options) == 0
    assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    # Nor does it depend on whether the companion can be looked at.
    assert repair(path, tmp_path / "alone", "--strategy", strategy) == 0
    assert (tmp_path / "alone" / path.name).read_bytes() == path.read_bytes()


def test_without_a_wheel_of_the_companion_nothing_is_proven(tmp_path: Path) -> None:
    path, told = repaired(tiny(tmp_path / "in"), tmp_path)
    assert rpath(path, "tiny/_tiny.so", tmp_path) == (ENTRY, "$ORIGIN/../tiny.libs")
    assert {one["id"] for one in told["faults"]} == {"companion-not-proven"}
    found = verified(path, tmp_path)
    assert set(found) == {"companion-not-proven"}
    assert found["companion-not-proven"]["severity"] == "warning"
    assert "No matching distribution found" in found["companion-not-proven"]["found"]
    assert report.run(lambda: verify_wheel.main([str(path), "--strict"])) == 1


# ----------------------------------------------------------------------------- the verification


def finished(tmp_path: Path, *needed: str, **options: Any) -> Path:
    return tiny(tmp_path / "in", *(needed or (BLAS,)), tag=MANYLINUX, **options)


def test_a_wheel_that_does_not_reach_its_companion_is_found_out(tmp_path: Path) -> None:
    """It was built with the right rpath, which a repair has taken away."""
    beside = companion(tmp_path / "beside")
    path = finished(tmp_path, rpath=None)
    assert "cannot open shared object file" in loaded(path, beside, tmp_path / "venv")[0]
    for options in ([], ["--exclude", "libcublas.so.*"]):
        found = verified(path, tmp_path, "--companions", str(beside.parent), *options)
        assert found["companion-not-reached"]["severity"] == "fault"
        assert set(found) == {"companion-not-reached"}


def test_a_wheel_that_reaches_its_companion_has_no_fault(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    found = verified(finished(tmp_path), tmp_path, "--companions", str(beside.parent))
    assert {one["severity"] for one in found.values()} == {"warning"}
    assert all(name in found["companion-not-reached"]["found"] for name in APART)


@pytest.mark.parametrize(
    "code",
    [
        b"import ctypes\nctypes.CDLL('libcublas.so.12')\n",
        b"import torch\n",
        b"from torch import x\n",
    ],
)
def test_a_package_that_names_its_companion_loads_it_before(tmp_path: Path, code: bytes) -> None:
    files = {"torch/__init__.py": b"", f"torch/lib/{BLAS}": library(BLAS)}
    beside = companion(tmp_path / "beside", files, name="torch-2.0", purelib=False)
    path = finished(tmp_path, rpath=None, requires="Requires-Dist: torch", code=code)
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert found["companion-not-reached"]["severity"] == "warning"
    assert "tiny/__init__.py loads the library first" in found["companion-not-reached"]["expected"]
    silent = finished(tmp_path / "silent", rpath=None, requires="Requires-Dist: torch", code=b"")
    found = verified(silent, tmp_path, "--companions", str(beside.parent))
    assert found["companion-not-reached"]["severity"] == "fault"


def test_a_companion_that_brings_another_one_loads_that_too(tmp_path: Path) -> None:
    """As libcudf loads librmm: the package names the first, its module needs both."""
    frame = {
        "libframe/__init__.py": b"",
        "libframe/lib64/libframe.so": library("libframe.so", "libmemory.so"),
    }
    folder = companion(tmp_path / "beside", frame, name="libframe-1.0").parent
    memory = {"libmemory/lib64/libmemory.so": library("libmemory.so")}
    companion(folder, memory, name="libmemory-1.0")
    requires = "Requires-Dist: libframe\nRequires-Dist: libmemory"
    needed = ("libframe.so", "libmemory.so")
    for code, severity in ((b"import libframe\n", "warning"), (b"import frame\n", "fault")):
        place = tmp_path / severity
        path = tiny(place, *needed, rpath=None, requires=requires, code=code, tag=MANYLINUX)
        found = verified(path, tmp_path, "--companions", str(folder))
        reported = json.loads((tmp_path / "verify.json").read_text())["faults"]
        lacking = [one for one in reported if one["id"] == "companion-not-reached"]
        assert [one["found"].split()[1] for one in lacking] == list(needed), found
        assert {one["severity"] for one in lacking} == {severity}


def test_what_a_library_that_was_not_looked_at_brings_is_no_fault(tmp_path: Path) -> None:
    """The wheel of libframe is not there: whether it loads libmemory is not known."""
    memory = {"libmemory/lib64/libmemory.so": library("libmemory.so")}
    folder = companion(tmp_path / "beside", memory, name="libmemory-1.0").parent
    requires = "Requires-Dist: libframe\nRequires-Dist: libmemory"
    needed = ("libframe.so", "libmemory.so")
    for code, severity in ((b"import libframe\n", "warning"), (b"import frame\n", "fault")):
        place = tmp_path / severity
        path = tiny(place, *needed, rpath=None, requires=requires, code=code, tag=MANYLINUX)
        found = verified(path, tmp_path, "--companions", str(folder))
        assert found["companion-not-reached"]["severity"] == severity
        assert found["companion-not-proven"]["severity"] == "warning"


def test_a_companion_that_is_not_required_is_found_out(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    path = finished(tmp_path, requires="Requires-Dist: numpy")
    words = ["--companion", f"nvidia-cublas-cu12={beside}"]
    assert verified(path, tmp_path, *words)["companion-not-required"]["severity"] == "fault"
    assert repair(path, tmp_path / "out", *words) == report.Status.FAULTY


def test_a_requirement_that_the_companion_does_not_meet_is_found_out(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    path = finished(tmp_path, requires="Requires-Dist: nvidia-cublas-cu12<12")
    found = verified(path, tmp_path, "--companion", f"nvidia-cublas-cu12={beside}")
    assert found["companion-unfit"]["severity"] == "fault"
    # Another one may be elsewhere.
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert found["companion-unfit"]["severity"] == "warning"


def test_what_a_companion_requires_in_another_version_is_a_warning(tmp_path: Path) -> None:
    # Only other distributions require this one, and the folder has the wrong version of it.
    beside = companion(tmp_path / "beside", more="Requires-Dist: nvidia-nvjitlink-cu12>=12.9")
    companion(tmp_path / "beside", {"nvidia/x.py": b""}, name="nvidia_nvjitlink_cu12-11.0")
    path = finished(tmp_path, "libnvJitLink.so.12", requires=REQUIRES)
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert found["companion-unfit"]["severity"] == "warning"
    assert "nvidia-nvjitlink-cu12 (a companion requires it)" in found["companion-unfit"]["found"]


def test_a_companion_with_another_soname_is_found_out(tmp_path: Path) -> None:
    files = {"nvidia/cu13/lib/libcublas.so.13": library("libcublas.so.13")}
    beside = companion(tmp_path / "beside", files, name="nvidia_cublas-13.0")
    path = finished(tmp_path, requires="Requires-Dist: nvidia-cublas")
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert found["companion-without-library"]["severity"] == "fault"
    assert "nvidia-cublas 13.0 has libcublas.so.13" in found["companion-without-library"]["found"]


def test_what_nobody_has_is_missing_as_before(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    path = finished(tmp_path, "libgone.so.1", requires=REQUIRES)
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert found["needed-not-in-wheel"]["severity"] == "fault"
    assert found["needed-not-in-wheel"]["remedy"].startswith("repair")
    # As in cutensor: the rpath leads to cuBLAS, which nothing requires.
    path = finished(tmp_path / "silent", requires="")
    assert verified(path, tmp_path)["needed-not-in-wheel"]["remedy"].startswith("require")


def test_a_library_of_the_wheel_itself_is_not_sought_elsewhere(tmp_path: Path) -> None:
    more = {"tiny/lib/libown.so": library("libown.so")}
    requires = "Requires-Dist: numpy"
    path = finished(tmp_path, "libown.so", rpath=None, requires=requires, more=more)
    assert set(verified(path, tmp_path)) == {"needed-not-found"}


def test_what_a_companion_needs_of_another_one_is_found(tmp_path: Path) -> None:
    solver = {
        "nvidia/cusolver/lib/libcusolver.so.11": library(
            "libcusolver.so.11", BLAS, rpath="$ORIGIN/../../cublas/lib"
        )
    }
    folder = companion(tmp_path / "beside").parent
    more = "Requires-Dist: nvidia-cublas-cu12"
    companion(folder, solver, name="nvidia_cusolver_cu12-11.7", more=more)
    requires = "Requires-Dist: nvidia-cusolver-cu12"
    way = "$ORIGIN/../nvidia/cusolver/lib"
    path = finished(tmp_path, "libcusolver.so.11", rpath=way, requires=requires)
    opened = read_wheel(path, tmp_path / "read")
    found = companion_wheels.find(opened, Sources(folder=folder))
    assert [one.name for one in found.found] == ["nvidia-cusolver-cu12", "nvidia-cublas-cu12"]


ONE_WAY = ("--layouts", "install", "--installers", "pip,uv", "--ways", "venv,target")


def trials(path: Path, tmp_path: Path, *options: str) -> tuple[dict[str, Any], set[str]]:
    """Really install a wheel; return its findings by id, and the results of the trials."""
    words = [*ONE_WAY, "--pythons", running_python(), *options]
    found = verified(path, tmp_path, *words)
    told = json.loads((tmp_path / "verify.json").read_text())["trials"]
    assert len(told) >= 4
    return found, {one["result"] for one in told}


@pytest.mark.slow
def test_a_wheel_is_installed_with_its_companions_and_loads(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    path, _ = repaired(tiny(tmp_path / "in"), tmp_path, "--companions", str(beside.parent))
    found, results = trials(path, tmp_path, "--companions", str(beside.parent))
    assert results == {"ok"}
    assert {one["severity"] for one in found.values()} == {"warning"}


@pytest.mark.slow
def test_a_wheel_that_does_not_reach_its_companion_does_not_load(tmp_path: Path) -> None:
    beside = companion(tmp_path / "beside")
    path = finished(tmp_path, rpath=None)
    for options in ([], ["--exclude", "libcublas.so.*"]):
        found, results = trials(path, tmp_path, "--companions", str(beside.parent), *options)
        assert results == {"load-failed"}
        assert BLAS in found["load-failed"]["expected"]


@pytest.mark.slow
def test_a_package_that_loads_its_companion_before_is_tried_so(tmp_path: Path) -> None:
    files = {"torch/__init__.py": b"", f"torch/lib/{BLAS}": library(BLAS)}
    beside = companion(tmp_path / "beside", files, name="torch-2.0", purelib=False)
    path = finished(tmp_path, rpath=None, requires="Requires-Dist: torch", code=b"import torch\n")
    found, results = trials(path, tmp_path, "--companions", str(beside.parent))
    assert results == {f"ok, _tiny.so loaded after {BLAS}"}
    assert "load-failed" not in found


# ------------------------------------------------------------------------ where wheels come from


def test_pip_finds_a_companion_and_its_download_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = companion(tmp_path / "beside")
    monkeypatch.setenv("PIP_FIND_LINKS", beside.parent.as_uri())
    opened = read_wheel(finished(tmp_path), tmp_path / "read")
    (first,) = companion_wheels.find(opened, Sources()).found
    assert first.sha256 == report.sha256(beside)
    monkeypatch.delenv("PIP_FIND_LINKS")
    (kept,) = companion_wheels.find(opened, Sources()).found
    assert kept.path.is_relative_to(tmp_path / "cache")
    assert kept.sha256 == first.sha256


def test_downloads_that_nobody_asked_for_in_a_month_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", companion(tmp_path / "beside").parent.as_uri())
    monkeypatch.setattr(progress, "SILENCE", -1.0)
    cache = companion_wheels.cache()
    old, new = (cache / folder / "a-1-py3-none-any.whl" for folder in ("old", "new"))
    for path, days in ((old, 31), (new, 29)):
        path.parent.mkdir(parents=True)
        path.touch()
        then = time.time() - days * 24 * 3600
        os.utime(path, (then, then))
    opened = read_wheel(finished(tmp_path), tmp_path / "read")
    companion_wheels.prune.cache_clear()
    (found,) = companion_wheels.find(opened, Sources()).found
    assert "pip downloads nvidia-cublas-cu12>=12.1" in capsys.readouterr().err
    assert not old.parent.exists()
    assert new.exists()
    # What is used is as new.
    os.utime(found.path, (0, 0))
    companion_wheels.prune.cache_clear()
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert [one.path for one in companion_wheels.find(opened, Sources()).found] == [found.path]


def test_only_what_may_have_a_library_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", companion(tmp_path / "beside").parent.as_uri())
    requires = f"Requires-Dist: nvidia-cudnn-cu12\nRequires-Dist: numpy\n{REQUIRES}"
    opened = read_wheel(finished(tmp_path, requires=requires), tmp_path / "read")
    found = companion_wheels.find(opened, Sources())
    assert [one.name for one in found.found] == ["nvidia-cublas-cu12"]
    assert found.unseen == {"nvidia-cudnn-cu12": "not looked at", "numpy": "not looked at"}


def test_the_newest_wheel_that_meets_the_requirement_is_taken(tmp_path: Path) -> None:
    for version in ("12.2", "12.10", "13.0"):
        companion(tmp_path / "beside", name=f"nvidia_cublas_cu12-{version}")
    requires = "Requires-Dist: nvidia-cublas-cu12>=12,<13"
    opened = read_wheel(finished(tmp_path, requires=requires), tmp_path / "read")
    (found,) = companion_wheels.find(opened, Sources(folder=tmp_path / "beside")).found
    assert found.version == "12.10"


@pytest.mark.parametrize("word", ["=x.whl", "nvidia-cublas-cu12=/gone.whl"])
def test_a_companion_that_is_no_file_is_wrong_usage(tmp_path: Path, word: str) -> None:
    path = tiny(tmp_path / "in")
    assert repair(path, tmp_path / "out", "--companion", word) == report.Status.MISUSED


def test_a_folder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        repair(tiny(tmp_path / "in"), tmp_path / "out", "--companions", str(tmp_path / "gone"))
    assert caught.value.code == report.Status.MISUSED


def test_a_damaged_companion_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "nvidia_cublas_cu12-12.9-py3-none-any.whl"
    damaged.write_bytes(b"no zip")
    path = tiny(tmp_path / "in")
    words = ["--companion", f"nvidia-cublas-cu12={damaged}"]
    assert repair(path, tmp_path / "out", *words) == report.Status.FAULTY
    other = companion(tmp_path / "other", name="nvidia_cufft_cu12-11.0")
    words = ["--companion", f"nvidia-cublas-cu12={other}"]
    assert repair(path, tmp_path / "out", *words) == report.Status.FAULTY


def test_a_project_declares_its_companions(tmp_path: Path) -> None:
    files = {"blas/lib/libblas.so.3": library("libblas.so.3")}
    beside = companion(tmp_path / "beside", files, name="some_blas-3.0", purelib=False)
    policy = tmp_path / "policy.toml"
    policy.write_text('[tool.wheelkit]\ncompanions = ["some-blas"]\n')
    given = tiny(tmp_path / "in", "libblas.so.3", rpath=None, requires="Requires-Dist: some-blas")
    words = ["--settings", str(policy), "--companions", str(beside.parent)]
    path, _ = repaired(given, tmp_path, *words)
    assert rpath(path, "tiny/_tiny.so", tmp_path) == ("$ORIGIN/../blas/lib",)


# ------------------------------------------------------------------------ NVIDIA's metapackage

# As cuda-toolkit 13 of the index has it.
LINUX_ONLY = "(sys_platform == 'linux' and platform_machine == 'x86_64' or sys_platform == 'win32')"
TOOLKIT = f"""Provides-Extra: cudart
Requires-Dist: nvidia-cuda-runtime==13.5.37.*; {LINUX_ONLY} and extra == 'cudart'
Provides-Extra: cublas
Requires-Dist: nvidia-cublas==13.10.*; {LINUX_ONLY} and extra == 'cublas'
Requires-Dist: nvidia-cuda-nvrtc==13.5.37.*; {LINUX_ONLY} and extra == 'cublas'"""
IN_13 = "$ORIGIN/../nvidia/cu13/lib"


def toolkit_13(folder: Path) -> Path:
    """Put the metapackage and two of its distributions into a folder."""
    companion(folder, {"toolkit.py": b""}, name="cuda_toolkit-13.5.0", more=TOOLKIT)
    for name in ("cuda_runtime-13.5.37", "cublas-13.10.0"):
        library_name = f"lib{'cudart' if 'runtime' in name else 'cublas'}.so.13"
        files = {f"nvidia/cu13/lib/{library_name}": library(library_name)}
        companion(folder, files, name=f"nvidia_{name}")
    return folder


@pytest.mark.skipif(MACHINE != "x86_64", reason="the markers are those of x86-64")
@pytest.mark.parametrize(
    ("requires", "missing"),
    [
        ("cuda-toolkit[cudart,cublas]==13.*", set()),
        ("cuda-toolkit[cudart]==13.*\nRequires-Dist: cuda-toolkit[cublas]", set()),
        ("cuda_toolkit[cudart]==13.*", {"libcublas.so.13"}),
        ("cuda-toolkit==13.*", {"libcublas.so.13", "libcudart.so.13"}),
    ],
)
def test_what_the_extras_of_the_metapackage_require_is_there(
    tmp_path: Path, requires: str, missing: set[str]
) -> None:
    folder = toolkit_13(tmp_path / "beside")
    needed = ("libcublas.so.13", "libcudart.so.13")
    path = finished(tmp_path, *needed, rpath=IN_13, requires=f"Requires-Dist: {requires}")
    found = verified(path, tmp_path, "--companions", str(folder))
    lacking = found.get("needed-not-in-wheel", {"found": ""})["found"]
    assert {name for name in needed if f"{name}," in lacking} == missing
    opened = read_wheel(path, tmp_path / "read")
    names = {one.name for one in companion_wheels.find(opened, Sources(folder=folder)).found}
    brought = {"libcublas.so.13": "nvidia-cublas", "libcudart.so.13": "nvidia-cuda-runtime"}
    assert names == {"cuda-toolkit"} | {brought[name] for name in set(needed) - missing}


@pytest.mark.skipif(MACHINE != "x86_64", reason="the markers are those of x86-64")
@pytest.mark.parametrize("there", [True, False])
def test_a_repair_grafts_nothing_that_the_metapackage_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    brought = ("libcublas.so.13", "libcudart.so.13", "libnvrtc.so.13")
    tools = toolkit(tmp_path / "more", {name: library(name) for name in (*brought, GRAFT)})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    folder = toolkit_13(tmp_path / "beside") if there else tmp_path / "nothing"
    folder.mkdir(exist_ok=True)
    requires = "Requires-Dist: cuda-toolkit[cudart,cublas]==13.*"
    given = tiny(tmp_path / "in", *brought[:2], GRAFT, rpath=IN_13, requires=requires)
    path, told = repaired(given, tmp_path, "--companions", str(folder))
    grafted = {
        name.rpartition("/")[2].partition("-")[0] for name in members(path) if ".libs" in name
    }
    assert grafted == {"libgraft"}
    assert rpath(path, "tiny/_tiny.so", tmp_path) == (IN_13, "$ORIGIN/../tiny.libs")
    proven = {"nvidia-cublas", "nvidia-cuda-runtime"}
    assert {one["name"] for one in told["companions"]} == (proven if there else {"cuda-toolkit"})
    remedies = [one["remedy"] for one in told["faults"] if one["id"] == "companion-not-proven"]
    words = "pip download --dest DIR 'cuda-toolkit[cublas,cudart]==13.*', then"
    assert [words in remedy for remedy in remedies] == ([] if there else [True])


def test_a_requirement_for_the_machine_of_the_wheel_counts(tmp_path: Path) -> None:
    """Whatever machine this is."""
    for arch in ("x86_64", "aarch64"):
        requires = f"{REQUIRES}; platform_machine == '{arch}' and python_full_version > '3.7.3'"
        tag = f"cp37-cp37m-manylinux_2_17_{arch}"
        path = tiny(tmp_path / arch, BLAS, requires=requires, tag=tag)
        opened = read_wheel(path, tmp_path / "read" / arch)
        required = companion_wheels.find(opened, Sources(folder=tmp_path)).required
        assert set(required) == {"nvidia-cublas-cu12"}
        path = tiny(tmp_path / "other", BLAS, requires=requires, tag=tag.replace(arch, "ppc64le"))
        opened = read_wheel(path, tmp_path / "other" / arch)
        assert companion_wheels.find(opened, Sources(folder=tmp_path)).required == {}


def test_what_is_required_without_an_extra_counts_first(tmp_path: Path) -> None:
    """As in faiss-gpu-cu12, which has an extra that pins what the wheel requires anyway."""
    beside = companion(tmp_path / "beside")
    requires = f"{REQUIRES}\nRequires-Dist: nvidia-cublas-cu12==12.1; extra == 'fix'"
    path = finished(tmp_path, requires=f"{requires}\nProvides-Extra: fix")
    found = verified(path, tmp_path, "--companions", str(beside.parent))
    assert "companion-unfit" not in found
    assert found["companion-not-reached"]["severity"] == "warning"


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("distribution", "name", "has"),
    [
        ("nvidia-cublas-cu12", "libcublasLt.so.12", True),
        ("nvidia-cublas", "libcublas.so.13", True),
        ("nvidia-cuda-runtime-cu12", "libcudart.so.12", True),
        ("nvidia-cuda-nvrtc-cu12", "libnvrtc-builtins.so.12.9", True),
        ("nvidia-nvjitlink-cu12", "libnvJitLink.so.12", True),
        ("nvidia-cudnn-cu12", "libcudnn_graph.so.9", True),
        ("nvidia-nccl-cu12", "libnccl.so.2", True),
        ("nvidia-cusparselt-cu12", "libcusparseLt.so.0", True),
        ("nvidia-npp-cu12", "libnppig.so.12", True),
        ("nvidia-cufile-cu12", "libcufile_rdma.so.1", True),
        ("nvidia-libnvcomp-cu12", "libnvcomp.so.6", True),
        ("nvidia-cusparse-cu12", "libcublas.so.12", False),
        ("nvidia-cusparse-cu12", "libcusparseLt.so.0", False),
        ("nvidia-nvjpeg-cu12", "libnvjpeg2k.so.0", False),
        ("nvidia-cufft-cu12", "libcudart.so.12", False),
        ("torch", "libc10.so", False),
    ],
)
def test_the_family_is_known_by_its_names(distribution: str, name: str, *, has: bool) -> None:
    assert companions.family_has(distribution, name) is has


@pytest.mark.parametrize(
    ("requirement", "name", "brings"),
    [
        ("cuda-toolkit[cudart]", "libcudart.so.13", True),
        ("cuda-toolkit[cudart]", "libcublas.so.13", False),
        ("cuda-toolkit[nvrtc,cublas]", "libnvrtc-builtins.so.13.0", True),
        ("cuda-toolkit[cufft]", "libcufft.so.12", True),
        ("cuda-toolkit[all]", "libcudart.so.13", True),
        ("cuda-toolkit[all]", "libcudnn.so.9", False),
        ("cuda-toolkit", "libcudart.so.13", False),
        ("nvidia-cublas", "libcublas.so.13", True),
        ("numpy[cudart]", "libcudart.so.13", False),
    ],
)
def test_the_metapackage_is_known_by_its_extras(
    requirement: str, name: str, *, brings: bool
) -> None:
    given = Requirement(requirement)
    assert companions.has(given, name) is brings
    assert companions.may_have(given, name) is (brings or given.name == "numpy")


@pytest.mark.parametrize(
    ("distribution", "folder", "belongs"),
    [
        ("nvidia-cublas-cu12", "nvidia/cublas/lib", True),
        ("nvidia-cuda-runtime-cu12", "nvidia/cuda_runtime/lib", True),
        ("nvidia-cublas", "nvidia/cu13/lib", True),
        ("nvidia-cudnn-cu12", "nvidia/cublas/lib", False),
        ("libcudf-cu12", "libcudf/lib64", True),
        ("torch", "torch/lib", True),
        ("torchvision", "torch/lib", False),
        ("numpy", "nvidia/cublas/lib", False),
        ("cuda-toolkit", "nvidia/cublas/lib", True),
        ("cuda-toolkit", "toolkit/lib", False),
    ],
)
def test_a_folder_is_known_by_its_name(distribution: str, folder: str, *, belongs: bool) -> None:
    assert companions.claims(distribution, folder) is belongs


# ------------------------------------------------------------------------------- a real wheel

# jax's plugin needs none of NVIDIA's libraries by name: it opens them along its rpath.
OPENS_RUNTIME = """
import jax_cuda12_plugin._versions as versions
print(versions.cuda_runtime_get_version())
print(next(line.split()[-1] for line in open("/proc/self/maps") if "/libcudart.so.12" in line))
"""


@pytest.mark.network
def test_the_plugin_of_jax_still_opens_the_runtime_of_its_companion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_CONFIG_FILE")
    tags = ["manylinux2014_x86_64", "manylinux_2_27_x86_64"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    pip += [f"--platform={tag}" for tag in tags]
    python = running_python()
    folder = tmp_path / "downloads"
    names = ["jax-cuda12-plugin==0.10.2", "nvidia-cuda-runtime-cu12"]
    command = [*pip, f"--python-version={python}", "--dest", str(folder), *names]
    subprocess.run(command, check=True)
    (given,) = folder.glob("jax*.whl")
    (beside,) = folder.glob("nvidia*.whl")
    path, told = repaired(given, tmp_path, "--companions", str(folder))
    assert "nvidia-cuda-runtime-cu12" in {one["name"] for one in told["companions"]}
    assert {one["entry"].startswith("$ORIGIN/../../") for one in told["dropped"]} == {True}
    where = layouts.venv(python, "jax")
    install(path, tmp_path / "venv", where)
    install(beside, tmp_path / "venv", where)
    site = tmp_path / "venv" / where.directories["platlib"]
    said = subprocess.run(
        [sys.executable, "-S", "-c", OPENS_RUNTIME],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert int(said[0]) >= 12000
    assert said[1] == str(site / "nvidia/cuda_runtime/lib/libcudart.so.12")
