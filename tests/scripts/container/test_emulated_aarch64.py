"""emulated_aarch64.py, without a cross-compiler, an emulator or the rights of root."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from container import emulated_aarch64
from container.emulated_aarch64 import RehearsalError, Target
from wheelkit.target.report import LackingError


def test_machine_without_the_programs_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LackingError, match=r"apt install mmdebstrap arch-test qemu-user-static g"):
        emulated_aarch64.check_programs()


def test_each_requirement_of_the_stand_in_is_found_with_its_hashes() -> None:
    for name in ("ziglang", "pykdtree"):
        lines = emulated_aarch64.pin_of(name).splitlines()
        assert lines[0].startswith(f"{name}==")
        assert all("--hash=sha256:" in line for line in lines[1:] if line.strip())
        assert len(lines) > 1


def test_failing_command_is_an_error() -> None:
    with pytest.raises(RehearsalError, match="build it: sh ended with status 3"):
        emulated_aarch64.run("build it", ["sh", "-c", "exit 3"])


def test_each_chosen_cpython_has_a_root_and_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Target] = []

    def make_all(targets: Sequence[Target], _: Path) -> list[str]:
        made.extend(targets)
        return ["a line"]

    monkeypatch.setattr(emulated_aarch64, "WORK", tmp_path / "work")
    monkeypatch.setattr(emulated_aarch64, "check_programs", lambda: None)
    monkeypatch.setattr(emulated_aarch64, "register_emulator", lambda: None)
    monkeypatch.setattr(emulated_aarch64, "make_all", make_all)
    roots = tmp_path / "roots"
    argv = ["emulated-aarch64", "--python", "3.13", "--python", "3.13", "--roots", str(roots)]
    monkeypatch.setattr(sys, "argv", argv)
    assert emulated_aarch64.main() == 0
    (target,) = made
    assert (target.root, target.at) == (roots / "trixie", "/made/3.13")
    assert capsys.readouterr().out == "a line\n"
    made.clear()
    monkeypatch.setattr(sys, "argv", argv[:1])
    assert emulated_aarch64.main() == 0
    assert [target.version for target in made] == ["3.11", "3.13"]
    monkeypatch.setattr(sys, "argv", ["emulated-aarch64", "--python", "3.7"])
    with pytest.raises(SystemExit) as ended:
        emulated_aarch64.main()
    assert ended.value.code == 2
