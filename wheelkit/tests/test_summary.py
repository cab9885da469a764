"""The table, the job summary and the line of progress."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from wheelkit.base import progress
from wheelkit.checks import summary
from wheelkit.checks.verify import Verdict
from wheelkit.install.trial import Result
from wheelkit.target.report import Fault
from wheelkit.wheel.settings import Settings

FAULT = Fault("some-id", "a|b.so", found="<this>\nand that", expected="that", remedy="do it")
MERE = replace(FAULT, id="mere-id", severity="warning")
BAD = Verdict(
    Path("w.whl"),
    Settings(source="pyproject.toml"),
    {"first": (MERE,), "second": (FAULT, FAULT, MERE), "third": None},
    trials=(Result("3.11", "pip", "venv", "ok"),),
)
GOOD = Verdict(Path("v.whl"), Settings(), {"first": (MERE,)})


def test_the_text_has_a_line_for_each_check_and_each_way() -> None:
    lines = summary.text([BAD]).splitlines()
    assert [line.split() for line in lines] == [
        ["w.whl"],
        ["declared", "in:", "pyproject.toml"],
        ["first", "mere-id", "(warning)"],
        ["second", "some-id,", "mere-id", "(warning)"],
        ["third", "not", "run"],
        [],
        ["Python", "installer", "layout", "result"],
        ["3.11", "pip", "venv", "ok"],
    ]


def test_the_markdown_is_appended_to_the_summary_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    summary.append_to_job([BAD])
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    summary.append_to_job([BAD, GOOD])
    lines = file.read_text().splitlines()
    assert lines[0] == "before"
    assert [line for line in lines if line.startswith("###")] == [
        "### ❌ `w.whl`",
        "### ✅ `v.whl`",
    ]
    assert "| second | some-id, mere-id (warning) |" in lines
    assert "| third | not run |" in lines
    assert "| 3.11 | pip | venv | ok |" in lines
    # Neither a new line nor a bar ends the cell.
    assert "| fault | some-id | a\\|b.so | &lt;this> and that | that | do it |" in lines
    assert [path.name for path in tmp_path.iterdir()] == ["summary.md"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    # However long ago the last line of this process was.
    monkeypatch.setattr(progress, "SILENCE", 3600.0)
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.line():
            progress.show("first")
            progress.show("second" * 1000)
    assert terminal.getvalue().count("\n") == 0
    assert terminal.getvalue().startswith("\r\x1b[Kfirst\r\x1b[Ksecond")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert len(terminal.getvalue()) < 1000
    assert pipe.getvalue() == ""
