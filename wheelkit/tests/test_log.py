"""What the verbs print is no command, to a terminal or to GitHub's runner, whatever it contains."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheelkit.base import github
from wheelkit.target.report import Fault, FaultyError, LackingError, plain, run, say

import wheelkit

PACKAGE = Path(wheelkit.__file__).parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dist/tiny-1.0.whl: ok", "dist/tiny-1.0.whl: ok"),
        ("größer als 1 µm, ✅", "größer als 1 µm, ✅"),
        ("std::vector, a::b", "std::vector, a::b"),
        ("::add-mask::x", ": :add-mask::x"),
        ("   ::add-mask::x", "   : :add-mask::x"),
        ("\u3000::add-mask::x", "\\u3000::add-mask::x"),
        (":::x", ": ::x"),
        ("a ##[error]b", "a # #[error]b"),
        ("###[error]b", "## #[error]b"),
        ("##vso[task.setvariable]b", "# #vso[task.setvariable]b"),
        ("## heading", "## heading"),
        ("a\n::b", "a\\n::b"),
        ("a\rb\x1b[2J\x07\x9b1m", "a\\rb\\x1b[2J\\x07\\x9b1m"),
        ("left\u202eright", "left\\u202eright"),
        ("\udcff", "\\udcff"),
    ],
)
def test_text_becomes_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


def is_command(line: str) -> bool:
    """Whether GitHub's runner takes a line for a command: by its two forms, older and newer."""
    return line.strip().startswith("::") or "##[" in line


TEXTS = st.text(st.one_of(st.sampled_from(":#[ \n\r\x1b"), st.characters()))


@given(TEXTS)
def test_no_text_is_a_command(text: str) -> None:
    line = plain(text)
    assert plain(line) == line
    assert line.isprintable()
    assert not is_command(line)


@given(TEXTS, TEXTS)
def test_no_field_of_a_fault_begins_a_line(first: str, second: str) -> None:
    fault = Fault(first, second, found=first, expected=second, remedy=first)
    lines = str(fault).split("\n")
    assert len(lines) == 4
    assert not any(map(is_command, lines))


HOSTILE = "x\n::add-mask::y\n##[group]z\x1b[2J"


@pytest.mark.parametrize(
    "error",
    [
        LackingError(HOSTILE),
        RuntimeError(HOSTILE),
        FaultyError([Fault(HOSTILE, HOSTILE, found=HOSTILE, expected=HOSTILE, remedy=HOSTILE)]),
    ],
)
def test_no_error_is_a_command(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        say(HOSTILE)
        raise error

    run(main)
    shown = capsys.readouterr()
    for line in (shown.out + shown.err).splitlines():
        assert not is_command(line), line
        assert line.isprintable()


# The verbs of a release, and what they use.
PRINTERS = (
    *("seal", "merge", "gate", "summary", "verify", "verify_release", "smoke_release", "sdist"),
    *("github_release", "check_jobs", "index", "__init__"),
)
# What another program reads is no message: a child's answer, the line that replaces another on a
# terminal, and the commands of this package to GitHub's runner.
ALLOWED = {
    "target/report.py": 1,
    "target/load_library.py": 1,
    # It has found none of wheelkit yet.
    "target/__main__.py": 1,
    "base/progress.py": 1,
    "base/github.py": 2,
}


def test_everything_is_printed_by_one_function() -> None:
    paths = [PACKAGE / "cli" / f"{verb}.py" for verb in PRINTERS]
    for folder in ("target", "base", "release", "checks"):
        paths += (PACKAGE / folder).rglob("*.py")
    found = {}
    for path in paths:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if is_printing(node)]
        if calls:
            found[path.relative_to(PACKAGE).as_posix()] = len(calls)
    assert found == ALLOWED


def is_printing(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and (
        (isinstance(node.func, ast.Name) and node.func.id == "print")
        or (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "write"
            and ast.unparse(node.func.value) in ("sys.stdout", "sys.stderr")
        )
    )


PRINTING = "print('::add-mask::secret', flush=True); raise SystemExit(1)"


def test_what_other_programs_print_is_no_command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    tokens = set()
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError), github.commands_stopped():
            subprocess.run([sys.executable, "-c", PRINTING], check=True)
        first, inner, last = capfd.readouterr().out.splitlines()
        token = first.removeprefix("::stop-commands::")
        assert len(token) == 32
        assert (inner, last) == ("::add-mask::secret", f"::{token}::")
        tokens.add(token)
    assert len(tokens) == 2


def test_elsewhere_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with github.commands_stopped():
        pass
    assert capfd.readouterr().out == ""
