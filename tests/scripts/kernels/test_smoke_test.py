"""smoke_test.py with the wheel, both intact and damaged in each way that it must notice."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import smoke_test
from kernels import smoke_kernels
from wheelkit.target import smoke

SCRIPT = Path(smoke_test.__file__)


class Run(NamedTuple):
    """The results of a run."""

    status: int
    out: str
    err: str
    report: dict[str, Any]

    def faults(self) -> list[str]:
        """Return the ids of the faults."""
        return [fault["id"] for fault in self.report["faults"]]


class Installation(NamedTuple):
    """A wheel, and a prefix where pip has installed it."""

    wheel: Path
    site: Path

    def run(self, *arguments: str, path: list[Path] | None = None, **environment: str) -> Run:
        """Run the smoke test on it; a GPU of this machine stays hidden."""
        folders = os.pathsep.join(map(str, path or [self.site]))
        changed = {"PYTHONPATH": folders, "CUDA_VISIBLE_DEVICES": "", **environment}
        return run_script(self.wheel, *arguments, environment=changed)


def run_script(wheel: Path, *arguments: str, environment: dict[str, str]) -> Run:
    """Run the script; its report is read back and removed."""
    report = wheel.with_suffix(".json")
    command = [sys.executable, str(SCRIPT), "--wheel", str(wheel), "--report", str(report)]
    done = subprocess.run(
        [*command, *arguments],
        check=False,
        capture_output=True,
        text=True,
        # No bytecode is written, so that copies of an installation stay as pip made them.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    content = json.loads(report.read_text()) if report.exists() else {}
    return Run(done.returncode, done.stdout, done.stderr, content)


def install(wheel: Path, *where: str) -> None:
    """Install a wheel with pip."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    # Without this, pip would find the wheel in the environment of the tests and install nothing.
    options = ["--ignore-installed", "--no-compile", *where]
    subprocess.run([*command, *options, str(wheel)], check=True)


def install_into(folder: Path, wheel: Path) -> Installation:
    """Install a wheel below a separate prefix."""
    copy = folder / wheel.name
    if copy != wheel:
        shutil.copy(str(wheel), str(copy))
    install(copy, "--prefix", str(folder / "prefix"))
    (site,) = folder.glob("prefix/lib*/python*/site-packages")
    return Installation(copy, site)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installation:
    return install_into(tmp_path_factory.mktemp("pristine"), wheel)


@pytest.fixture
def installation(pristine: Installation, tmp_path: Path) -> Installation:
    """A copy of the installed wheel that a test may damage."""
    prefix = pristine.wheel.parent / "prefix"
    shutil.copytree(str(prefix), str(tmp_path / "prefix"), symlinks=True)
    shutil.copy(str(pristine.wheel), str(tmp_path))
    return Installation(
        tmp_path / pristine.wheel.name, tmp_path / "prefix" / pristine.site.relative_to(prefix)
    )


def with_code(wheel: Path, folder: Path, member: str, code: str) -> Path:
    """Return a wheel with code added to one of its modules, and a RECORD to match."""
    changed = folder / wheel.name
    with zipfile.ZipFile(str(wheel)) as old, zipfile.ZipFile(str(changed), "w") as new:
        contents = {name: old.read(name) for name in old.namelist()}
        contents[member] += code.encode()
        record = next(name for name in contents if name.endswith(".dist-info/RECORD"))
        contents[record] = with_hash(contents[record].decode(), member, contents[member])
        for name, content in contents.items():
            new.writestr(name, content)
    return changed


def with_hash(record: str, member: str, content: bytes) -> bytes:
    """Return a RECORD with the hash of a member's new content."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    rows = [
        [member, f"sha256={digest}", str(len(content))] if row[0] == member else row
        for row in csv.reader(record.splitlines())
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def test_whole_wheel_passes_and_maps_its_own_libraries(pristine: Installation) -> None:
    run = pristine.run("--device", "cpu")
    assert run.status == 0, run.err
    assert run.out.startswith("smoke test: cpu ok (")
    assert run.report["ok"] is True
    assert run.report["device"]["id"] == "cpu"
    names = [Path(path).name.split("-")[0] for path in run.report["mapped"]]
    assert names == ["libcufes.so", "libcudart", "libgomp"]
    assert all(str(pristine.wheel.parent) in path for path in run.report["mapped"])
    assert len(run.report["kernels"]) == len(list(smoke_kernels.all_kernels()))


def test_target_directory_passes_too(wheel: Path, tmp_path: Path) -> None:
    install(wheel, "--target", str(tmp_path / "target"))
    copy = Path(shutil.copy(str(wheel), str(tmp_path)))
    run = Installation(copy, tmp_path / "target").run("--device", "cpu")
    assert run.status == 0, run.err


def test_auto_reports_the_device_that_was_used(pristine: Installation) -> None:
    assert pristine.run("--device", "auto").out.startswith("smoke test: cpu ok (")


def test_cuda_without_a_gpu_has_status_3(pristine: Installation) -> None:
    run = pristine.run("--device", "cuda")
    assert (run.status, run.out) == (3, "")
    assert run.err.startswith("error: no usable GPU: ")
    assert run.report == {}


def test_older_report_is_removed_by_a_run_without_result(pristine: Installation) -> None:
    assert pristine.run("--device", "cpu").report["ok"] is True
    assert pristine.run("--device", "cuda").report == {}


@pytest.mark.parametrize(
    ("place", "message"), [("file/report.json", "is no folder"), (".", "name another file")]
)
def test_report_that_cannot_be_written_is_wrong_usage(
    pristine: Installation, tmp_path: Path, place: str, message: str
) -> None:
    (tmp_path / "file").touch()
    run = pristine.run("--report", str(tmp_path / place))
    assert (run.status, run.out) == (2, "")
    assert message in run.err


@pytest.mark.gpu
def test_whole_wheel_passes_on_the_gpu(pristine: Installation) -> None:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    run = pristine.run("--device", "cuda", CUDA_VISIBLE_DEVICES=visible)
    assert run.status == 0, run.err
    assert run.report["device"]["id"] == "cuda:0"
    assert run.report["driver"]


@pytest.mark.parametrize("place", ["{site}/cyfes/surface.py", "{prefix}/cufes/libcufes.so"])
def test_changed_file_is_found(installation: Installation, place: str) -> None:
    prefix = installation.wheel.parent / "prefix"
    victim = Path(place.format(site=installation.site, prefix=prefix))
    with victim.open("ab") as stream:
        stream.write(b"\n")
    run = installation.run()
    assert run.status == 1
    (fault,) = run.report["faults"]
    assert (fault["id"], fault["file"]) == ("file-differs", fault["file"])
    assert Path(fault["file"]).resolve() == victim.resolve()
    assert run.out == "smoke test: FAILED (1 faults)\n"


@pytest.mark.parametrize("place", ["{site}/cyfes/surface.py", "{prefix}/cufes/cufes.h"])
def test_missing_file_is_found(installation: Installation, place: str) -> None:
    prefix = installation.wheel.parent / "prefix"
    victim = Path(place.format(site=installation.site, prefix=prefix))
    victim.unlink()
    run = installation.run()
    assert run.status == 1
    (fault,) = run.report["faults"]
    assert fault["id"] == "file-missing"
    assert fault["file"].endswith(victim.name)


def test_source_tree_in_front_of_the_wheel_is_refused(
    pristine: Installation, tmp_path: Path
) -> None:
    (tmp_path / "cyfes").mkdir()
    (tmp_path / "cyfes" / "__init__.py").write_text("raise SystemExit('imported')")
    run = pristine.run(path=[tmp_path, pristine.site])
    assert run.status == 1
    (fault,) = run.report["faults"]
    assert fault["id"] == "package-shadowed"
    assert fault["found"] == str(tmp_path / "cyfes" / "__init__.py")


def test_working_directory_does_not_shadow_the_wheel(
    pristine: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cyfes").mkdir()
    (tmp_path / "cyfes" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert pristine.run("--device", "cpu").status == 0


def test_error_names_the_wheel_and_what_is_installed_instead(
    pristine: Installation, tmp_path: Path
) -> None:
    other = tmp_path / "cyfes-0.1-py3-none-any.whl"
    with zipfile.ZipFile(str(other), "w") as archive:
        archive.writestr("cyfes-0.1.dist-info/RECORD", "")
    run = pristine._replace(wheel=other).run()
    assert (run.status, run.faults()) == (1, ["not-installed"])
    assert str(pristine.site) in run.report["faults"][0]["found"]


# Code for the end of cyfes/__init__.py, and the names of the kernels whose results it changes.
SPOILT = {
    "values": (
        "import dataclasses\n_sum = __getattr__('sum_hills')\ndef sum_hills(*a, **k):\n"
        "    f = _sum(*a, **k)\n    return dataclasses.replace(f, values=f.values * (1 + 1e-9))\n",
        ["sum_hills", "float64"],
    ),
    "gradient": (
        "import dataclasses\n_sum = __getattr__('sum_hills')\ndef sum_hills(*a, **k):\n"
        "    f = _sum(*a, **k)\n    return dataclasses.replace(f, gradient=-f.gradient)\n",
        ["sum_hills"],
    ),
    "nan": (
        "_bias = __getattr__('bias')\ndef bias(*a, **k):\n    v = _bias(*a, **k)\n"
        "    v[-1] = float('nan')\n    return v\n",
        ["bias"],
    ),
    "shape": (
        "_bias = __getattr__('bias')\ndef bias(*a, **k):\n    return _bias(*a, **k)[:-1]\n",
        ["bias"],
    ),
    "exception": ("def PathFES(*a, **k):\n    raise RuntimeError('no')\n", ["PathFES"]),
    "precision": ("PathFES = __getattr__('PathFES_f32')\n", ["PathFES"]),
}


@pytest.mark.parametrize("spoilt", sorted(SPOILT))
def test_exactly_the_wrong_results_are_reported(wheel: Path, tmp_path: Path, spoilt: str) -> None:
    code, words = SPOILT[spoilt]
    wrong = with_code(wheel, tmp_path, "cyfes/__init__.py", "\n" + code)
    run = install_into(tmp_path, wrong).run("--device", "cpu")
    assert run.status == 1
    assert set(run.faults()) == {"kernel-wrong"}
    accused = {fault["file"] for fault in run.report["faults"]}
    names = [kernel["name"] for kernel in run.report["kernels"]]
    assert accused == {name for name in names if set(words) <= set(name.split())}


def test_wheel_that_cannot_be_imported_fails(wheel: Path, tmp_path: Path) -> None:
    wrong = with_code(wheel, tmp_path, "cyfes/__init__.py", "\nraise OSError('no library')\n")
    run = install_into(tmp_path, wrong).run()
    assert (run.status, run.faults()) == (1, ["import-fails"])
    assert run.report["faults"][0]["found"] == "OSError: no library"


def test_library_from_elsewhere_is_found(pristine: Installation, tmp_path: Path) -> None:
    prefix = pristine.wheel.parent / "prefix"
    (graft,) = (path for path in prefix.rglob("libgomp*") if "cufes" in path.parts)
    foreign = Path(shutil.copy(str(graft), str(tmp_path)))
    run = pristine.run("--device", "cpu", LD_PRELOAD=str(foreign))
    assert run.status == 1
    assert "library-not-from-wheel" in run.faults()
    assert str(foreign) in [fault["found"] for fault in run.report["faults"]]


def test_libraries_of_the_unrepaired_wheel_are_foreign(
    unrepaired_wheel: Path, pristine: Installation, tmp_path: Path
) -> None:
    """The system's libgomp and a toolkit's libcudart, which hide a missing grafted library."""
    prefix = pristine.wheel.parent / "prefix"
    (graft,) = (path for path in prefix.rglob("libcudart*") if "cufes" in path.parts)
    shutil.copy(str(graft), str(tmp_path / "libcudart.so.12"))
    raw = install_into(tmp_path, unrepaired_wheel)
    run = raw.run("--device", "cpu", LD_LIBRARY_PATH=str(tmp_path))
    assert (run.status, run.faults()) == (1, ["library-not-from-wheel"] * 2)
    assert [fault["file"] for fault in run.report["faults"]] == ["libcudart", "libgomp"]


GOOD = {Path("/site/libgomp-1.so"): "", Path("/site/libgomp-2.so"): ""}


@pytest.mark.parametrize(
    ("mapped", "ids"),
    [
        (["/site/libgomp-1.so"], []),
        ([], ["library-not-mapped"]),
        (["/usr/lib/libgomp.so.1"], ["library-not-from-wheel"]),
        (["/site/libgomp-1.so", "/site/libgomp-2.so"], ["library-twice"]),
        (["/site/libgomp-1.so", "/lib/libgomp.so.1"], ["library-not-from-wheel", "library-twice"]),
    ],
)
def test_exactly_one_copy_of_a_library_is_mapped(mapped: list[str], ids: list[str]) -> None:
    faults = smoke.check_mapped({"libgomp": [Path(path) for path in mapped]}, GOOD)
    assert [fault.id for fault in faults] == ids


def test_a_build_of_this_machine_uses_the_libraries_of_this_machine() -> None:
    mapped = {"libcufes": [Path("/site/libcufes.so")], "libgomp": [Path("/usr/lib/libgomp.so.1")]}
    (fault,) = smoke.check_mapped(mapped, GOOD, smoke_test.GRAFTS)
    assert (fault.id, fault.file) == ("library-not-from-wheel", "libcufes")


def test_absent_wheel_is_wrong_usage(tmp_path: Path) -> None:
    run = run_script(tmp_path / "absent.whl", environment={})
    assert run.status == 2
    assert "absent.whl is no file" in run.err


@pytest.mark.parametrize("content", [b"text", b"PK\x05\x06" + bytes(18)])
def test_file_that_is_not_a_wheel_has_status_1(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(content)
    run = run_script(path, environment={})
    assert (run.status, run.faults()) == (1, ["not-a-wheel"])


def test_python_without_numpy_has_status_3(pristine: Installation) -> None:
    command = [sys.executable, "-S", str(SCRIPT), "--wheel", str(pristine.wheel)]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 3
    assert "has no NumPy" in done.stderr


@pytest.mark.parametrize(
    ("found", "error"),
    [([1.0, 4.0], 0.0), ([1.0, 3.0], 0.25), ([1.0], np.inf), ([1.0, np.nan], np.inf)],
)
def test_error_is_relative_to_the_largest_value(found: list[float], error: float) -> None:
    expected = np.array([1.0, 4.0])
    assert smoke_kernels.relative_error(np.array(found), expected) == error


@pytest.mark.parametrize("shape", ["stretched-gaussian", "gaussian"])
def test_reference_gradient_is_the_slope_of_the_reference(shape: str) -> None:
    problem = smoke_kernels.make_problem(shape, (True, False))
    step = 1e-6
    points = problem.points[:20]
    value, slope = smoke_kernels.exponentials(points, problem)
    ahead, _ = smoke_kernels.exponentials(points + np.array([0.0, step]), problem)
    delta = smoke_kernels.differences(points, problem, 1)
    derivative = -slope * delta / problem.sigmas[None, :, 1] ** 2
    assert np.allclose((ahead - value) / step, derivative, atol=1e-4)
