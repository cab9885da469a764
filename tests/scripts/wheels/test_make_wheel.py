"""make_wheel.py with fake stages, which record how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wheelkit.install import pythons
from wheels import make_wheel

SCRIPTS = Path(make_wheel.__file__).parents[1]
RUNNING = str(pythons.version_of(Path(sys.executable)))

# Each fake stage records its name and its search paths.
NOTE = """
import os, sys, pathlib
def note(name):
    seen = ",".join(f"{key}={os.environ.get(key, '')}" for key in ("LD_LIBRARY_PATH", "PYTHONPATH"))
    with open(os.environ["NOTES"], "a") as notes:
        print(name, seen, file=notes)
"""
BUILD = """
from pathlib import Path
import note, zipfile
CUDA = Path("/cuda")
def cuda_home(): return CUDA
def check_compiler(): pass
def main():
    note.note("build")
    folder = Path(__file__).parents[2] / "build" / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        info = "tiny-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL",
                       "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", info + "METADATA,,\\n" + info + "WHEEL,,\\n")
    print(path)
    return 0
"""
REPAIR = """
import note, pathlib, shutil, sys
note.note("repair")
wheel, out = map(pathlib.Path, sys.argv[1:3])
out.mkdir(parents=True)
print(shutil.copy(wheel, out / wheel.name))
"""
# Replaces the installed wheelkit, of which make_wheel.py itself calls only the verb sbom.
WHEELKIT = """
import sys
sys.path.insert(0, "scripts")
import note
note.note(sys.argv[1])
print(sys.argv[2])
"""
VERIFY = "import note; note.note('verify')\n"
SMOKE = """
import note, sys
note.note("smoke")
print("smoke test:", sys.argv[sys.argv.index("--device") + 1], "ok")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with make_wheel.py and fake stages."""
    root = tmp_path / "project"
    shutil.copytree(SCRIPTS, root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    stages = {"note": NOTE, "wheels/build_wheels": BUILD, "repair_wheel": REPAIR}
    stages |= {"verify_wheel": VERIFY, "smoke_test": SMOKE}
    for name, source in stages.items():
        (root / "scripts" / f"{name}.py").write_text(source)
    (root / "wheelkit").mkdir()
    (root / "wheelkit" / "__init__.py").touch()
    (root / "wheelkit" / "__main__.py").write_text(WHEELKIT)
    (root / "requirements").mkdir()
    (root / "requirements" / "numpy.txt").write_text("# nothing\n")
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"):
        (root / name).write_text("")
    return root


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make_wheel.py of the project, for a user who has set search paths."""
    environment = {
        **os.environ,
        "NOTES": str(project / "notes"),
        "LD_LIBRARY_PATH": "/mine",
        "PYTHONPATH": "/mine",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.run(
        [sys.executable, project / "scripts", "wheel", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


def test_verified_wheel_is_put_into_the_wheelhouse_and_reused(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == [
        *(RUNNING, "tiny-1.0-py3-none-any.whl", "0.0", "MB", "ok", "cpu", "ok")
    ]
    assert done.stdout.endswith("smoke test: cpu ok\n")
    assert [path.name for path in (project / "wheelhouse").iterdir()] == [
        "tiny-1.0-py3-none-any.whl"
    ]
    assert (project / "notes").read_text().splitlines() == [
        "build LD_LIBRARY_PATH=/mine,PYTHONPATH=/mine",
        "repair LD_LIBRARY_PATH=/cuda/lib64:/mine,PYTHONPATH=/mine",
        "sbom LD_LIBRARY_PATH=/mine,PYTHONPATH=/mine",
        "verify LD_LIBRARY_PATH=/mine,PYTHONPATH=/mine",
        "smoke LD_LIBRARY_PATH=,PYTHONPATH=",
    ]
    (project / "notes").unlink()
    second = run(project, "--out", str(project / "dist"))
    said = (
        f"already in wheelhouse/, from the same sources: CPython {RUNNING}; --again makes them "
        "again"
    )
    assert (second.returncode, second.stdout.replace(f"{said}\n", "")) == (0, done.stdout)
    assert said in second.stdout
    assert not (project / "notes").exists()
    assert [path.name for path in (project / "dist").iterdir()] == ["tiny-1.0-py3-none-any.whl"]
    anew = run(project, "--again")
    assert (anew.returncode, anew.stdout) == (0, done.stdout)
    assert (project / "notes").read_text().startswith("build ")


def make_other(project: Path, state: str | None = None) -> None:
    """Put a wheel of another interpreter into wheelhouse/, from the same or from other sources."""
    (project / "wheelhouse").mkdir()
    (project / "build" / "reports").mkdir(parents=True)
    other = project / "wheelhouse" / "tiny-1.0-cp37-none-any.whl"
    other.write_text("another wheel")
    (project / "build" / "reports" / f"{other.stem}.verify.json").write_text("{}")
    (project / "build" / "reports" / "tiny-0.9.verify.json").write_text("{}")
    code = (
        "from shared import ledger; from shared.ledger import LocalWheel;"
        f"made = LocalWheel('3.7', {str(other)!r}, {str(other)!r}, 'ok', 'cpu ok');"
        "ledger.replace_wheels({'3.7': made},"
        f" {state!r} or ledger.source_state())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=project / "scripts")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_wheel_of_another_interpreter_stays_if_its_sources_are_the_same(project: Path) -> None:
    make_other(project)
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert names(project / "wheelhouse") == {
        *("tiny-1.0-cp37-none-any.whl", "tiny-1.0-py3-none-any.whl")
    }
    assert "kept in wheelhouse/, from the same sources: CPython 3.7\n" in done.stdout
    reports = names(project / "build" / "reports")
    assert "tiny-1.0-cp37-none-any.verify.json" in reports
    assert "tiny-0.9.verify.json" not in reports


def test_wheel_of_other_sources_is_removed_and_reported(project: Path) -> None:
    make_other(project, "other sources")
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert names(project / "wheelhouse") == {"tiny-1.0-py3-none-any.whl"}
    removed = "removed wheelhouse/tiny-1.0-cp37-none-any.whl, which was made from other sources"
    assert removed in done.stdout
    assert "kept in" not in done.stdout


@pytest.mark.parametrize(
    ("stage", "status", "shown"),
    [("repair", 3, "not run   not run"), ("verify", 1, "FAILED    not run")],
)
def test_failing_stage_ends_the_run_and_keeps_the_wheelhouse(
    project: Path, stage: str, status: int, shown: str
) -> None:
    (project / "wheelhouse").mkdir()
    (project / "wheelhouse" / "older.whl").write_text("")
    (project / "scripts" / f"{stage}_wheel.py").write_text(f"raise SystemExit({status})")
    done = run(project)
    assert done.returncode == status
    assert f"{stage} failed (status {status})" in done.stderr
    assert done.stdout.splitlines()[1].endswith(shown)
    assert done.stdout.endswith("smoke test: not run\n")
    assert [path.name for path in (project / "wheelhouse").iterdir()] == ["older.whl"]


def test_missing_interpreter_is_reported_before_any_build(project: Path) -> None:
    done = run(project, "--python", RUNNING, "--python", "3.98")
    assert done.returncode == 3
    assert not (project / "notes").exists()


@pytest.mark.parametrize(
    ("listed", "visible", "tested"),
    [
        ("GPU 0: NVIDIA H100", None, ["cpu", "cuda"]),
        ("GPU 0: NVIDIA H100", "0", ["cpu", "cuda"]),
        ("GPU 0: NVIDIA H100", "", ["cpu"]),
        ("No devices found.", None, ["cpu"]),
        (None, None, ["cpu"]),
    ],
)
def test_wheel_must_run_on_a_gpu_that_is_here(
    listed: str | None,
    visible: str | None,
    tested: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if listed:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{listed}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list(make_wheel.devices_to_test()) == tested
