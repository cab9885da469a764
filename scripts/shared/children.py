"""Processes that a script starts, which do not outlive it and may clean up after themselves."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# The seconds that a process has to clean up before it is killed.
PATIENCE = 60.0
# From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1

Command = Sequence[str | Path]


def end_with_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent ends, even if that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def started(command: Command, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process, and end it if the block is left by an exception.

    The process is in a session of its own, so that Ctrl-C reaches this script only, which then asks
    the process to end and waits until it has cleaned up. `subprocess.run` would kill it instead.
    """
    process = subprocess.Popen(
        command,
        text=True,
        errors="replace",
        start_new_session=True,
        # The scripts have no threads, which could make this unsafe.
        preexec_fn=end_with_parent,  # noqa: PLW1509
        **options,
    )
    try:
        yield process
        process.communicate()
    except BaseException:
        stop(process)
        raise


def stop(process: subprocess.Popen[str]) -> None:
    """Ask a process to end; kill it if it does not."""
    process.terminate()
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def run(command: Command) -> subprocess.CompletedProcess[str]:
    """Run a process to its end; return what it printed."""
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
