"""The command itself: its verbs, its help, and that it imports only what a verb needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from wheelkit.target.report import MisusedError, Status

import wheelkit
from wheelkit import cli


def wheelkit_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelkit", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("verb", [verb for verb, _, _ in cli.VERBS])
def test_every_verb_has_help_of_its_own(verb: str) -> None:
    done = wheelkit_command(verb, "--help")
    assert done.returncode == Status.DONE, done.stderr
    assert f"usage: wheelkit {verb}" in done.stdout
    assert f"  {verb} " in cli.usage()


def test_an_unknown_verb_is_wrong_usage() -> None:
    with pytest.raises(MisusedError, match="did you mean repair"):
        cli.dispatch(["repare"])
    done = wheelkit_command("frobnicate")
    assert done.returncode == Status.MISUSED
    assert "expected one of setup, " in done.stderr


def test_without_a_verb_the_verbs_are_listed() -> None:
    done = wheelkit_command()
    assert done.returncode == Status.MISUSED
    assert "verbs:" in done.stdout
    assert wheelkit_command("--help").returncode == Status.DONE
    assert wheelkit_command("--version").stdout == f"wheelkit {wheelkit.__version__}\n"


@pytest.mark.parametrize("verb", ["--help", "repair", "verify", "smoke", "seal", "gate"])
def test_help_imports_no_dependency(verb: str) -> None:
    program = (
        "import sys; from wheelkit import cli\n"
        "try: cli.dispatch(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'elftools', 'packaging', 'auditwheel', 'requests', 'deflate', 'tomli'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    words = [verb] if verb == "--help" else [verb, "--help"]
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
