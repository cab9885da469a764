"""What a report must show, at the borders of what is enough."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import releases
from wheelkit.release import index, reports
from wheelkit.release.gpu_runners import GpuRunner
from wheelkit.release.seal import Sealed
from wheelkit.target.report import FAULT, WARNING, Fault, MisusedError
from wheelkit.wheel import platforms, settings

import wheelkit

WHEEL, SHA = "tiny-1.0-cp310-cp310-manylinux_2_17_x86_64.whl", "0" * 64
HASHES = {WHEEL: SHA}


@pytest.fixture
def required(tmp_path: Path) -> reports.Required:
    (tmp_path / "pyproject.toml").write_text(releases.pyproject("tiny"))
    declared = settings.of_project(tmp_path, "tiny")
    platform = platforms.required(releases.PLAT)
    return reports.Required("cuda", (GpuRunner(releases.GPU),), (platform,), declared)


def entry(tool: str, /, **more: Any) -> dict[str, Any]:
    wheel = {"name": WHEEL, "sha256": SHA}
    head = {"tool": tool, "version": wheelkit.__version__, "wheel": wheel, "ok": True, "faults": []}
    return {**head, **more}


def verified(**more: Any) -> dict[str, Any]:
    return entry("verify_wheel", **{**releases.verification(), **more})


def smoked(device: str = "cuda:0", place: str = releases.GPU, **more: Any) -> dict[str, Any]:
    known = {"device": {"id": device}, "place": place, "kernels": releases.kernels()}
    return entry("smoke_test", **{**known, **more})


ENOUGH = [verified(), smoked("cpu", "debian"), smoked()]


def ids(entries: list[dict[str, Any]], required: reports.Required) -> list[str]:
    return [fault.id for fault in reports.faults_of(entries, HASHES, required)]


def test_three_green_reports_are_enough(required: reports.Required) -> None:
    assert ids(ENOUGH, required) == []


@pytest.mark.parametrize(
    ("missing", "expected"), [(0, "not-verified"), (1, "not-run-on-cpu"), (2, "not-run-on-cuda")]
)
def test_none_of_the_three_may_be_missing(
    required: reports.Required, missing: int, expected: str
) -> None:
    some = [one for number, one in enumerate(ENOUGH) if number != missing]
    (fault,) = reports.faults_of(some, HASHES, required)
    assert (fault.id, fault.file, fault.found) == (expected, WHEEL, "none")


def test_a_source_distribution_computes_on_a_cpu_only(required: reports.Required) -> None:
    hashes = {"tiny-1.0.tar.gz": SHA}
    own = {"name": "tiny-1.0.tar.gz", "sha256": SHA}
    entries = [smoked("cpu", "debian", wheel=own)]
    assert list(reports.faults_of(entries, hashes, required)) == []
    found = [fault.id for fault in reports.faults_of([], hashes, required)]
    assert found == ["not-run-on-cpu"]


def test_every_place_must_have_run_on_its_device(required: reports.Required) -> None:
    two = replace(required, places=(GpuRunner(releases.GPU), GpuRunner("gpu-t4")))
    assert ids(ENOUGH, two) == ["not-run-on-cuda"]
    assert ids([*ENOUGH, smoked("cpu", "gpu-t4")], two) == ["not-run-on-cuda"]
    assert ids([*ENOUGH, smoked("cuda:1", "gpu-t4")], two) == []
    assert ids(ENOUGH, replace(required, places=())) == ["no-place"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ok": False}, "report-red"),
        ({"faults": [{"id": "x", "severity": FAULT}]}, "report-red"),
        ({"faults": [{"id": "x"}]}, "report-red"),
        ({"faults": [{"id": "x", "severity": WARNING}]}, None),
        ({"lacking": "a GPU"}, "report-red"),
        ({"lacking": None}, None),
        ({"accepted": [{"id": "x", "file": "y"}]}, "fault-not-accepted"),
        ({"wheel": {"name": WHEEL, "sha256": "1" * 64}}, "report-for-other-bytes"),
        ({"wheel": {"name": "other.whl", "sha256": SHA}}, "report-for-other-bytes"),
    ],
)
def test_a_report_that_is_not_green_is_found(
    required: reports.Required, change: dict[str, Any], expected: str | None
) -> None:
    # Beside a green one, so that nothing is missing.
    found = ids([*ENOUGH, smoked("cpu", "other", **change)], required)
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"layouts": {**releases.verification()["layouts"], "how": "static"}}, "--layouts static"),
        ({"platform": "manylinux_2_28_x86_64"}, "--plat manylinux_2_28_x86_64"),
        ({"platform": None}, "--plat None"),
        ({"layouts": {"how": "install", "names": ["venv"]}}, "without "),
        ({"checks": {}}, "without "),
        ({"trials": []}, "without "),
    ],
)
def test_a_verification_that_left_something_out_is_found(
    required: reports.Required, change: dict[str, Any], found: str
) -> None:
    (fault,) = reports.faults_of([verified(**change), *ENOUGH], HASHES, required)
    assert fault.id == "verification-incomplete"
    assert fault.found.startswith(found)


def test_each_check_layout_and_way_is_asked_for(required: reports.Required) -> None:
    whole = releases.verification()
    for key, names in (("checks", list(whole["checks"])), ("trials", whole["trials"])):
        for name in names:
            kept: Any = [one for one in names if one != name]
            changed = dict.fromkeys(kept, True) if key == "checks" else kept
            (fault,) = reports.faults_of([verified(**{key: changed}), *ENOUGH], HASHES, required)
            assert fault.id == "verification-incomplete"
    false = dict.fromkeys(whole["checks"], 1)
    (fault,) = reports.faults_of([verified(checks=false), *ENOUGH], HASHES, required)
    assert fault.found.count(",") == 2
    assert fault.found.endswith(f" and {len(false) - 3} more")


@pytest.mark.parametrize(
    ("names", "expected"),
    [("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("", "")],
)
def test_some_names_of_many(names: str, expected: str) -> None:
    assert reports.some(list(names)) == expected


@pytest.mark.parametrize(
    ("error", "within"),
    [
        (0, True),
        (0.0, True),
        (1e-10, True),
        (math.nextafter(1e-10, 1), False),
        (-5e-324, False),
        (math.nan, False),
        (math.inf, False),
        (True, False),
        (False, False),
        (None, False),
        ("0", False),
    ],
)
def test_an_error_is_a_number_from_zero_to_the_tolerance(error: object, within: bool) -> None:
    assert reports.is_error_within(error, 1e-10) is within


def kernel(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "max_error": 0.0, **more}


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        (["sum", "product"], ["kernels-missing"]),
        (["sum", "product", "sum f32", "more"], ["kernel-unexpected"]),
        (["sum", "product", "sum f32", "sum"], ["kernel-unexpected", "kernel-unexpected"]),
        (["sum", "product", "sum f32"], []),
    ],
)
def test_each_declared_kernel_runs_once(
    required: reports.Required, kernels: list[str], expected: list[str]
) -> None:
    run = smoked("cpu", "other", kernels=list(map(kernel, kernels)))
    assert ids([run, *ENOUGH], required) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"dtype": "float64"}, []),
        ({"dtype": "float32"}, ["kernel-dtype"]),
        ({"max_error": 1e-10}, []),
        ({"max_error": 1.1e-10}, ["kernel-error"]),
        ({"max_error": None}, ["kernel-error"]),
    ],
)
def test_a_kernel_computes_in_its_precision(
    required: reports.Required, more: dict[str, Any], expected: list[str]
) -> None:
    run = smoked(
        "cpu", "other", kernels=[kernel("sum", **more), kernel("product"), kernel("sum f32")]
    )
    assert ids([run, *ENOUGH], required) == expected


def test_where_no_machine_is_named_the_remedy_is_said(required: reports.Required) -> None:
    nowhere = replace(required, places=())
    (fault,) = reports.faults_of(ENOUGH, HASHES, nowhere)
    assert (fault.id, fault.file) == ("no-place", "cuda")
    assert (fault.found, fault.expected) == ("none is named", "a runner on which cuda is tried")
    assert "without-gpu" not in fault.remedy
    arm = platforms.required("manylinux_2_17_aarch64")
    two = replace(nowhere, platforms=(*required.platforms, arm))
    faults = list(reports.faults_of([], {}, two))
    assert [fault.file for fault in faults] == ["cuda of x86_64", "cuda of aarch64"]
    assert faults[1].expected == "a runner of aarch64 on which cuda is tried"
    assert all("without-gpu" in fault.remedy for fault in faults)
    # What is declared not to be there, nobody asks for; nor for what one architecture has.
    without = replace(required.settings, without_gpu=("aarch64",))
    one = replace(two, settings=without, places=(GpuRunner("gpu-h100", "x86_64"),))
    assert list(reports.faults_of([], {}, one)) == []


def test_a_project_without_kernels_cannot_be_judged(required: reports.Required) -> None:
    nothing = replace(required, settings=replace(required.settings, kernels=()))
    with pytest.raises(MisusedError, match="no kernels are declared"):
        ids(ENOUGH, nothing)


# ------------------------------------------------------------------------------ the form of one


@pytest.mark.parametrize("whole", [verified(), smoked()], ids=["verification", "smoke test"])
def test_no_key_that_is_read_may_be_missing_or_of_another_type(whole: dict[str, Any]) -> None:
    assert reports.parse(json.dumps(whole).encode()) == [whole]
    optional = {"trials", "accepted", "lacking"}
    for key in whole.keys() - optional:
        less = {name: value for name, value in whole.items() if name != key}
        with pytest.raises(ValueError, match=f"it has no '{key}'"):
            reports.parse(json.dumps(less).encode())
        with pytest.raises(ValueError, match=rf"{key}.* is 1\.5|expected"):
            reports.parse(json.dumps({**whole, key: 1.5}).encode())


TRIAL = ("python", "installer", "layout", "result")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[1]",
        b"\xff",
        json.dumps(smoked(kernels=[{"name": "a"}])).encode(),
        json.dumps(smoked(kernels=[{"max_error": 0}])).encode(),
        json.dumps(smoked(kernels=[kernel("a", max_error="0")])).encode(),
        json.dumps({**smoked(), "device": {}}).encode(),
        json.dumps(smoked(faults=[{}])).encode(),
        json.dumps(smoked(accepted=[{}])).encode(),
        json.dumps(smoked(accepted={})).encode(),
        json.dumps(verified(trials={})).encode(),
        *(
            json.dumps(verified(trials=[{k: "a" for k in TRIAL if k != key}])).encode()
            for key in TRIAL
        ),
        json.dumps(verified(layouts={"how": "install"})).encode(),
        json.dumps(verified(layouts={"names": []})).encode(),
        json.dumps(verified(wheel={"name": WHEEL})).encode(),
        json.dumps(verified(wheel={"sha256": SHA})).encode(),
        json.dumps(verified(tool="other")).encode(),
        json.dumps(verified(version="0")).encode(),
        json.dumps(smoked(kernels=[kernel("a", max_error=math.nan)])).encode(),
        json.dumps([smoked(), 1]).encode(),
        b'{"ok": true, "ok": false}',
    ],
)
def test_a_report_of_another_form_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reports.parse(data)


def test_a_report_of_another_tool_is_told_from_ours() -> None:
    said = "tool is 'other'; expected verify_wheel or smoke_test$"
    with pytest.raises(ValueError, match=said):
        reports.parse(json.dumps(verified(tool="other")).encode())


def test_a_stage_that_could_not_work_has_nothing_more_to_say() -> None:
    assert reports.parse(json.dumps(entry("smoke_test", ok=False)).encode())
    assert len(reports.parse(json.dumps(ENOUGH).encode())) == 3


def test_a_job_that_did_not_run_is_told_from_one_whose_seal_is_lost(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    found = reports.read([Sealed(tmp_path / "none", ""), Sealed(tmp_path / "made", "")])
    assert found.missing == [tmp_path / "none"]
    assert [(fault.id, fault.file) for fault in found.faults] == [("reports-unsealed", "made")]


@pytest.mark.parametrize(
    ("run", "device"),
    [
        ({"device": {"id": "cuda:0"}}, "cuda"),
        ({"device": {"id": "cpu"}}, "cpu"),
        ({"device": "cuda"}, "none"),
        ({}, "none"),
    ],
)
def test_the_kind_of_a_device(run: dict[str, Any], device: str) -> None:
    assert reports.device_of(run) == device


def test_kernels_that_gave_a_number_are_counted() -> None:
    errors = [0, 1e-3, None, True, "0"]
    kernels = [*(kernel("a", max_error=error) for error in errors), {}, 1]
    assert reports.kernels_of({"kernels": kernels}) == 2
    assert reports.kernels_of({"kernels": 1}) == reports.kernels_of({}) == 0


# ------------------------------------------------------------------------- the package index


def test_a_file_of_the_index_must_be_ours_to_the_byte() -> None:
    ours = {"a.whl": "1", "b.whl": "2", "c.whl": "3"}
    listed = {"a.whl": "1", "b.whl": "9", "c.whl": None, "d.whl": "4"}
    found = [(one.id, one.file, one.found, one.expected) for one in index.conflicts(listed, ours)]
    assert found == [
        ("version-published", "b.whl", "sha256 9 on the index", "sha256 2"),
        ("index-without-hash", "c.whl", "no sha256 on the index", "sha256 3"),
        ("version-published", "d.whl", "on the index", "only files of this release"),
    ]
    assert list(index.conflicts({}, ours)) == []


def test_a_fault_of_the_gates_names_what_to_do(required: reports.Required) -> None:
    def told(entries: list[dict[str, Any]]) -> list[Fault]:
        return list(reports.faults_of(entries, HASHES, required))

    red = smoked("cpu", "other", faults=[{"id": "b"}, {"id": "a"}])
    (fault,) = told([red, *ENOUGH])
    assert (fault.file, fault.found, fault.expected, fault.remedy) == (
        *(f"smoke_test of {WHEEL}", "a, b"),
        *("no faults", "correct what the report names"),
    )
    other = smoked("cpu", "other", wheel={"name": WHEEL, "sha256": "1" * 64})
    (fault,) = told([other, *ENOUGH])
    assert (fault.found, fault.expected) == (f"sha256 {'1' * 64}", f"sha256 {SHA}")
    assert fault.remedy == "run the stage again on the sealed files"
