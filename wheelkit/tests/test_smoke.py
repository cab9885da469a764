"""wheelkit smoke on tiny wheels, right ones and wrong ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny_wheels import library, wheel
from wheelkit.target import smoke
from wheelkit.target.report import Status

KERNELS = """
import ctypes, pathlib
PACKAGE = "tiny"
{more}
def run_kernels(tiny, device):
    {load}
    return {result}
"""
RIGHT = {"name": "sum", "dtype": "float64", "max_error": 1e-15, "limit": 1e-9}
OWN = "tiny-1.0.data/data/own/libtinyown.so"
LOAD = "ctypes.CDLL(str({path}))"
BESIDE = 'pathlib.Path(tiny.__file__).parents[1] / "own" / "libtinyown.so"'


class Installed(NamedTuple):
    """A wheel that pip has installed into a folder."""

    wheel: Path
    site: Path

    def run(self, kernels: Path, *options: str) -> tuple[int, dict[str, Any], str]:
        """Run the smoke test; return status, report and what was said."""
        report = self.wheel.with_suffix(".json")
        command = [sys.executable, "-m", "wheelkit", "smoke", "--wheel", str(self.wheel)]
        command += ["--kernels", str(kernels), "--report", str(report), *options]
        environment = {**os.environ, "PYTHONPATH": str(self.site)}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        content = json.loads(report.read_text()) if report.exists() else {}
        return done.returncode, content, done.stdout + done.stderr


def kernels(
    folder: Path, *results: dict[str, Any], load: str = "pass", more: str = "", device: str = "cpu"
) -> Path:
    path = folder / "kernels.py"
    result = repr({"device": {"id": device}, "kernels": list(results)})
    path.write_text(KERNELS.format(load=load, result=result, more=more))
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    files = {"tiny/__init__.py": b"TAG = 'right'\n", OWN: library("libtinyown.so")}
    made = wheel(tmp_path / "in", files)
    return install(made, tmp_path / "site")


def install(made: Path, site: Path) -> Installed:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*command, "--no-compile", "--target", str(site), str(made)], check=True)
    return Installed(made, site)


def ids(report: dict[str, Any]) -> list[str]:
    return [fault["id"] for fault in report["faults"]]


def test_a_right_wheel_passes(installed: Installed, tmp_path: Path) -> None:
    file = kernels(
        tmp_path, RIGHT, load=LOAD.format(path=BESIDE), more='LIBRARIES = ("libtinyown",)'
    )
    status, report, said = installed.run(file, "--device", "cpu")
    assert status == Status.DONE, said
    assert "smoke test: cpu ok (1 kernels, max error 1e-15 float64)" in said
    assert report["kernels"] == [{"name": "sum", "dtype": "float64", "max_error": 1e-15}]
    assert report["device"] == {"id": "cpu"}
    assert report["mapped"] == [str(installed.site / "own" / "libtinyown.so")]
    assert report["ok"] is True


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], ["no-kernels-run"]),
        ([{**RIGHT, "max_error": 1e-3}], ["kernel-wrong"]),
        ([{**RIGHT, "max_error": None, "found": "RuntimeError: no"}], ["kernel-wrong"]),
        ([RIGHT, {**RIGHT, "name": "other", "max_error": None}], ["kernel-wrong"]),
    ],
)
def test_wrong_numbers_are_found(
    installed: Installed, tmp_path: Path, results: list[dict[str, Any]], expected: list[str]
) -> None:
    status, report, _ = installed.run(kernels(tmp_path, *results))
    assert (status, ids(report)) == (Status.FAULTY, expected)


def test_neither_infinity_nor_nan_is_a_number(installed: Installed, tmp_path: Path) -> None:
    for value in ("inf", "nan"):
        file = kernels(tmp_path, RIGHT)
        file.write_text(file.read_text().replace("1e-15", f"float('{value}')"))
        status, report, _ = installed.run(file)
        assert (status, ids(report)) == (Status.FAULTY, ["kernel-wrong"])
        assert report["kernels"][0]["max_error"] is None


def test_changed_and_lost_files_are_found(installed: Installed, tmp_path: Path) -> None:
    (installed.site / "tiny" / "__init__.py").write_text("TAG = 'other'\n")
    (installed.site / "own" / "libtinyown.so").unlink()
    status, report, _ = installed.run(kernels(tmp_path, RIGHT))
    assert (status, sorted(ids(report))) == (Status.FAULTY, ["file-differs", "file-missing"])


def test_another_package_in_front_is_found(installed: Installed, tmp_path: Path) -> None:
    # The folder of the kernels comes first, as that of any program.
    (tmp_path / "tiny.py").write_text("raise SystemExit('imported')\n")
    status, report, _ = installed.run(kernels(tmp_path, RIGHT))
    assert (status, ids(report)) == (Status.FAULTY, ["package-shadowed"])


def test_a_package_that_cannot_be_imported_is_at_fault(tmp_path: Path) -> None:
    files = {"tiny/__init__.py": b"raise OSError('no library')\n"}
    broken = install(wheel(tmp_path / "in", files), tmp_path / "site")
    status, report, _ = broken.run(kernels(tmp_path, RIGHT))
    assert (status, ids(report)) == (Status.FAULTY, ["import-fails"])
    assert report["faults"][0]["found"] == "OSError: no library"


def test_a_wheel_that_is_not_installed_is_at_fault(installed: Installed, tmp_path: Path) -> None:
    other = wheel(tmp_path / "other", {"tiny/__init__.py": b""}, name="tiny-2.0")
    status, report, _ = Installed(other, installed.site).run(kernels(tmp_path, RIGHT))
    assert (status, ids(report)) == (Status.FAULTY, ["not-installed"])


def test_a_file_that_is_no_wheel_is_at_fault(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(b"text")
    status, report, _ = Installed(path, installed.site).run(kernels(tmp_path, RIGHT))
    assert (status, ids(report)) == (Status.FAULTY, ["not-a-wheel"])


def test_libraries_must_be_the_wheels_own_and_single(installed: Installed, tmp_path: Path) -> None:
    foreign = tmp_path / "libtinyown.so.2"
    foreign.write_bytes(library("libtinyown.so.2"))
    more = 'LIBRARIES = ("libtinyown",)'
    _, report, _ = installed.run(kernels(tmp_path, RIGHT, more=more))
    assert ids(report) == ["library-not-mapped"]
    load = f"ctypes.CDLL({str(foreign)!r})"
    _, report, _ = installed.run(kernels(tmp_path, RIGHT, more=more, load=load))
    assert ids(report) == ["library-not-from-wheel"]
    both = f"{load}; {LOAD.format(path=BESIDE)}"
    _, report, _ = installed.run(kernels(tmp_path, RIGHT, more=more, load=both))
    assert sorted(ids(report)) == ["library-not-from-wheel", "library-twice"]


def test_grafts_of_a_wheel_that_was_built_here_come_from_the_machine(
    installed: Installed, tmp_path: Path
) -> None:
    foreign = tmp_path / "libtinyrt.so.1"
    foreign.write_bytes(library("libtinyrt.so.1"))
    load = f"ctypes.CDLL({str(foreign)!r})"
    more = 'LIBRARIES = GRAFTS = ("libtinyrt",)'
    file = kernels(tmp_path, RIGHT, more=more, load=load)
    assert ids(installed.run(file)[1]) == ["library-not-from-wheel"]
    assert installed.run(file, "--built-here")[0] == Status.DONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PACKAGE = 'tiny'\n", "has no run_kernels"),
        ("def run_kernels(package, device): pass\n", "has no PACKAGE"),
        ("PACKAGE = 'tiny'\ndef run_kernels(package, device): return {}\n", "returned {}"),
        ("PACKAGE = 'tiny'\ndef run_kernels(package, device): return 5\n", "returned 5"),
        (
            "PACKAGE = 'tiny'\ndef run_kernels(package, device):\n"
            "    return {'device': {'id': 'cpu'}, 'kernels': [{'name': 'sum'}]}\n",
            "each with name, max_error and limit",
        ),
        (
            "PACKAGE = 'tiny'\nGRAFTS = ('libx',)\ndef run_kernels(package, device): pass\n",
            "expected some of LIBRARIES",
        ),
    ],
)
def test_a_file_of_another_form_is_wrong_usage(
    installed: Installed, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "kernels.py"
    file.write_text(text)
    status, report, said = installed.run(file)
    assert (status, report) == (Status.MISUSED, {})
    assert message in said


def test_a_missing_device_is_the_machines_fault(installed: Installed, tmp_path: Path) -> None:
    file = tmp_path / "kernels.py"
    file.write_text(
        "from wheelkit.target.report import LackingError\nPACKAGE = 'tiny'\n"
        "def run_kernels(package, device):\n    raise LackingError('no GPU: ' + device)\n"
    )
    status, report, said = installed.run(file, "--device", "cuda")
    assert (status, report) == (Status.LACKING, {})
    assert "no GPU: cuda" in said


@pytest.mark.parametrize(("asked", "ran_on"), [("cuda", "cpu"), ("cpu", "cuda:0")])
def test_kernels_that_ran_elsewhere_prove_nothing(
    installed: Installed, tmp_path: Path, asked: str, ran_on: str
) -> None:
    file = kernels(tmp_path, RIGHT, device=ran_on)
    status, report, said = installed.run(file, "--device", asked)
    assert (status, report) == (Status.LACKING, {})
    assert f"were to run on {asked}, and ran on {ran_on}" in said
    assert installed.run(file, "--device", ran_on.partition(":")[0])[0] == Status.DONE
    assert installed.run(file, "--device", "auto")[0] == Status.DONE


def test_the_kernels_see_nothing_of_the_tools(installed: Installed, tmp_path: Path) -> None:
    """With another interpreter, what is installed beside wheelkit cannot be imported."""
    import venv

    venv.create(tmp_path / "venv", with_pip=False)
    file = kernels(tmp_path, RIGHT)
    probe = "import importlib.util as u; assert u.find_spec('elftools') is None\nimport wheelkit\n"
    file.write_text(probe + file.read_text())
    python = str(tmp_path / "venv" / "bin" / "python")
    status, _, said = installed.run(file, "--python", python)
    assert status == Status.DONE, said


def test_a_program_that_does_not_exist_is_wrong_usage() -> None:
    folder = Path(smoke.__file__).parent
    command = [sys.executable, str(folder), "smok"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == Status.MISUSED
    assert "expected one of smoke, trial, bootstrap" in done.stderr
