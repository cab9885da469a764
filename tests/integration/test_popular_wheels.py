"""Popular wheels of the package index can be verified and repaired, and then load as before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from wheelkit.cli import repair as repair_wheel
from wheelkit.cli import verify as verify_wheel
from wheelkit.install import pythons, trial
from wheelkit.target import report
from wheelkit.target.report import LackingError
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import read_wheel

# Wheels with Cython, C++ and CUDA, and those of NVIDIA; with grafts, without grafts, and with
# libraries that are in other wheels.
POPULAR = (
    *("numpy", "scipy", "scikit-learn", "pandas", "h5py", "pyzmq", "lxml", "grpcio", "pillow"),
    *("matplotlib", "llvmlite", "finufft", "faiss-cpu", "ctranslate2", "lightgbm", "pyarrow"),
    *("cython", "shapely", "aiohttp", "cupy-cuda12x", "xgboost", "bitsandbytes"),
    *("nvidia-cuda-runtime-cu12", "nvidia-cuda-nvrtc-cu12", "nvidia-cublas-cu12"),
)
BROKEN = ("load-failed", "load-crashed", "not-installed")


def download(name: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "-d", str(folder), name], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def broken(path: Path, folder: Path) -> dict[str, bool]:
    """Install a wheel; return for each of its libraries, grafts aside, whether it fails to load."""
    opened = read_wheel(path, folder)
    choice = trial.TrialOptions(
        installers=("pip",), ways=("venv",), pythons=(pythons.found()[0].version,)
    )
    found = []
    try:
        for fault in trial.faults(opened, choice, []):
            found.append(fault)
    except LackingError as error:
        # A library that the system lacks is missing before and after the repair.
        print(error)
    bad = {fault.file for fault in found if fault.id in BROKEN}
    return {member: member in bad for member in opened.elves if not is_graft(member)}


def verified(path: Path, file: Path) -> dict[str, int]:
    """Verify a wheel; return the number of faults for each id."""
    status = report.run(lambda: verify_wheel.main([str(path), "--report", str(file)]))
    result = json.loads(file.read_text())
    assert status == (report.Status.FAULTY if result["faults"] else report.Status.DONE)
    ids = [fault["id"] for fault in result["faults"]]
    return {fault_id: ids.count(fault_id) for fault_id in sorted(set(ids))}


def repaired(path: Path, out: Path) -> Path | None:
    """Repair a wheel; return the repaired wheel, or None if the repair reported a fault."""
    file = out.with_suffix(".json")
    arguments = [str(path), str(out), "--report", str(file)]
    status = report.run(lambda: repair_wheel.main(arguments))
    assert status in (report.Status.DONE, report.Status.FAULTY)
    made = sorted(out.glob("*")) if out.exists() else []
    assert len(made) == (1 if status == report.Status.DONE else 0)
    assert bool(json.loads(file.read_text())["faults"]) is (status == report.Status.FAULTY)
    return made[0] if made else None


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", POPULAR)
def test_a_popular_wheel_is_verified_and_repaired_and_loads_as_before(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A maintainer who has built the wheel on another machine has not set this variable.
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    path = download(name, tmp_path / "in")
    print(name, verified(path, tmp_path / "verify.json"))
    result = repaired(path, tmp_path / "out")
    if result is None:
        return
    print(name, "repaired:", verified(result, tmp_path / "again.json"))
    before = broken(path, tmp_path / "before")
    after = broken(result, tmp_path / "after")
    assert after.keys() >= before.keys()
    assert {m for m, bad in after.items() if bad and not before.get(m, True)} == set()
    assert [left.name for left in (tmp_path / "in").iterdir()] == [path.name]
