"""``cyfes completion`` writes scripts that a shell understands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cyfes.cli.main import COMMANDS, build_parser, main

CAPTURE = pytest.CaptureFixture[str]


def _completions(script: str, words: list[str]) -> list[str]:
    """Return what bash offers for the last of some words."""
    line = (
        f"{script}\nCOMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}\n"
        "$(complete -p cyfes | sed 's/.*-F \\([^ ]*\\).*/\\1/') cyfes\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    bash = shutil.which("bash") or "/bin/bash"
    done = subprocess.run([bash, "-c", line], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_options_and_files(
    capsys: CAPTURE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert set(_completions(script, ["cyfes", ""])) >= set(COMMANDS)
    assert _completions(script, ["cyfes", "sum-hills", "--mintoz"]) == ["--mintozero"]
    assert _completions(script, ["cyfes", "sum-hills", "--merge", "cl"]) == ["clock"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "HILLS.0").write_text("")
    assert _completions(script, ["cyfes", "sum-hills", "--hills", "HIL"]) == ["HILLS.0"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script_too(shell: str, capsys: CAPTURE) -> None:
    assert main(["completion", shell]) == 0
    assert "sum-hills" in capsys.readouterr().out


def test_without_its_package_the_command_says_what_to_install(
    capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 3
    assert "pip install 'cyfes[completion]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(command: str, capsys: CAPTURE) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"\n  cyfes {command}" in shown.partition("example")[2]


def test_options_that_take_files_are_found_by_their_metavar() -> None:
    parser, _ = build_parser(list(COMMANDS))
    (commands,) = (action for action in parser._actions if action.dest == "command")
    metavars = {
        str(action.metavar)
        for subparser in dict(commands.choices or {}).values()
        for action in subparser._actions
        if action.metavar and "F" in str(action.metavar)
    }
    assert metavars == {"FILE", "F[,F2]", "FES", "[FROM:]TO"}
