"""thread_sanitizer.py, with a shell script in place of the interpreter with ThreadSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from container.cpython import Build
from develop import thread_sanitizer
from develop.thread_sanitizer import RaceError, Sanitizer
from shared import steps
from wheelkit.target.report import LackingError

RACE = "WARNING: ThreadSanitizer: data race (pid=1)"
# Writes a report where TSAN_OPTIONS says, if it is told to.
PYTHON = """#!/bin/sh
path=${{TSAN_OPTIONS##*log_path=}}
case "$*" in
  {pattern}) echo "{report}" > "${{path%%:*}}.1";;
esac
exit {status}
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_sanitizer, "WORK", tmp_path)
    # No compiler is needed for a shell script.
    monkeypatch.setattr(steps, "run", lambda *_, **__: steps.StepResult())
    monkeypatch.setattr(thread_sanitizer, "archer", lambda _: Path("/libarcher.so"))


def sanitizer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, status: int = 0, report: str = RACE
) -> Sanitizer:
    """Return one that reports if the arguments match a pattern of the shell."""
    python, known = folder / "python", folder / "known.txt"
    python.write_text(PYTHON.format(pattern=pattern, report=report, status=status))
    python.chmod(0o755)
    known.write_text("race:of_cpython\n")
    monkeypatch.setattr(Build, "python", python)
    monkeypatch.setattr(Build, "suppressions", known)
    return Sanitizer(Build("3.14t", sanitized=True), "clang", folder)


def test_what_is_suppressed_is_what_cpython_and_this_project_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sanitizer(tmp_path, monkeypatch, "none")
    text = made.suppressions.read_text()
    assert text.startswith("race:of_cpython\n")
    assert text.endswith(thread_sanitizer.SUPPRESSIONS.read_text())


def test_each_suppression_of_this_project_has_a_reason() -> None:
    lines = [line for line in thread_sanitizer.SUPPRESSIONS.read_text().splitlines() if line]
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            assert lines[number - 1].startswith("#"), line


def test_control_accepts_what_reports_a_race_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sanitizer(tmp_path, monkeypatch, "*racy")
    thread_sanitizer.check_control(made, {"CXX": "clang++"})


@pytest.mark.parametrize(
    ("pattern", "status", "loop"), [("none", 0, "racy"), ("*", 0, "tidy"), ("*racy", 1, "tidy")]
)
def test_control_refuses_what_reports_nothing_or_too_much_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, status: int, loop: str
) -> None:
    made = sanitizer(tmp_path, monkeypatch, pattern, status)
    with pytest.raises(LackingError, match=f"does not work here: of the loop '{loop}'"):
        thread_sanitizer.check_control(made, {"CXX": "clang++"})


@pytest.mark.parametrize(
    ("pattern", "status", "report", "said"),
    [
        ("*pytest*", 0, RACE, "status 0, and ThreadSanitizer has reported 1 faults"),
        ("none", 1, RACE, "status 1, and ThreadSanitizer has reported 0 faults"),
        ("*pytest*", 0, "FATAL: ThreadSanitizer: unexpected memory mapping", "reported 0 faults"),
    ],
)
def test_a_report_or_a_failed_test_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pattern: str,
    status: int,
    report: str,
    said: str,
) -> None:
    made = sanitizer(tmp_path, monkeypatch, pattern, status, report)
    with pytest.raises(RaceError, match=said):
        thread_sanitizer.run_tests(made, [])
    assert (report in capsys.readouterr().err) == (pattern != "none")


def test_tests_without_a_report_are_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    thread_sanitizer.run_tests(sanitizer(tmp_path, monkeypatch, "none"), [])
    assert "ThreadSanitizer has reported nothing" in capsys.readouterr().err


def test_clang_without_archer_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if "19" in name else None)
    assert thread_sanitizer.find_clang() == "clang-19"
    monkeypatch.setattr(thread_sanitizer, "archer", lambda _: None)
    with pytest.raises(LackingError, match="apt install clang-19 libclang-rt-19-dev libomp-19-dev"):
        thread_sanitizer.find_clang()


def test_loop_with_the_race_is_one(tmp_path: Path) -> None:
    """The control itself is right: its tidy loop adds up, whatever the compiler."""
    source, library = tmp_path / "control.cpp", tmp_path / "control.so"
    source.write_text(thread_sanitizer.CONTROL)
    compile_it = [
        "cc",
        "-x",
        "c++",
        "-fopenmp",
        "-fPIC",
        "-shared",
        "-o",
        str(library),
        str(source),
    ]
    subprocess.run(compile_it, check=True)
    import ctypes

    numbers = (ctypes.c_long * 999)()
    assert ctypes.CDLL(str(library)).tidy(numbers, 999) == sum(range(999))
