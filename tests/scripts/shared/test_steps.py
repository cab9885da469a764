"""steps.py shows what runs and for how long, in a log and on a terminal, and shows each failure."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared import steps

SCRIPT = Path(steps.__file__)
# Prints a line to each stream, works silently for a while, and ends with a status.
PROGRAM = "import sys, time; print('compiled 3'); print('careful', file=sys.stderr); {more}"


def program(more: str = "pass") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(more=more)]


def command_line(*options: str, more: str = "pass") -> list[str]:
    return [sys.executable, str(SCRIPT), *options, "build it", "--", *program(more)]


def in_log(*options: str, more: str = "pass") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != steps.INNER}
    return subprocess.run(
        command_line(*options, more=more),
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


def test_output_is_shown_between_a_first_and_a_last_line() -> None:
    done = in_log()
    lines = done.stderr.splitlines()
    assert lines[0] == "build it"
    assert re.fullmatch(r"build it: done after \d+ s", lines[-1])
    assert set(lines[1:-1]) == {"compiled 3", "careful"}
    assert done.stdout == ""


def test_quiet_step_prints_only_two_lines() -> None:
    first, last = in_log("--quiet").stderr.splitlines()
    assert first == "build it"
    assert re.fullmatch(r"build it: done after \d+ s", last)


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_failure_shows_all_that_was_printed_and_keeps_the_status(options: tuple[str, ...]) -> None:
    done = in_log(*options, more="sys.exit(7)")
    assert done.returncode == 7
    assert "build it: failed (status 7) after " in done.stderr
    assert {"compiled 3", "careful"} <= set(done.stderr.splitlines())


def test_result_is_the_last_line_of_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    done = steps.run("build it", program("print('a.whl'); print('bye', file=sys.stderr)"))
    assert (done.status, done.result) == (0, "a.whl")
    assert "a.whl" in capfd.readouterr().err


def test_log_gets_a_line_after_each_silence(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(steps.INNER, raising=False)
    with steps.Display("build it", silence=0.05) as display:
        display.line("compiled 4", shown=False)
        assert wait_for(capfd, "build it: 0 s: compiled 4\n")


def wait_for(capfd: pytest.CaptureFixture[str], text: str) -> bool:
    """Wait for at most a minute until a text is on standard error; tell whether it came."""
    seen = ""
    for _ in range(600):
        seen += capfd.readouterr().err
        if text in seen:
            return True
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)"], check=True)
    return False


def test_state_of_an_inner_step_is_not_shown_as_output(capfd: pytest.CaptureFixture[str]) -> None:
    with steps.Display("outer") as display:
        display.line(f"{steps.STATE}inner: 3 s: compiled 5", shown=True)
        assert display.newest == "inner: 3 s: compiled 5"
    assert "compiled 5" not in capfd.readouterr().err


def test_command_is_told_that_it_is_an_inner_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(steps.INNER, raising=False)
    show = [sys.executable, "-c", f"import os; print(os.environ.get({steps.INNER!r}))"]
    assert steps.run("show", show).result == "1"
    assert steps.run("show", show, environment={"PATH": os.defpath}).result == "1"


def test_terminal_shows_the_seconds_on_one_line() -> None:
    parent, child = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != steps.INNER}
    process = subprocess.Popen(
        command_line("--quiet", more="time.sleep(2.5)"), stderr=child, env=environment
    )
    os.close(child)
    blocks = []
    # Linux reports as an error that the other end of the terminal was closed.
    with contextlib.suppress(OSError):
        while True:
            blocks.append(os.read(parent, 4096))
    os.close(parent)
    assert process.wait() == 0
    text = b"".join(blocks).decode()
    assert f"{steps.ERASE}build it: 1 s: " in text
    # This is the only line that stays on the screen.
    assert re.search(r"\r\x1b\[Kbuild it: done after \d+ s\r\n$", text)
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [(["build it"], "no command given"), (["build it", "--", "no-such-program"], "no program")],
)
def test_missing_command_is_wrong_usage(words: list[str], message: str) -> None:
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
