"""The build of the documentation: what it runs, and whose fault a failure is."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import build_docs
import pytest
from ledger import BUILD
from wheelkit.target.report import Status, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], list[list[str]]]:
    """A function that lets the command with a word fail, and returns what was run."""

    def arrange(failing: str | None) -> list[list[str]]:
        seen: list[list[str]] = []

        def fake_run(
            command: list[Any], cwd: Path | None = None, **_: Any
        ) -> subprocess.CompletedProcess[str]:
            words = list(map(str, command))
            # In the root of the project Python would find the sources instead of the wheel.
            assert "sphinx" not in words or cwd == BUILD
            seen.append(words)
            return subprocess.CompletedProcess(words, int(failing in words))

        monkeypatch.setattr(build_docs, "wheel_for", lambda _: SimpleNamespace(wheel="a.whl"))
        monkeypatch.setattr(subprocess, "run", fake_run)
        monkeypatch.setattr(sys, "argv", ["build_docs.py", "-q"])
        return seen

    return arrange


def test_the_wheel_is_installed_and_sphinx_takes_warnings_for_errors(
    commands: Callable[[str | None], list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = commands(None)
    assert run(build_docs.main) == Status.DONE
    pip, sphinx = seen
    assert pip[1:4] == ["-m", "pip", "install"]
    assert pip[-1] == "a.whl"
    assert sphinx[1:6] == ["-m", "sphinx", "-W", "--keep-going", "-q"]
    assert capsys.readouterr().out.strip().endswith("build/docs/index.html")


@pytest.mark.parametrize(
    ("failing", "status"), [("pip", Status.LACKING), ("sphinx", Status.FAULTY)]
)
def test_failures(
    commands: Callable[[str | None], list[list[str]]], failing: str, status: Status
) -> None:
    seen = commands(failing)
    assert run(build_docs.main) == status
    assert len(seen) == (1 if failing == "pip" else 2)
