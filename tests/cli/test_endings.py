"""However a command ends, no unfinished file is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyfes.cli.common import run
from cyfes.errors import CyfesWarning
from cyfes.io.text_files import replacing, write_text

if TYPE_CHECKING:
    CAPTURE = pytest.CaptureFixture[str]

# Writes a file bit by bit, as long as it lives.
_WRITER = """
import sys, time
from cyfes.cli.common import run
from cyfes.io.text_files import write_text

def blocks():
    while True:
        yield "some text\\n" * 10000
        print("writing", flush=True)
        time.sleep(0.02)

sys.exit(run(lambda: write_text("fes.dat", blocks()) or 0))
"""


def _killed(folder: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Send a signal to a process that writes a file, and return what came of it."""
    (folder / "fes.dat").write_text("old")
    line = [sys.executable, "-c", _WRITER]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=folder, **pipes) as program:  # type: ignore[call-overload]
        program.stdout.readline()
        program.stdout.readline()
        assert len(list(folder.iterdir())) == 2
        program.send_signal(number)
        _, told = program.communicate()
    return subprocess.CompletedProcess(line, program.returncode, "", told)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_that_ends_a_command_leaves_no_unfinished_file(name: str, tmp_path: Path) -> None:
    number = signal.Signals[name]
    done = _killed(tmp_path, number)
    assert done.returncode == 128 + number
    told = "interrupted" if name == "SIGINT" else f"ended by {name}"
    assert done.stderr == f"cyfes: {told}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["fes.dat"]
    assert (tmp_path / "fes.dat").read_text() == "old"


def test_what_a_killed_process_leaves_is_removed_by_the_next_one(tmp_path: Path) -> None:
    assert _killed(tmp_path, signal.SIGKILL).returncode == -signal.SIGKILL
    (left,) = {path.name for path in tmp_path.iterdir()} - {"fes.dat"}
    assert (tmp_path / left).stat().st_size > 0
    with pytest.warns(CyfesWarning, match=f"found and removed {left}, which a process"):
        write_text(tmp_path / "fes.dat", ["new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bck.0.fes.dat", "fes.dat"]


def test_files_of_others_are_left(tmp_path: Path) -> None:
    machine = os.uname().nodename
    names = [
        # A process that runs, another machine, another file.
        f".fes.dat.{machine}.{os.getppid()}.tmp",
        f".fes.dat.{machine}.{2**62}.tmp",
        ".fes.dat.another-machine.1.tmp",
        f".fes.{machine}.999999999.tmp",
        f".fes.dat.{machine}.x.tmp",
    ]
    for name in names:
        (tmp_path / name).touch()
    write_text(tmp_path / "fes.dat", ["new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "fes.dat"])


def test_an_older_file_is_back_if_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "fes.dat").write_text("old")
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "fes.dat") as file:
        file.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["fes.dat"]
    assert (tmp_path / "fes.dat").read_text() == "old"


def test_handlers_of_the_caller_stay() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        found = []

        def command() -> int:
            found.append(signal.getsignal(signal.SIGHUP))
            return 0

        assert run(command) == 0
        assert found == [signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_long_sum_is_ended_by_a_signal(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        f"{k} {x} {y} {z} 1 1 1 1\n" for k, (x, y, z) in enumerate(rng.normal(size=(20_000, 3)))
    ]
    head = "#! FIELDS time a b c sigma_a sigma_b sigma_c height\n#! SET kerneltype gaussian\n"
    (tmp_path / "HILLS").write_text(head + "".join(rows))
    line = [sys.executable, "-m", "cyfes", "sum-hills", "--hills", "HILLS", "--device", "cpu"]
    line += ["--bin", "250,250,250", "--progress", "always"]
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        # The bar is shown just before the sum begins.
        assert program.stderr.read(1)
        time.sleep(0.5)
        program.send_signal(signal.SIGTERM)
        told = program.stderr.read()
        assert program.wait() == 143
    assert told.endswith("cyfes: ended by SIGTERM\n")
    assert [path.name for path in tmp_path.iterdir()] == ["HILLS"]
